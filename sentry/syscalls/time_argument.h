// Times as system calls pass them: decoding, checking and writing back.
#ifndef SENTRY_SYSCALLS_TIME_ARGUMENT_H_
#define SENTRY_SYSCALLS_TIME_ARGUMENT_H_

#include <sys/time.h>
#include <time.h>

#include <algorithm>
#include <optional>

#include "sentry/kernel/posix_timers.h"
#include "sentry/kernel/task.h"

namespace runsc {

// Nanoseconds; nullopt: a null pointer. EFAULT, EINVAL.
inline Result<std::optional<int64_t>> ReadTimespec(Task& task, UserPtr<const timespec> from) {
  if (!from) return std::optional<int64_t>();
  ASSIGN_OR_RETURN(timespec value, task.memory().Read(from));
  ASSIGN_OR_RETURN(int64_t nanoseconds, ToNanoseconds(value));
  return std::optional(nanoseconds);
}

inline Deadline AfterOrNever(const std::optional<int64_t>& nanoseconds) {
  return nanoseconds ? Deadline::After(*nanoseconds) : Deadline::Never();
}

inline timeval ToTimeval(int64_t nanoseconds) {
  timespec value = ToTimespec(nanoseconds);
  return timeval{value.tv_sec, value.tv_nsec / 1000};
}

inline Result<TimerSetting> ToSetting(const itimerspec& value) {
  TimerSetting setting;
  ASSIGN_OR_RETURN(setting.value, ToNanoseconds(value.it_value));
  ASSIGN_OR_RETURN(setting.interval, ToNanoseconds(value.it_interval));
  return setting;
}

inline itimerspec FromSetting(TimerSetting setting) {
  return itimerspec{ToTimespec(setting.interval), ToTimespec(setting.value)};
}

// An absolute time of the task's time namespace; what was before the machine's time is over.
inline TimerSetting OnMachine(const Task& task, clockid_t clock, TimerSetting setting) {
  if (setting.value != 0)
    setting.value = std::max<int64_t>(task.time_namespace().ToMachine(clock, setting.value), 1);
  return setting;
}

// The clocks that wake a machine up are the plain ones here.
inline clockid_t WithoutAlarm(clockid_t clock) {
  return clock == CLOCK_REALTIME_ALARM   ? CLOCK_REALTIME
         : clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME
                                         : clock;
}

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_TIME_ARGUMENT_H_
