// CycleClock: the CPU's time stamp counter as a stopwatch, for what is measured at every switch to guest
// code: reading CLOCK_MONOTONIC twice took an eighth of a system call. Its rate is measured once, so that
// what adds up ticks never goes backwards; CPU time needs no more than that.
//
// Threading: any thread. The counters of a host's CPUs may differ a little: subtract with Between.
#ifndef SENTRY_TIME_CYCLE_CLOCK_H_
#define SENTRY_TIME_CYCLE_CLOCK_H_

#include <x86intrin.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace runsc {

class CycleClock {
 public:
  // Never 0.
  static uint64_t Now() { return __rdtsc() | 1; }
  // Ticks from one reading to a later one; 0 if another CPU's counter makes it look earlier.
  static uint64_t Between(uint64_t from, uint64_t to) { return to > from ? to - from : 0; }
  // When the program starts: the rate is that of the time from here to the first conversion, which takes a
  // millisecond if it comes sooner.
  static void Begin();
  static int64_t ToNanoseconds(uint64_t ticks);
};

// Adds up the times between Start and Stop, which one thread calls; others may ask for the sum at any
// moment, and what they are told never goes backwards.
class CycleStopwatch {
 public:
  void Start() {
    start_ = CycleClock::Now();
    state_.store((sum_ - start_) << 1 | 1, std::memory_order_relaxed);
  }
  void Stop() {
    sum_ += CycleClock::Between(start_, CycleClock::Now());
    state_.store(sum_ << 1, std::memory_order_relaxed);
  }
  // In nanoseconds, with the time since a Start that no Stop has followed.
  int64_t Sum() const {
    const uint64_t state = state_.load(std::memory_order_relaxed);
    const int64_t shifted = static_cast<int64_t>(state) >> 1;
    const int64_t ticks = (state & 1) == 0 ? shifted : shifted + static_cast<int64_t>(CycleClock::Now());
    return CycleClock::ToNanoseconds(static_cast<uint64_t>(std::max<int64_t>(ticks, 0)));
  }

 private:
  uint64_t start_ = 0, sum_ = 0;    // ticks
  std::atomic<uint64_t> state_{0};  // twice the sum; while it runs, twice the sum less `start_`, and one
};

}  // namespace runsc

#endif  // SENTRY_TIME_CYCLE_CLOCK_H_
