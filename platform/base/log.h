// The debug log: one line a message, written whole with one write(2) to a file
// descriptor that is fixed at start. Messages for the user of the command line go
// to stderr through runsc, not through here.
//
// Levels are those of --debug-log: errors and warnings are always written when
// there is a log, info and debug only with --debug. A disabled level costs one
// relaxed load; formatting is out of line.
#ifndef PLATFORM_BASE_LOG_H_
#define PLATFORM_BASE_LOG_H_

#include <fmt/core.h>

#include <atomic>
#include <string_view>

namespace runsc {

enum class LogLevel : int { kError = 0, kWarning = 1, kInfo = 2, kDebug = 3 };

namespace log_internal {
extern std::atomic<int> enabled_level;  // -1: no log
void Write(LogLevel level, const char* file, int line, fmt::string_view format, fmt::format_args args);

template <typename... Args>
[[gnu::cold, gnu::noinline]] void Format(LogLevel level, const char* file, int line,
                                         fmt::format_string<Args...> format, Args&&... args) {
  Write(level, file, line, format, fmt::make_format_args(args...));
}
}  // namespace log_internal

inline bool LogEnabled(LogLevel level) {
  return static_cast<int>(level) <= log_internal::enabled_level.load(std::memory_order_relaxed);
}

// Sets where lines go (the fd stays the caller's; -1 turns the log off), how
// much is written, and the name of this process in each line.
void SetLog(int fd, LogLevel level, std::string_view process_name);

// Writes one line that is already whole (strace lines), without file and line.
void LogRaw(std::string_view line);

}  // namespace runsc

#define RUNSC_LOG(level, ...)                                                                         \
  (::runsc::LogEnabled(level) ? ::runsc::log_internal::Format(level, __FILE__, __LINE__, __VA_ARGS__) \
                              : (void)0)
#define LOG_ERROR(...) RUNSC_LOG(::runsc::LogLevel::kError, __VA_ARGS__)
#define LOG_WARNING(...) RUNSC_LOG(::runsc::LogLevel::kWarning, __VA_ARGS__)
#define LOG_INFO(...) RUNSC_LOG(::runsc::LogLevel::kInfo, __VA_ARGS__)
#define LOG_DEBUG(...) RUNSC_LOG(::runsc::LogLevel::kDebug, __VA_ARGS__)

#endif  // PLATFORM_BASE_LOG_H_
