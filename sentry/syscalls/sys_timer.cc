#include "sentry/syscalls/sys_timer.h"

#include "sentry/syscalls/time_argument.h"

namespace runsc {
namespace {

Result<int64_t> FromUserTimeval(const timeval& value) {
  if (value.tv_sec < 0 || value.tv_usec < 0 || value.tv_usec >= 1'000'000) return Errno(EINVAL);
  return ToNanoseconds(timespec{value.tv_sec, value.tv_usec * 1000});
}

itimerval ToItimerval(TimerSetting setting) {
  // What still runs does not show as zero, which would mean off.
  if (setting.value > 0 && setting.value < 1000) setting.value = 1000;
  return itimerval{ToTimeval(setting.interval), ToTimeval(setting.value)};
}

Result<void> CheckTimerClock(Task& task, clockid_t clock) {
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
      return Ok();
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
      return task.creds().HasCapability(CAP_WAKE_ALARM) ? Ok() : Result<void>(Errno(EPERM));
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
      return Errno(EOPNOTSUPP);
    default:
      break;
  }
  std::optional<CpuClock> cpu = CpuClock::Decode(clock);
  if (!cpu) return Errno(EINVAL);
  RETURN_IF_ERROR(ReadCpuClock(task, *cpu));
  return Ok();
}

Result<TimerEvent> DecodeEvent(Task& task, const UserSigevent& user) {
  TimerEvent event;
  event.has_value = true;
  event.value = user.value;
  if (user.notify == SIGEV_NONE) return event;
  if (user.notify != SIGEV_SIGNAL && user.notify != SIGEV_THREAD && user.notify != SIGEV_THREAD_ID)
    return Errno(EINVAL);
  if (!IsValidSignal(user.signal)) return Errno(EINVAL);
  event.signal = user.signal;
  if (user.notify == SIGEV_THREAD_ID) {
    RefPtr<Task> target = task.pid_namespace().FindTask(user.thread_id);
    if (!target || &target->thread_group() != &task.thread_group()) return Errno(EINVAL);
    event.thread = target.get();
    event.thread_id = target->root_tid();
  }
  return event;
}

PosixTimers& TimersOf(Task& task) { return task.thread_group().posix_timers(); }

}  // namespace

Result<int64_t> SysGetitimer(Task& task, int which, UserPtr<itimerval> to) {
  if (which < ITIMER_REAL || which > ITIMER_PROF) return Errno(EINVAL);
  RETURN_IF_ERROR(task.memory().Write(to, ToItimerval(TimersOf(task).GetInterval(which))));
  return 0;
}

Result<int64_t> SysSetitimer(Task& task, int which, UserPtr<const itimerval> from, UserPtr<itimerval> old) {
  TimerSetting setting;
  if (from) {
    ASSIGN_OR_RETURN(itimerval value, task.memory().Read(from));
    ASSIGN_OR_RETURN(setting.value, FromUserTimeval(value.it_value));
    ASSIGN_OR_RETURN(setting.interval, FromUserTimeval(value.it_interval));
  }
  if (which < ITIMER_REAL || which > ITIMER_PROF) return Errno(EINVAL);
  TimerSetting before = TimersOf(task).SetInterval(which, setting);
  if (old) RETURN_IF_ERROR(task.memory().Write(old, ToItimerval(before)));
  return 0;
}

Result<int64_t> SysAlarm(Task& task, uint32_t seconds) {
  TimerSetting setting{int64_t{seconds} * kNanosecondsPerSecond, 0};
  itimerval before = ToItimerval(TimersOf(task).SetInterval(ITIMER_REAL, setting));
  // Rounded, but never to zero while it ran.
  int64_t left = before.it_value.tv_sec;
  if ((left == 0 && before.it_value.tv_usec != 0) || before.it_value.tv_usec >= 500'000) ++left;
  return left;
}

Result<int64_t> SysTimerCreate(Task& task, ClockId clock, UserPtr<const UserSigevent> event,
                               UserPtr<int32_t> id) {
  TimerEvent decoded;
  decoded.signal = SIGALRM;
  if (event) {
    ASSIGN_OR_RETURN(UserSigevent user, task.memory().Read(event));
    RETURN_IF_ERROR(CheckTimerClock(task, clock));
    ASSIGN_OR_RETURN(decoded, DecodeEvent(task, user));
  } else {
    RETURN_IF_ERROR(CheckTimerClock(task, clock));
  }
  ASSIGN_OR_RETURN(int made, TimersOf(task).Create(task, WithoutAlarm(clock), decoded));
  Result<void> written = task.memory().Write(id, made);
  if (!written.ok()) {
    (void)TimersOf(task).Delete(made).ok();
    return written.error();
  }
  return 0;
}

Result<int64_t> SysTimerDelete(Task& task, int id) {
  RETURN_IF_ERROR(TimersOf(task).Delete(id));
  return 0;
}

Result<int64_t> SysTimerSettime(Task& task, int id, int flags, UserPtr<const itimerspec> from,
                                UserPtr<itimerspec> old) {
  if (!from) return Errno(EINVAL);
  ASSIGN_OR_RETURN(itimerspec value, task.memory().Read(from));
  ASSIGN_OR_RETURN(TimerSetting setting, ToSetting(value));
  const bool absolute = (flags & TIMER_ABSTIME) != 0;
  if (absolute) setting = OnMachine(task, TimersOf(task).ClockOf(id), setting);
  ASSIGN_OR_RETURN(TimerSetting before, TimersOf(task).Set(id, absolute, setting));
  if (old) RETURN_IF_ERROR(task.memory().Write(old, FromSetting(before)));
  return 0;
}

Result<int64_t> SysTimerGettime(Task& task, int id, UserPtr<itimerspec> to) {
  ASSIGN_OR_RETURN(TimerSetting setting, TimersOf(task).Get(id));
  RETURN_IF_ERROR(task.memory().Write(to, FromSetting(setting)));
  return 0;
}

Result<int64_t> SysTimerGetoverrun(Task& task, int id) {
  ASSIGN_OR_RETURN(int overrun, TimersOf(task).Overrun(id));
  return overrun;
}

}  // namespace runsc
