#include "sentry/time/cycle_clock.h"

#include "sentry/time/clock.h"

namespace runsc {
namespace {

constexpr int64_t kMinBaseline = 1'000'000;  // ns

struct Reading {
  uint64_t ticks;
  int64_t nanoseconds;

  static Reading Take() { return {CycleClock::Now(), MonotonicNow()}; }
};

const Reading& Start() {
  static const Reading start = Reading::Take();
  return start;
}

double NanosecondsPerTick() {
  static const double rate = [] {
    const Reading& start = Start();
    Reading now;
    do {
      now = Reading::Take();
    } while (now.nanoseconds - start.nanoseconds < kMinBaseline);
    const uint64_t ticks = CycleClock::Between(start.ticks, now.ticks);
    // A counter that stands still tells nothing.
    return ticks == 0 ? 0
                      : static_cast<double>(now.nanoseconds - start.nanoseconds) / static_cast<double>(ticks);
  }();
  return rate;
}

}  // namespace

void CycleClock::Begin() { (void)Start(); }

int64_t CycleClock::ToNanoseconds(uint64_t ticks) {
  return static_cast<int64_t>(static_cast<double>(ticks) * NanosecondsPerTick());
}

}  // namespace runsc
