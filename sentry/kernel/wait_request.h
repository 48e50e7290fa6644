// What wait4(2), waitid(2) and waiting on a pidfd ask for, and what they get.
#ifndef SENTRY_KERNEL_WAIT_REQUEST_H_
#define SENTRY_KERNEL_WAIT_REQUEST_H_

#include <sys/types.h>

#include <cstdint>

#include "sentry/kernel/thread_group.h"

namespace runsc {

struct WaitRequest {
  enum class Which { kAny, kProcess, kProcessGroup };
  Which which = Which::kAny;
  pid_t id = 0;                 // kProcess, kProcessGroup; in the caller's PID namespace
  RefPtr<ThreadGroup> process;  // kProcess by pidfd: in place of `id`
  int options = 0;  // WNOHANG, WEXITED, WSTOPPED, WCONTINUED, WNOWAIT, __WALL, __WCLONE, __WNOTHREAD
};

struct WaitedChild {
  pid_t pid = 0;  // 0: WNOHANG, and nothing to report
  uint32_t uid = 0;
  int code = 0;    // CLD_EXITED, CLD_KILLED, CLD_STOPPED, CLD_CONTINUED, CLD_TRAPPED
  int status = 0;  // as wait4(2) reports it
  CpuUsage usage;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_WAIT_REQUEST_H_
