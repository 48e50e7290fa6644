#include "sentry/time/clock.h"

#include <algorithm>

namespace runsc {

int64_t ClockNow(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

timespec RealtimeNow() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

timespec ToTimespec(int64_t nanoseconds) {
  timespec value{};
  value.tv_sec = nanoseconds / kNanosecondsPerSecond;
  value.tv_nsec = nanoseconds % kNanosecondsPerSecond;
  if (value.tv_nsec < 0) {
    value.tv_nsec += kNanosecondsPerSecond;
    --value.tv_sec;
  }
  return value;
}

Result<int64_t> ToNanoseconds(const timespec& value) {
  if (value.tv_sec < 0 || value.tv_nsec < 0 || value.tv_nsec >= kNanosecondsPerSecond) return Errno(EINVAL);
  int64_t total = 0;
  if (__builtin_mul_overflow(static_cast<int64_t>(value.tv_sec), kNanosecondsPerSecond, &total) ||
      __builtin_add_overflow(total, static_cast<int64_t>(value.tv_nsec), &total)) {
    return INT64_MAX;
  }
  return total;
}

Deadline Deadline::After(int64_t nanoseconds) {
  int64_t sum = 0;
  if (__builtin_add_overflow(MonotonicNow(), std::max<int64_t>(nanoseconds, 0), &sum)) return Never();
  return Deadline(sum);
}

Deadline Deadline::AtClock(clockid_t clock, int64_t nanoseconds) {
  if (nanoseconds == INT64_MAX) return Never();
  if (clock == CLOCK_MONOTONIC) return Deadline(nanoseconds);
  int64_t remaining = 0;
  if (__builtin_sub_overflow(nanoseconds, ClockNow(clock), &remaining)) return Deadline(0);
  return remaining <= 0 ? Deadline(0) : After(remaining);
}

int64_t Deadline::Remaining() const {
  if (is_never()) return INT64_MAX;
  return std::max<int64_t>(nanoseconds_ - MonotonicNow(), 0);
}

}  // namespace runsc
