#include "platform/stub/baton.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

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
  Baton baton;
  REQUIRE(baton.Take(kShort));
  std::vector<int> order;  // guarded by the baton
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      if (!baton.Take(kLong)) {
        ++failed;
        return;
      }
      order.push_back(i);
      baton.Release();
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(baton.wanted());
  baton.Release();
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == 0);
  CHECK(order == std::vector<int>{0, 1, 2, 3});
  CHECK_FALSE(baton.wanted());
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
