#include "sentry/syscalls/sys_time.h"

#include "sentry/kernel/cpu_clock.h"
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/time_argument.h"

namespace runsc {
namespace {

constexpr int64_t kCoarseResolution = 4'000'000;  // a tick at 250 Hz; the vDSO says the same
constexpr int64_t kMinCpuLook = 1'000'000, kMaxCpuLook = 50'000'000;

bool IsCoarse(clockid_t clock) { return clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE; }

// Clocks of the machine; the others are about CPU time, or there is no such clock.
bool IsMachineClock(clockid_t clock) {
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
    case CLOCK_TAI:
      return true;
    default:
      return false;
  }
}

Result<int64_t> Now(Task& task, clockid_t clock) {
  if (IsMachineClock(clock))
    return task.kernel().clock().Now(WithoutAlarm(clock)) + task.time_namespace().offsets().Of(clock);
  std::optional<CpuClock> cpu = CpuClock::Decode(clock);
  if (!cpu) return Errno(EINVAL);
  return ReadCpuClock(task, *cpu);
}

// Sleeps to the deadline; what is left goes to `remaining` when a signal ends it.
Result<int64_t> SleepUntil(Task& task, Deadline deadline, UserPtr<timespec> remaining) {
  Result<void> slept;
  do {
    slept = task.Block(deadline);
  } while (slept.ok());
  if (slept.is(ETIMEDOUT)) return 0;
  int64_t left = deadline.Remaining();
  if (left == 0) return 0;
  if (remaining) RETURN_IF_ERROR(task.memory().Write(remaining, ToTimespec(left)));
  task.SetRestartBlock([=](Task& again) { return SleepUntil(again, deadline, remaining); });
  return Errno(ERESTART_RESTARTBLOCK);
}

// Until the CPU clock shows `end`. Nothing tells when it will: this looks from time to time.
Result<int64_t> SleepOnCpuClock(Task& task, CpuClock clock, int64_t end, bool absolute,
                                UserPtr<timespec> remaining) {
  int64_t look = kMinCpuLook;
  for (;;) {
    ASSIGN_OR_RETURN(int64_t now, ReadCpuClock(task, clock));
    if (now >= end) return 0;
    Result<void> slept = task.Block(Deadline::After(std::max(look, std::min(end - now, kMaxCpuLook))));
    look = std::min(look * 2, kMaxCpuLook);
    if (slept.ok() || slept.is(ETIMEDOUT)) continue;
    if (absolute) return Errno(ERESTARTNOHAND);
    if (remaining) {
      ASSIGN_OR_RETURN(now, ReadCpuClock(task, clock));
      RETURN_IF_ERROR(task.memory().Write(remaining, ToTimespec(std::max<int64_t>(end - now, 0))));
    }
    task.SetRestartBlock([=](Task& again) { return SleepOnCpuClock(again, clock, end, false, remaining); });
    return Errno(ERESTART_RESTARTBLOCK);
  }
}

}  // namespace

Result<int64_t> SysClockGettime(Task& task, ClockId clock, UserPtr<timespec> to) {
  ASSIGN_OR_RETURN(int64_t now, Now(task, clock));
  RETURN_IF_ERROR(task.memory().Write(to, ToTimespec(now)));
  return 0;
}

Result<int64_t> SysClockGetres(Task& task, ClockId clock, UserPtr<timespec> to) {
  if (!IsMachineClock(clock)) RETURN_IF_ERROR(Now(task, clock));
  // Times that are counted in ticks, as CPUCLOCK_PROF and CPUCLOCK_VIRT are in Linux.
  std::optional<CpuClock> cpu = CpuClock::Decode(clock);
  const bool in_ticks = IsCoarse(clock) || (cpu && cpu->kind != CpuClock::Kind::kScheduled);
  if (to) RETURN_IF_ERROR(task.memory().Write(to, ToTimespec(in_ticks ? kCoarseResolution : 1)));
  return 0;
}

Result<int64_t> SysClockSettime(Task& task, ClockId clock, UserPtr<const timespec> from) {
  // Of CPU clocks only those that name whose they are have a way to be set, which then is EPERM.
  const std::optional<CpuClock> cpu = clock < 0 ? CpuClock::Decode(clock) : std::nullopt;
  if (clock != CLOCK_REALTIME && !cpu) return Errno(EINVAL);
  if (cpu) {
    RETURN_IF_ERROR(task.memory().Read(from));
    RETURN_IF_ERROR(ReadCpuClock(task, *cpu));
    return Errno(EPERM);
  }
  RETURN_IF_ERROR(ReadTimespec(task, from));
  return Errno(EPERM);  // the clock is the host's
}

Result<int64_t> SysGettimeofday(Task& task, UserPtr<timeval> to, UserPtr<struct timezone> zone) {
  if (to) RETURN_IF_ERROR(task.memory().Write(to, ToTimeval(task.kernel().clock().Now(CLOCK_REALTIME))));
  if (zone) RETURN_IF_ERROR(task.memory().Write(zone, {}));
  return 0;
}

Result<int64_t> SysSettimeofday(Task& task, UserPtr<const timeval> from,
                                UserPtr<const struct timezone> zone) {
  if (from) {
    ASSIGN_OR_RETURN(timeval value, task.memory().Read(from));
    if (value.tv_sec < 0 || value.tv_usec < 0 || value.tv_usec >= 1'000'000) return Errno(EINVAL);
  }
  return Errno(EPERM);
}

Result<int64_t> SysTime(Task& task, UserPtr<int64_t> to) {
  int64_t seconds = task.kernel().clock().Now(CLOCK_REALTIME) / kNanosecondsPerSecond;
  if (to) RETURN_IF_ERROR(task.memory().Write(to, seconds));
  return seconds;
}

Result<int64_t> SysNanosleep(Task& task, UserPtr<const timespec> duration, UserPtr<timespec> remaining) {
  ASSIGN_OR_RETURN(timespec value, task.memory().Read(duration));
  ASSIGN_OR_RETURN(int64_t nanoseconds, ToNanoseconds(value));
  return SleepUntil(task, Deadline::After(nanoseconds), remaining);
}

Result<int64_t> SysClockNanosleep(Task& task, ClockId clock, int flags, UserPtr<const timespec> time,
                                  UserPtr<timespec> remaining) {
  std::optional<CpuClock> cpu = CpuClock::Decode(clock);
  if (!cpu && !IsMachineClock(clock)) return Errno(EINVAL);
  // posix_cpu_nsleep(): a thread cannot wait for its own CPU time.
  if (clock == CLOCK_THREAD_CPUTIME_ID) return Errno(EOPNOTSUPP);
  if (IsCoarse(clock) || clock == CLOCK_MONOTONIC_RAW) return Errno(EOPNOTSUPP);
  ASSIGN_OR_RETURN(timespec value, task.memory().Read(time));
  ASSIGN_OR_RETURN(int64_t nanoseconds, ToNanoseconds(value));
  const bool absolute = (flags & TIMER_ABSTIME) != 0;
  if (cpu) {
    if (cpu->thread && (cpu->id == 0 || cpu->id == task.tid())) return Errno(EINVAL);
    int64_t end = nanoseconds;
    ASSIGN_OR_RETURN(int64_t now, ReadCpuClock(task, *cpu));
    if (!absolute && __builtin_add_overflow(now, nanoseconds, &end)) end = INT64_MAX;
    return SleepOnCpuClock(task, *cpu, end, absolute, remaining);
  }
  if (!absolute) return SleepUntil(task, Deadline::After(nanoseconds), remaining);
  nanoseconds = task.time_namespace().ToMachine(clock, nanoseconds);
  for (;;) {
    Result<void> slept = task.Block(Deadline::AtClock(WithoutAlarm(clock), nanoseconds));
    if (slept.is(ETIMEDOUT) && ClockNow(WithoutAlarm(clock)) >= nanoseconds) return 0;
    if (slept.is(ERESTARTSYS)) return Errno(ERESTARTNOHAND);
  }
}

Result<int64_t> SysAdjtimex(Task& task, UserPtr<timex> buffer) {
  ASSIGN_OR_RETURN(timex value, task.memory().Read(buffer));
  // Linux: timekeeping_validate_timex(). Whoever may change the host's clock, it is nobody here.
  constexpr uint32_t kAdjtime = 0x8000, kSingleShot = 0x0001, kReadOnly = 0x2000;
  const uint32_t modes = value.modes;
  if ((modes & kAdjtime) != 0) {
    if ((modes & kSingleShot) == 0) return Errno(EINVAL);
    if ((modes & kReadOnly) == 0) return Errno(EPERM);
  } else if (modes != 0) {
    return Errno(EPERM);
  }
  value = timex{};
  value.status = STA_UNSYNC;
  value.maxerror = value.esterror = 16'000'000;
  value.constant = 2;
  value.precision = 1;
  value.tolerance = 32'768'000;
  value.tick = 10'000;
  value.time = ToTimeval(task.kernel().clock().Now(CLOCK_REALTIME));
  RETURN_IF_ERROR(task.memory().Write(buffer, value));
  return TIME_ERROR;
}

Result<int64_t> SysClockAdjtime(Task& task, ClockId clock, UserPtr<timex> buffer) {
  if (clock == CLOCK_REALTIME) return SysAdjtimex(task, buffer);
  RETURN_IF_ERROR(task.memory().Read(buffer));
  return IsMachineClock(clock) || CpuClock::Decode(clock) ? Errno(EOPNOTSUPP) : Errno(EINVAL);
}

}  // namespace runsc
