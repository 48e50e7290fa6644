#include "sentry/memory/memory_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <random>
#include <utility>

#include "platform/host/large_page_file.h"
#include "sentry/memory/extent_set.h"
#include "sentry/memory/mapping_set.h"

namespace runsc {

TEST_CASE("pages come zeroed, are counted, and go back to the host") {
  auto file = MemoryFile::Create(64 << 20).value();
  FileRange a = file->Allocate(1 << 20).value();
  CHECK(file->allocated_bytes() == 1 << 20);
  memset(file->At(a), 0xff, a.length);
  CHECK_FALSE(file->IsShared(a.offset));
  file->AddPageRefs({a.offset, kPageSize});
  CHECK(file->IsShared(a.offset));
  file->ReleasePageRefs(a);
  CHECK(file->allocated_bytes() == kPageSize);
  CHECK(*file->At(a.offset) == std::byte{0xff});
  file->ReleasePageRefs({a.offset, kPageSize});
  CHECK(file->allocated_bytes() == 0);
  struct stat st;
  REQUIRE(fstat(file->host_fd(), &st) == 0);
  CHECK(st.st_blocks * 512 <= 4096);
  // Small ones are used again, zeroed.
  for (int i = 0; i < 100; ++i) {
    FileRange page = file->Allocate(kPageSize).value();
    for (uint64_t k = 0; k < kPageSize; ++k) REQUIRE(file->At(page.offset)[k] == std::byte{0});
    memset(file->At(page.offset), 1, kPageSize);
    file->ReleasePageRefs(page);
  }
}

TEST_CASE("a copy has the bytes of the pages that it was made of") {
  auto file = MemoryFile::Create(1 << 20).value();
  FileRange dirty = file->Allocate(8 * kPageSize).value();
  memset(file->At(dirty), 0xff, dirty.length);
  file->ReleasePageRefs(dirty);
  FileRange from = file->Allocate(3 * kPageSize).value();
  for (uint64_t i = 0; i < from.length; ++i) file->At(from)[i] = static_cast<std::byte>(i * 7);
  FileRange copy = file->Copy(from).value();
  CHECK(copy.length == from.length);
  CHECK(memcmp(file->At(copy), file->At(from), from.length) == 0);
  CHECK_FALSE(file->IsShared(copy.offset));
  file->ReleasePageRefs(from);
  file->ReleasePageRefs(copy);
  CHECK(file->allocated_bytes() == 0);
  CHECK(file->Copy({from.offset, 2 << 20}).is(ENOMEM));
}

// Where this process may not mount, there is nothing to see.
TEST_CASE("large pages: what is used whole is made at once, the rest as it is touched") {
  UniqueFd backing = OpenLargePageFile();
  if (!backing) {
    WARN("SKIPPED: no file of large pages here (needs mount rights and Linux 6.14)");
    return;
  }
  auto file = MemoryFile::Create(64 << 20, std::move(backing)).value();
  auto blocks = [&] {
    struct stat st;
    REQUIRE(fstat(file->host_fd(), &st) == 0);
    return static_cast<uint64_t>(st.st_blocks) * 512;
  };
  const uint64_t at_start = blocks();
  FileRange perhaps = file->Allocate(128 << 10).value();
  CHECK(blocks() == at_start);
  *file->At(perhaps.offset) = std::byte{1};
  CHECK(blocks() == at_start + kPageSize);

  FileRange whole = file->Allocate(64 << 10, MemoryFile::Use::kWhole).value();
  CHECK(whole.offset % whole.length == 0);
  CHECK(blocks() == at_start + kPageSize + whole.length);
  CHECK_FALSE(TouchedPages::Contains(*file, whole.offset));
  *file->At(whole.offset) = std::byte{1};
  CHECK(file->IsFilled(whole));
  CHECK(blocks() == at_start + kPageSize + whole.length);
  for (uint64_t i = 1; i < whole.length; ++i) REQUIRE(file->At(whole)[i] == std::byte{0});

  FileRange large = file->Allocate(8 << 20, MemoryFile::Use::kWhole).value();
  CHECK(blocks() == at_start + kPageSize + whole.length + large.length);
  memset(file->At(large), 0xff, large.length);
  // What goes back goes wholly, and what takes its place is zero.
  file->ReleasePageRefs({large.offset + (1 << 20), 4 << 20});
  CHECK(blocks() == at_start + kPageSize + whole.length + (4 << 20));
  FileRange again = file->Allocate(1 << 20, MemoryFile::Use::kWhole).value();
  for (uint64_t i = 0; i < again.length; ++i) REQUIRE(file->At(again)[i] == std::byte{0});
  CHECK(*file->At(large.offset) == std::byte{0xff});
}

TEST_CASE("the limit is exact") {
  auto file = MemoryFile::Create(1 << 20).value();
  CHECK(file->Allocate(2 << 20).is(ENOMEM));
  CHECK(file->Allocate(uint64_t{1} << 62).is(ENOMEM));
  FileRange a = file->Allocate((1 << 20) - kPageSize).value();
  CHECK(file->Allocate(2 * kPageSize).is(ENOMEM));
  FileRange b = file->Allocate(kPageSize).value();
  CHECK(file->Allocate(kPageSize).is(ENOMEM));
  file->ReleasePageRefs(a);
  file->ReleasePageRefs(b);
  CHECK(file->Allocate(1 << 20).ok());
}

TEST_CASE("extents merge and are found by the best fit") {
  ExtentSet set;
  set.Insert({0, 10});
  set.Insert({20, 10});
  set.Insert({10, 10});
  CHECK(set.total() == 30);
  CHECK(set.Take(30) == 0);
  CHECK_FALSE(set.Take(1));
  set.Insert({100, 5});
  set.Insert({200, 50});
  CHECK(set.Take(4) == 100);
  CHECK(set.Take(4) == 200);
  CHECK(set.TakeAll().size() == 2);
}

TEST_CASE("what was touched is known") {
  auto file = MemoryFile::Create(64 << 20);
  REQUIRE(file.ok());
  constexpr uint64_t kLength = 4 << 20;
  auto range = (*file)->Allocate(kLength);
  REQUIRE(range.ok());
  TouchedPages nothing(**file);
  CHECK(nothing.CountBytes(*range) == 0);
  for (uint64_t page : {0, 1, 100, 1023}) *(*file)->At(range->offset + page * kPageSize) = std::byte{1};
  std::vector<std::pair<uint64_t, uint64_t>> parts;
  TouchedPages touched(**file);
  touched.ForEach(*range, [&](FileRange part) {
    parts.emplace_back((part.offset - range->offset) / kPageSize, part.length / kPageSize);
  });
  CHECK(parts == std::vector<std::pair<uint64_t, uint64_t>>{{0, 2}, {100, 1}, {1023, 1}});
  CHECK(touched.CountBytes({range->offset + kPageSize, 100 * kPageSize}) == 2 * kPageSize);
  CHECK(TouchedPages::Contains(**file, range->offset + 100 * kPageSize));
  CHECK_FALSE(TouchedPages::Contains(**file, range->offset + 101 * kPageSize));
  (*file)->ReleasePageRefs(*range);
}

TEST_CASE("a mapping set keeps cut and joined ranges and finds them by offset") {
  struct Owner final : MappingOwner {
    void Invalidate(UserRange range, bool) override { ranges.push_back(range); }
    bool TryHold() override { return ++holds > 0; }
    void Drop() override { --holds; }
    std::vector<UserRange> ranges;
    int holds = 0;
  } a, b;
  MappingSet set;
  set.Add(a, {UserAddr(0x10000), UserAddr(0x20000)}, 0, true);
  set.Add(a, {UserAddr(0x20000), UserAddr(0x30000)}, 0x10000, true);
  set.Add(b, {UserAddr(0x10000), UserAddr(0x20000)}, 0x8000, false);
  set.Remove(a, {UserAddr(0x18000), UserAddr(0x28000)}, 0x8000, true);
  {
    auto targets = set.Find(0x4000, 0x6000);
    targets.Invalidate(true);
  }
  CHECK(a.ranges == std::vector<UserRange>{{UserAddr(0x14000), UserAddr(0x18000)}});
  CHECK(b.ranges == std::vector<UserRange>{{UserAddr(0x10000), UserAddr(0x12000)}});
  CHECK(a.holds == 0);
  CHECK(set.has_writable());
  set.Remove(a, {UserAddr(0), UserAddr(0x100000)}, 0, true);
  CHECK_FALSE(set.has_writable());
  set.Remove(b, {UserAddr(0x10000), UserAddr(0x20000)}, 0x8000, false);
  CHECK(set.empty());
}

}  // namespace runsc
