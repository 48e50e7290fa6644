// futex_waitv(2): waiting for any of several futexes.
#ifndef SENTRY_SYSCALLS_SYS_FUTEX_WAITV_H_
#define SENTRY_SYSCALLS_SYS_FUTEX_WAITV_H_

#include "sentry/syscalls/table.h"

namespace runsc {

struct FutexWaitDescription {  // struct futex_waitv
  uint64_t value, address;
  uint32_t flags, reserved;
};

Result<int64_t> SysFutexWaitv(Task& task, UserPtr<const FutexWaitDescription> waiters, uint32_t count,
                              uint32_t flags, UserPtr<const timespec> timeout, ClockId clock);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_FUTEX_WAITV_H_
