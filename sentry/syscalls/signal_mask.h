// The signal mask argument of ppoll(2), pselect6(2) and epoll_pwait(2).
#ifndef SENTRY_SYSCALLS_SIGNAL_MASK_H_
#define SENTRY_SYSCALLS_SIGNAL_MASK_H_

#include "sentry/kernel/task.h"

namespace runsc {

// Puts the mask in force for this call; null: leaves it. EINVAL, EFAULT.
inline Result<void> ApplyTemporaryMask(Task& task, UserPtr<const uint64_t> mask, uint64_t size) {
  if (!mask) return Ok();
  if (size != sizeof(uint64_t)) return Errno(EINVAL);
  ASSIGN_OR_RETURN(uint64_t bits, task.memory().Read(mask));
  task.SetTemporaryMask(SignalSet(bits) & ~kUnblockableSignals);
  return Ok();
}

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SIGNAL_MASK_H_
