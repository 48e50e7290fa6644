#include "platform/stub/baton.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "platform/base/asleep_test.h"

namespace runsc {
namespace {

constexpr long kLong = 900'000'000, kShort = 20'000'000;  // ns

}  // namespace

TEST_CASE("a baton is one's at a time") {
  Baton baton;
  REQUIRE(baton.Take(kShort));
  CHECK_FALSE(baton.wanted());
  bool taken = true;
  std::thread([&] { taken = baton.Take(kShort); }).join();
  CHECK_FALSE(taken);
  CHECK_FALSE(baton.wanted());  // who gave up does not get it either
  baton.Release();
  CHECK(baton.Take(kShort));
  baton.Release();
}

TEST_CASE("a baton goes to those who wait, in their order") {
  std::vector<int> order;  // guarded by the baton
  do {                     // until nobody's patience has ended before the machine had time for all
    order.clear();
    Baton baton;
    while (!baton.Take(kShort)) {
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      std::atomic<pid_t> waiter{0};
      threads.emplace_back([&, i] {
        waiter = gettid();
        if (!baton.Take(kLong)) return;
        order.push_back(i);
        baton.Release();
      });
      WaitUntilAsleep(waiter);
    }
    baton.Release();
    for (std::thread& thread : threads) thread.join();
    CHECK(std::is_sorted(order.begin(), order.end()));
    CHECK_FALSE(baton.wanted());
  } while (order.size() < 4);
}

TEST_CASE("a baton is not lost between those who get it and those who give up") {
  Baton baton;
  int inside = 0;  // guarded by the baton
  std::atomic<int> turns{0}, overlaps{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 2000; ++k) {
        if (!baton.Take(1'000 + k % 7 * 20'000)) continue;
        if (++inside != 1) ++overlaps;
        ++turns;
        --inside;
        baton.Release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(overlaps == 0);
  CHECK(turns > 0);
  CHECK(baton.Take(kShort));
}

}  // namespace runsc
