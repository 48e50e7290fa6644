#include "sentry/time/time_namespace.h"

#include <algorithm>

#include "sentry/time/clock.h"

namespace runsc {

int64_t TimeOffsets::Of(clockid_t clock) const {
  switch (clock) {
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
      return monotonic;
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
      return boottime;
    default:
      return 0;
  }
}

int64_t TimeNamespace::ToMachine(clockid_t clock, int64_t nanoseconds) const {
  int64_t time = 0;
  if (__builtin_sub_overflow(nanoseconds, offsets().Of(clock), &time)) return INT64_MAX;
  return std::max<int64_t>(time, 0);
}

void TimeNamespace::Freeze() {
  MutexLock lock(mu_);
  frozen_ = true;
}

// Linux: proc_timens_set_offset().
Result<void> TimeNamespace::Set(const Change* changes, size_t count) {
  constexpr int64_t kMostSeconds = INT64_MAX / kNanosecondsPerSecond;
  // Over the reading, too: of two changes at once, each of one clock, none is to be lost.
  MutexLock lock(mu_);
  TimeOffsets wanted = offsets();
  for (size_t i = 0; i < count; ++i) {
    const Change& change = changes[i];
    if (change.seconds > kMostSeconds || change.seconds < -kMostSeconds) return Errno(ERANGE);
    int64_t offset = 0, time = 0;
    if (__builtin_mul_overflow(change.seconds, kNanosecondsPerSecond, &offset) ||
        __builtin_add_overflow(offset, change.nanoseconds, &offset) ||
        __builtin_add_overflow(offset, ClockNow(change.clock), &time))
      return Errno(ERANGE);
    if (time < 0 || time / kNanosecondsPerSecond > kMostSeconds / 2) return Errno(ERANGE);
    (change.clock == CLOCK_BOOTTIME ? wanted.boottime : wanted.monotonic) = offset;
  }
  if (frozen_) return Errno(EACCES);
  monotonic_.store(wanted.monotonic, std::memory_order_relaxed);
  boottime_.store(wanted.boottime, std::memory_order_relaxed);
  return Ok();
}

}  // namespace runsc
