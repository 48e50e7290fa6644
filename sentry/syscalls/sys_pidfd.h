// pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).
#ifndef SENTRY_SYSCALLS_SYS_PIDFD_H_
#define SENTRY_SYSCALLS_SYS_PIDFD_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysPidfdOpen(Task& task, pid_t pid, uint32_t flags);
Result<int64_t> SysPidfdSendSignal(Task& task, Fd fd, SignalNumber signal, UserPtr<const siginfo_t> info,
                                   uint32_t flags);
Result<int64_t> SysPidfdGetfd(Task& task, Fd fd, int target, uint32_t flags);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_PIDFD_H_
