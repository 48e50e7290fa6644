#include "sentry/time/cycle_clock.h"

#include <time.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "sentry/time/clock.h"

namespace runsc {
namespace {

void SpinFor(int64_t nanoseconds) {
  for (int64_t end = MonotonicNow() + nanoseconds; MonotonicNow() < end;) {
  }
}

}  // namespace

TEST_CASE("ticks are as long as the clock's time") {
  CycleClock::Begin();
  const int64_t before = MonotonicNow();
  const uint64_t start = CycleClock::Now();
  SpinFor(20'000'000);
  const int64_t ticked = CycleClock::ToNanoseconds(CycleClock::Between(start, CycleClock::Now()));
  const int64_t took = MonotonicNow() - before;
  CHECK(ticked <= took + took / 1000);
  CHECK(ticked >= 20'000'000 - 20'000'000 / 1000);
}

TEST_CASE("an earlier reading is no time ago") {
  CHECK(CycleClock::Between(10, 9) == 0);
  CHECK(CycleClock::Between(10, 10) == 0);
  CHECK(CycleClock::Between(10, 12) == 2);
}

TEST_CASE("a stopwatch counts what it runs, and never goes back") {
  CycleStopwatch watch;
  CHECK(watch.Sum() == 0);
  int64_t last = 0;
  for (int i = 0; i < 1000; ++i) {
    watch.Start();
    for (int k = 0; k < 10; ++k) {
      const int64_t now = watch.Sum();
      CHECK(now >= last);
      last = now;
    }
    watch.Stop();
    CHECK(watch.Sum() >= last);
    last = watch.Sum();
  }
  SpinFor(1'000'000);  // it stands still
  CHECK(watch.Sum() == last);
}

}  // namespace runsc
