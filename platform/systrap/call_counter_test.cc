#include "platform/systrap/call_counter.h"

#include <catch2/catch.hpp>
#include <vector>

namespace runsc {
namespace {

// How many of `calls` became hot within `rounds` in turn; a hot one does not come again, as if patched.
size_t HotWithin(int rounds, std::vector<uint64_t> calls) {
  CallCounter counter;
  const size_t all = calls.size();
  for (int i = 0; i < rounds; ++i) std::erase_if(calls, [&](uint64_t call) { return counter.Count(call); });
  return all - calls.size();
}

std::vector<uint64_t> Calls(size_t count, uint64_t distance) {
  std::vector<uint64_t> calls;
  for (size_t i = 0; i < count; ++i) calls.push_back(0x7f0000001000 + i * distance);
  return calls;
}

}  // namespace

TEST_CASE("a call is hot once, at the threshold") {
  CallCounter counter;
  for (uint32_t i = 1; i < CallCounter::kHot; ++i) CHECK_FALSE(counter.Count(0x401000));
  CHECK(counter.Count(0x401000));
  for (uint32_t i = 0; i < 10 * CallCounter::kHot; ++i) REQUIRE_FALSE(counter.Count(0x401000));
}

TEST_CASE("calls in turn do not make each other forgotten") {
  // Of 65 addresses in 64 sets at least two share one, whichever they are.
  for (uint64_t distance : {1, 16, 64, 4096, 65536}) {
    std::vector<uint64_t> calls = Calls(65, distance);
    CHECK(HotWithin(2 * CallCounter::kHot, calls) == calls.size());
  }
}

TEST_CASE("more calls than there are entries become hot in the end") {
  for (uint64_t distance : {2, 64, 4096}) {
    std::vector<uint64_t> calls = Calls(2000, distance);
    CHECK(HotWithin(10 * CallCounter::kHot, calls) == calls.size());
  }
}

TEST_CASE("patched calls make room for others") {
  CallCounter counter;
  for (uint64_t call : Calls(1000, 64)) {
    uint32_t told = 0;
    for (uint32_t i = 0; i < CallCounter::kHot; ++i) told += counter.Count(call) ? 1 : 0;
    CHECK(told == 1);
  }
}

}  // namespace runsc
