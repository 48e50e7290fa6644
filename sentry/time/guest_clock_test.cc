#include "sentry/time/guest_clock.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "sentry/time/clock.h"

namespace runsc {

TEST_CASE("the guest's clocks are the host's and never step back") {
  VvarPage page{};
  GuestClock clock;
  clock.Attach(&page, 1);
  for (clockid_t id : {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME}) {
    int64_t last = clock.Now(id);
    int64_t end = last + 100'000'000;
    int64_t backwards = 0, worst = INT64_MAX;
    while (last < end) {
      int64_t before = ClockNow(id);
      int64_t now = clock.Now(id);
      int64_t after = ClockNow(id);
      if (now < last) ++backwards;
      // A reading between two of the host's tells nothing when this thread was not running.
      int64_t error = std::max(before - now, now - after);
      if (after - before < 5'000) worst = worst == INT64_MAX ? error : std::max(worst, error);
      last = now;
    }
    CHECK(backwards == 0);
    CHECK(worst < 100'000);
  }
}

}  // namespace runsc
