#include "sentry/syscalls/sys_signal.h"

#include <cstring>

#include "sentry/arch/signal_frame.h"

namespace runsc {

Result<int64_t> SysRtSigaction(Task& task, SignalNumber signal, UserPtr<const SignalAction> action,
                               UserPtr<SignalAction> old, uint64_t size) {
  if (size != sizeof(SignalSet)) return Errno(EINVAL);
  if (!IsValidSignal(signal)) return Errno(EINVAL);
  SignalAction previous;
  if (action) {
    ASSIGN_OR_RETURN(SignalAction wanted, task.memory().Read(action));
    if (kUnblockableSignals.Has(signal)) return Errno(EINVAL);
    // SA_UNSUPPORTED lets programs ask which flags are known: unknown ones are not kept.
    constexpr uint64_t kKnownFlags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART |
                                     SA_NODEFER | SA_RESETHAND | 0x04000000 /* SA_RESTORER */;
    wanted.flags &= kKnownFlags;
    wanted.mask &= ~kUnblockableSignals.bits();
    previous = task.thread_group().SetAction(signal, wanted);
  } else {
    previous = task.thread_group().handlers()->Get(signal);
  }
  if (old) RETURN_IF_ERROR(task.memory().Write(old, previous));
  return 0;
}

Result<int64_t> SysRtSigprocmask(Task& task, SignalHow how, UserPtr<const SignalSet> set,
                                 UserPtr<SignalSet> old, uint64_t size) {
  if (size != sizeof(SignalSet)) return Errno(EINVAL);
  SignalSet previous = task.blocked();
  if (set) {
    ASSIGN_OR_RETURN(SignalSet wanted, task.memory().Read(set));
    switch (how) {
      case SIG_BLOCK:
        task.SetBlocked(previous | wanted);
        break;
      case SIG_UNBLOCK:
        task.SetBlocked(previous & ~wanted);
        break;
      case SIG_SETMASK:
        task.SetBlocked(wanted);
        break;
      default:
        return Errno(EINVAL);
    }
  }
  if (old) RETURN_IF_ERROR(task.memory().Write(old, previous));
  return 0;
}

Result<int64_t> SysRtSigpending(Task& task, UserPtr<SignalSet> set, uint64_t size) {
  if (size > sizeof(SignalSet)) return Errno(EINVAL);
  SignalSet pending = task.PendingSignals() & task.blocked();
  auto bytes = std::as_bytes(std::span(&pending, 1)).first(size);
  RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<std::byte>(set.addr()), bytes));
  return 0;
}

Result<int64_t> SysRtSigtimedwait(Task& task, UserPtr<const SignalSet> set, UserPtr<siginfo_t> user_info,
                                  UserPtr<const timespec> timeout, uint64_t size) {
  if (size != sizeof(SignalSet)) return Errno(EINVAL);
  ASSIGN_OR_RETURN(SignalSet wanted, task.memory().Read(set));
  Deadline deadline = Deadline::Never();
  bool wait = true;
  if (timeout) {
    ASSIGN_OR_RETURN(timespec value, task.memory().Read(timeout));
    ASSIGN_OR_RETURN(int64_t nanoseconds, ToNanoseconds(value));
    wait = nanoseconds != 0;
    deadline = Deadline::After(nanoseconds);
  }
  ScopedWait registered(task, task.thread_group().signal_queue(), EPOLLIN);
  for (;;) {
    if (std::optional<siginfo_t> info = task.TakeSignal(wanted)) {
      if (user_info) RETURN_IF_ERROR(task.memory().Write(user_info, *info));
      return info->si_signo;
    }
    if (!wait) return Errno(EAGAIN);
    Result<void> blocked = task.Block(deadline);
    if (blocked.is(ETIMEDOUT)) wait = false;
    if (blocked.is(ERESTARTSYS)) {
      // A signal of the set that is not blocked interrupted us: it is what we wait for.
      if (!(task.PendingSignals() & wanted & ~kUnblockableSignals).empty()) continue;
      return Errno(EINTR);
    }
  }
}

Result<int64_t> SysRtSigsuspend(Task& task, UserPtr<const SignalSet> set, uint64_t size) {
  if (size != sizeof(SignalSet)) return Errno(EINVAL);
  ASSIGN_OR_RETURN(SignalSet mask, task.memory().Read(set));
  task.SetTemporaryMask(mask);
  return SysPause(task);
}

Result<int64_t> SysPause(Task& task) {
  while (task.Block().ok()) {
  }
  return Errno(ERESTARTNOHAND);
}

Result<int64_t> SysRtSigreturn(Task& task) { return task.SignalReturn(); }

Result<int64_t> SysRestartSyscall(Task& task) {
  auto restart = task.TakeRestartBlock();
  if (!restart) return Errno(EINTR);
  return restart(task);
}

Result<int64_t> SysSigaltstack(Task& task, UserPtr<const UserSignalStack> stack,
                               UserPtr<UserSignalStack> old) {
  stack_t& current = task.signal_stack();
  uint64_t sp = task.registers().rsp;
  UserSignalStack previous{};
  previous.sp = reinterpret_cast<uint64_t>(current.ss_sp);
  previous.size = current.ss_size;
  previous.flags = SignalStackFlags(current, sp) |
                   static_cast<int32_t>(static_cast<uint32_t>(current.ss_flags) & kSsAutodisarm);
  if (stack) {
    ASSIGN_OR_RETURN(UserSignalStack wanted, task.memory().Read(stack));
    if (IsOnSignalStack(current, sp)) return Errno(EPERM);
    uint32_t autodisarm = static_cast<uint32_t>(wanted.flags) & kSsAutodisarm;
    int mode = static_cast<int>(static_cast<uint32_t>(wanted.flags) & ~kSsAutodisarm);
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0) return Errno(EINVAL);
    stack_t next{};
    if (mode == SS_DISABLE) {
      next.ss_flags = SS_DISABLE;
    } else {
      constexpr uint64_t kMinimumSize = 2048;  // MINSIGSTKSZ
      if (wanted.size < kMinimumSize) return Errno(ENOMEM);
      next.ss_sp = reinterpret_cast<void*>(wanted.sp);
      next.ss_size = wanted.size;
      next.ss_flags = static_cast<int>(autodisarm);
    }
    current = next;
  }
  if (old) RETURN_IF_ERROR(task.memory().Write(old, previous));
  return 0;
}

}  // namespace runsc
