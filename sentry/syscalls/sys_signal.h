// System calls on signals: actions, masks, sending and waiting.
#ifndef SENTRY_SYSCALLS_SYS_SIGNAL_H_
#define SENTRY_SYSCALLS_SYS_SIGNAL_H_

#include "sentry/syscalls/table.h"

namespace runsc {

struct UserSignalStack {  // stack_t, without padding of unknown content
  uint64_t sp;
  int32_t flags;
  uint32_t padding;
  uint64_t size;
};

Result<int64_t> SysRtSigaction(Task& task, SignalNumber signal, UserPtr<const SignalAction> action,
                               UserPtr<SignalAction> old, uint64_t size);
Result<int64_t> SysRtSigprocmask(Task& task, SignalHow how, UserPtr<const SignalSet> set,
                                 UserPtr<SignalSet> old, uint64_t size);
Result<int64_t> SysRtSigpending(Task& task, UserPtr<SignalSet> set, uint64_t size);
Result<int64_t> SysRtSigtimedwait(Task& task, UserPtr<const SignalSet> set, UserPtr<siginfo_t> info,
                                  UserPtr<const timespec> timeout, uint64_t size);
Result<int64_t> SysRtSigsuspend(Task& task, UserPtr<const SignalSet> set, uint64_t size);
Result<int64_t> SysRtSigreturn(Task& task);
Result<int64_t> SysRestartSyscall(Task& task);
Result<int64_t> SysSigaltstack(Task& task, UserPtr<const UserSignalStack> stack,
                               UserPtr<UserSignalStack> old);
Result<int64_t> SysPause(Task& task);

Result<int64_t> SysKill(Task& task, pid_t pid, SignalNumber signal);
Result<int64_t> SysTkill(Task& task, pid_t tid, SignalNumber signal);
Result<int64_t> SysTgkill(Task& task, pid_t pid, pid_t tid, SignalNumber signal);
Result<int64_t> SysRtSigqueueinfo(Task& task, pid_t pid, SignalNumber signal, UserPtr<const siginfo_t> info);
Result<int64_t> SysRtTgsigqueueinfo(Task& task, pid_t pid, pid_t tid, SignalNumber signal,
                                    UserPtr<const siginfo_t> info);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_SIGNAL_H_
