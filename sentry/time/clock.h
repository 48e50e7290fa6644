// Host clocks and deadlines. The guest's CLOCK_MONOTONIC, CLOCK_BOOTTIME and
// CLOCK_REALTIME are the host's own (so that the vDSO needs no help).
#ifndef SENTRY_TIME_CLOCK_H_
#define SENTRY_TIME_CLOCK_H_

#include <time.h>

#include <cstdint>

#include "platform/base/result.h"

namespace runsc {

inline constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

// Nanoseconds of a host clock (CLOCK_MONOTONIC, CLOCK_REALTIME, …).
int64_t ClockNow(clockid_t clock);
inline int64_t MonotonicNow() { return ClockNow(CLOCK_MONOTONIC); }
timespec RealtimeNow();

// Saturating; `value` has to be valid (see ToNanoseconds).
timespec ToTimespec(int64_t nanoseconds);
// EINVAL unless 0 <= tv_nsec < 1e9 and tv_sec >= 0; saturates at INT64_MAX.
Result<int64_t> ToNanoseconds(const timespec& value);

// A point on CLOCK_MONOTONIC, or never.
class Deadline {
 public:
  static constexpr Deadline Never() { return Deadline(INT64_MAX); }
  static constexpr Deadline AtMonotonic(int64_t nanoseconds) { return Deadline(nanoseconds); }
  static Deadline After(int64_t nanoseconds);  // from now; saturating
  constexpr bool is_never() const { return nanoseconds_ == INT64_MAX; }
  constexpr int64_t monotonic() const { return nanoseconds_; }
  // The moment when `clock` shows this absolute time, as its rate and offset are now.
  static Deadline AtClock(clockid_t clock, int64_t nanoseconds);
  int64_t Remaining() const;  // 0 once it has passed

 private:
  explicit constexpr Deadline(int64_t nanoseconds) : nanoseconds_(nanoseconds) {}
  int64_t nanoseconds_;
};

}  // namespace runsc

#endif  // SENTRY_TIME_CLOCK_H_
