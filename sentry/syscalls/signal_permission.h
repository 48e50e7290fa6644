// Who may send which signal to whom (kill(2)), and what the receiver is told.
#ifndef SENTRY_SYSCALLS_SIGNAL_PERMISSION_H_
#define SENTRY_SYSCALLS_SIGNAL_PERMISSION_H_

#include "sentry/kernel/task.h"

namespace runsc {

// EPERM. Signal 0 asks only.
Result<void> CheckSignalPermission(Task& sender, ThreadGroup& target, int signal);
// The sender's ids as the target's PID namespace knows them.
siginfo_t SenderInfo(Task& sender, ThreadGroup& target, int signal, int code);
// To the process; says whether the sender stands outside the target's PID namespace.
Result<void> SendSignalFrom(Task& sender, ThreadGroup& target, const siginfo_t& info);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SIGNAL_PERMISSION_H_
