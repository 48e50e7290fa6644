// Timers that send signals: setitimer(2), alarm(2), timer_create(2).
#ifndef SENTRY_SYSCALLS_SYS_TIMER_H_
#define SENTRY_SYSCALLS_SYS_TIMER_H_

#include <sys/time.h>
#include <time.h>

#include "sentry/syscalls/table.h"

namespace runsc {

// The kernel's struct sigevent.
struct UserSigevent {
  uint64_t value;
  int32_t signal;
  int32_t notify;
  int32_t thread_id;
  uint8_t unused[44];
};
static_assert(sizeof(UserSigevent) == 64);

Result<int64_t> SysGetitimer(Task& task, int which, UserPtr<itimerval> to);
Result<int64_t> SysSetitimer(Task& task, int which, UserPtr<const itimerval> from, UserPtr<itimerval> old);
Result<int64_t> SysAlarm(Task& task, uint32_t seconds);
Result<int64_t> SysTimerCreate(Task& task, ClockId clock, UserPtr<const UserSigevent> event,
                               UserPtr<int32_t> id);
Result<int64_t> SysTimerDelete(Task& task, int id);
Result<int64_t> SysTimerSettime(Task& task, int id, int flags, UserPtr<const itimerspec> from,
                                UserPtr<itimerspec> old);
Result<int64_t> SysTimerGettime(Task& task, int id, UserPtr<itimerspec> to);
Result<int64_t> SysTimerGetoverrun(Task& task, int id);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_TIMER_H_
