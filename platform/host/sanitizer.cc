#include "platform/host/sanitizer.h"

#ifdef RUNSC_SANITIZED
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

namespace runsc {

namespace {
bool has_report = false;
}  // namespace

void PrepareSanitizer() {
  if (const char* path = ::getenv("RUNSC_SANITIZER_REPORT")) {
    int fd = ::open((std::string(path) + "." + std::to_string(::getpid())).c_str(),
                    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    has_report = fd >= 0 && ::dup3(fd, kSanitizerReportFd, O_CLOEXEC) == kSanitizerReportFd;
    if (fd >= 0) ::close(fd);
  }
  KeepSanitizerReport();
  __sanitizer_sandbox_arguments arguments{};
  __sanitizer_sandbox_on_notify(&arguments);
}

// The runtime opens the file of a report anew in a process of another number, unless it is told.
void KeepSanitizerReport() {
  int fd = has_report ? kSanitizerReportFd : STDERR_FILENO;
  __sanitizer_set_report_fd(reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
}

}  // namespace runsc

// Addresses are made names of afterwards, by tools/sanitize.sh. The signal stacks that ASan would give to
// threads are not wanted: nothing of ours runs out of stack on purpose.
#define RUNSC_SANITIZER_OPTIONS "symbolize=0:use_sigaltstack=0:allow_user_segv_handler=1"

extern "C" const char* __asan_default_options() {
  // Leaks: a process of ours ends by _exit, with what it has; unit tests look for them.
  return RUNSC_SANITIZER_OPTIONS ":detect_leaks=0:abort_on_error=1";
}
extern "C" const char* __ubsan_default_options() { return RUNSC_SANITIZER_OPTIONS ":print_stacktrace=1"; }
extern "C" const char* __tsan_default_options() {
  // Frames as ASan prints them, with addresses. Threads that still run do not put a process's end off.
  return RUNSC_SANITIZER_OPTIONS
      ":report_signal_unsafe=0:exitcode=0:die_after_fork=0:stack_trace_format=DEFAULT:atexit_sleep_ms=0"
      ":history_size=5:report_thread_leaks=0";
}
#endif
