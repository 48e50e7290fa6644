#include "platform/base/log.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#include <cstdlib>
#include <cstring>
#include <iterator>

#include "platform/base/check.h"

namespace runsc {
namespace log_internal {

std::atomic<int> enabled_level{-1};

namespace {
std::atomic<int> log_fd{-1};
char process_name[16] = "runsc";

std::string_view BaseName(const char* file) {
  const char* slash = std::strrchr(file, '/');
  return slash != nullptr ? slash + 1 : file;
}

void WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    ssize_t n = ::write(fd, data, size);
    if (n <= 0) return;
    data += n;
    size -= static_cast<size_t>(n);
  }
}

void Stamp(fmt::memory_buffer& line, char level) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  fmt::format_to(std::back_inserter(line), "{} {}.{:06d} {} ", level, now.tv_sec, now.tv_nsec / 1000,
                 process_name);
}
}  // namespace

void Write(LogLevel level, const char* file, int line, fmt::string_view format, fmt::format_args args) {
  int saved_errno = errno;
  int fd = log_fd.load(std::memory_order_relaxed);
  if (fd >= 0) {
    fmt::memory_buffer text;
    Stamp(text, "EWID"[static_cast<int>(level)]);
    fmt::format_to(std::back_inserter(text), "{}:{}: ", BaseName(file), line);
    fmt::vformat_to(std::back_inserter(text), format, args);
    text.push_back('\n');
    WriteAll(fd, text.data(), text.size());
  }
  errno = saved_errno;
}

}  // namespace log_internal

void SetLog(int fd, LogLevel level, std::string_view name) {
  name = name.substr(0, sizeof(log_internal::process_name) - 1);
  // Once lines are written on other threads the name stays; then only the rest is changed (`runsc debug`).
  if (name != log_internal::process_name) {
    std::memcpy(log_internal::process_name, name.data(), name.size());
    log_internal::process_name[name.size()] = '\0';
  }
  log_internal::log_fd.store(fd, std::memory_order_relaxed);
  log_internal::enabled_level.store(fd >= 0 ? static_cast<int>(level) : -1, std::memory_order_relaxed);
}

void LogRaw(std::string_view line) {
  int fd = log_internal::log_fd.load(std::memory_order_relaxed);
  if (fd < 0) return;
  fmt::memory_buffer text;
  log_internal::Stamp(text, 'I');
  text.append(line);
  text.push_back('\n');
  log_internal::WriteAll(fd, text.data(), text.size());
}

namespace {

extern "C" const char __ehdr_start;  // of the linker: where this program is in memory

// Who called, innermost first, as addresses in the program's file. It makes no system calls and does not
// allocate, so that it works in every one of our processes.
void AppendCallers(fmt::memory_buffer& text) {
  fmt::format_to(std::back_inserter(text), "runsc: called from (addr2line -Cfipe runsc ADDRESS...):");
  auto append = [](_Unwind_Context* frame, void* out) {
    uintptr_t address = _Unwind_GetIP(frame) - reinterpret_cast<uintptr_t>(&__ehdr_start) - 1;
    fmt::format_to(std::back_inserter(*static_cast<fmt::memory_buffer*>(out)), " {:#x}", address);
    return _URC_NO_REASON;
  };
  _Unwind_Backtrace(append, &text);
  text.push_back('\n');
}

}  // namespace

void CheckFailed(const char* file, int line, const char* what) {
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), "runsc: internal error: {}:{}: CHECK failed: {}\n",
                 log_internal::BaseName(file), line, what);
  AppendCallers(text);
  int fd = log_internal::log_fd.load(std::memory_order_relaxed);
  if (fd >= 0) log_internal::WriteAll(fd, text.data(), text.size());
  log_internal::WriteAll(STDERR_FILENO, text.data(), text.size());
  std::abort();
}

}  // namespace runsc
