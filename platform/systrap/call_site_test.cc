#include "platform/systrap/call_site.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "platform/systrap/site_table.h"

namespace runsc {
namespace {

constexpr uint64_t kAt = 0x400000;

// Surrounded by what is nothing in particular.
std::optional<CallSite> Find(std::vector<uint8_t> code, uint64_t number, size_t before = 64,
                             uint8_t filler = 0xf4) {
  size_t call = 0;
  while (code[call] != 0x0f || code[call + 1] != 0x05) ++call;
  std::vector<std::byte> all(before + code.size() + 64, static_cast<std::byte>(filler));
  memcpy(all.data() + before, code.data(), code.size());
  return FindCallSite(kAt + before + call, number, all, kAt);
}

size_t Length(std::vector<uint8_t> code) {
  return MovableInstruction(std::as_bytes(std::span<const uint8_t>(code)));
}

}  // namespace

TEST_CASE("loads of the number make room") {
  auto site = Find({0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3}, 39);
  REQUIRE(site);
  CHECK(site->shape == CallSite::Shape::kLoad);
  CHECK(site->address == kAt + 64);
  CHECK(site->call_address() == kAt + 69);
  CHECK(site->end() == kAt + 71);
  CHECK(site->number() == 39);
  site = Find({0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x05}, ~uint64_t{0});
  REQUIRE(site);
  CHECK(site->shape == CallSite::Shape::kLongLoad);
  CHECK(site->number() == ~uint64_t{0});
}

TEST_CASE("what only looks like a load is none") {
  CHECK_FALSE(Find({0xb8, 39, 0, 0, 0, 0x0f, 0x05}, 40));                    // another number
  CHECK_FALSE(Find({0x41, 0xb8, 39, 0, 0, 0, 0x0f, 0x05}, 39));              // mov $39, %r8d
  CHECK_FALSE(Find({0xb8, 15, 0, 0, 0, 0x0f, 0x05}, 15));                    // rt_sigreturn
  CHECK_FALSE(Find({0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05}, 15));        // the same
  CHECK_FALSE(Find({0x48, 0xc7, 0xc1, 39, 0, 0, 0, 0x0f, 0x05}, 39));        // mov $39, %rcx
  CHECK_FALSE(Find({0xb8, 39, 0, 0, 0, 0x0f, 0x05}, 39, 0, 0).has_value());  // cut off before
}

TEST_CASE("what looks at the result can move") {
  auto site = Find({0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x73, 0x01}, 1);
  REQUIRE(site);
  CHECK(site->shape == CallSite::Shape::kResult);
  CHECK(site->address == kAt + 64);
  CHECK(site->length == 8);
  CHECK(site->tail().size() == 6);
  site = Find({0x0f, 0x05, 0x48, 0x89, 0xc3, 0x85, 0xc0, 0x78, 0x10}, 1);
  REQUIRE(site);
  CHECK(site->length == 7);
  CHECK(Find({0x0f, 0x05, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc}, 1));
  CHECK(Find({0x0f, 0x05, 0xc3, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}, 1));
  // A branch, something else's start, a use of something else first, rip-relative.
  CHECK_FALSE(Find({0x0f, 0x05, 0x48, 0x85, 0xc0, 0x78, 0x10, 0x90}, 1));
  CHECK_FALSE(Find({0x0f, 0x05, 0xc3, 0x55, 0x48, 0x89, 0xe5}, 1));
  CHECK_FALSE(Find({0x0f, 0x05, 0x89, 0xd8, 0x90, 0x90, 0x90}, 1));
  CHECK_FALSE(Find({0x0f, 0x05, 0x48, 0x89, 0x05, 1, 2, 3, 4}, 1));
}

TEST_CASE("code that is jumped into stays") {
  // jmp to the cmp.
  CHECK_FALSE(Find({0xeb, 0x02, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff}, 1));
  CHECK_FALSE(Find({0xe9, 0x02, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff}, 1));
  // jmp to the call, and behind what is replaced.
  CHECK(Find({0xeb, 0x00, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff}, 1));
  CHECK(Find({0xeb, 0x08, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff}, 1));
}

TEST_CASE("lengths of instructions") {
  CHECK(Length({0x48, 0x3d, 1, 2, 3, 4}) == 6);
  CHECK(Length({0x89, 0x44, 0x24, 0x10}) == 4);
  CHECK(Length({0x48, 0x8b, 0x84, 0x24, 1, 2, 3, 4}) == 8);
  CHECK(Length({0x48, 0x8b, 0x04, 0x25, 1, 2, 3, 4}) == 8);
  CHECK(Length({0x0f, 0xb6, 0xc0}) == 3);
  CHECK(Length({0x48, 0xf7, 0xd8}) == 3);
  CHECK(Length({0xf7, 0xc0, 1, 2, 3, 4}) == 0);  // test: not needed
  CHECK(Length({0x48, 0x3d, 1, 2}) == 0);        // cut off
  CHECK(Length({0xe8, 1, 2, 3, 4}) == 0);
  CHECK(Length({0xff, 0xe0}) == 0);
  CHECK(Length({0x8b, 0x05, 1, 2, 3, 4}) == 0);
  CHECK(Length({}) == 0);
  CHECK(Length({0x48}) == 0);
}

TEST_CASE("places in a site and in its trampoline") {
  auto load = *Find({0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3}, 39);
  CHECK(MapIn(load, 3, load.address) == load.address);
  CHECK(MapIn(load, 3, load.call_address()) == SITE_CODE + 3 * SITE_SIZE + SITE_ENTER);
  CHECK(MapIn(load, 3, load.after_call()) == load.after_call());
  auto result = *Find({0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x73, 0x01}, 1);
  CHECK(MapIn(result, 1, result.address) == result.address);
  CHECK(MapIn(result, 1, result.after_call()) == SITE_CODE + SITE_SIZE + SITE_TAIL);
  CHECK(MapIn(result, 1, result.end()) == result.end());
  // A jump straight to the covered call of a load meets no instruction.
  CHECK(SiteTable::PatchFor(load, SITES - 1).replacement[5] == std::byte{0x06});
}

}  // namespace runsc
