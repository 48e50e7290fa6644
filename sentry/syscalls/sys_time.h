// Clocks and sleeping: clock_gettime(2), nanosleep(2), adjtimex(2) and their relatives.
#ifndef SENTRY_SYSCALLS_SYS_TIME_H_
#define SENTRY_SYSCALLS_SYS_TIME_H_

#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysClockGettime(Task& task, ClockId clock, UserPtr<timespec> to);
Result<int64_t> SysClockGetres(Task& task, ClockId clock, UserPtr<timespec> to);
Result<int64_t> SysClockSettime(Task& task, ClockId clock, UserPtr<const timespec> from);
Result<int64_t> SysGettimeofday(Task& task, UserPtr<timeval> to, UserPtr<struct timezone> zone);
Result<int64_t> SysSettimeofday(Task& task, UserPtr<const timeval> from, UserPtr<const struct timezone> zone);
Result<int64_t> SysTime(Task& task, UserPtr<int64_t> to);
Result<int64_t> SysNanosleep(Task& task, UserPtr<const timespec> duration, UserPtr<timespec> remaining);
Result<int64_t> SysClockNanosleep(Task& task, ClockId clock, int flags, UserPtr<const timespec> time,
                                  UserPtr<timespec> remaining);
Result<int64_t> SysAdjtimex(Task& task, UserPtr<timex> buffer);
Result<int64_t> SysClockAdjtime(Task& task, ClockId clock, UserPtr<timex> buffer);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_TIME_H_
