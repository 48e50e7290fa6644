#include <signal.h>
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "sentry/mm/fake_platform_test.h"
#include "sentry/usermem/safe_copy.h"

namespace runsc {
namespace {

using Access = SwitchResult::Access;
constexpr int kRW = PROT_READ | PROT_WRITE;

struct World {
  FakePlatform platform;
  std::unique_ptr<MemoryFile> file = MemoryFile::Create(64 << 20).value();
  RefPtr<MemoryManager> mm = MemoryManager::Create(platform, *file).value();

  FakeAddressSpace& space(MemoryManager& m) { return static_cast<FakeAddressSpace&>(m.address_space()); }
  FakeAddressSpace& space() { return space(*mm); }
  UserAddr Map(uint64_t length, int prot = kRW, MMapOptions options = {}) {
    options.length = length;
    options.prot = prot;
    Result<UserAddr> addr = mm->MMap(options);
    REQUIRE(addr.ok());
    return *addr;
  }
  UserAddr MapAt(uint64_t at, uint64_t length, int prot = kRW, MMapOptions options = {}) {
    options.addr = UserAddr(at);
    options.fixed = true;
    return Map(length, prot, options);
  }
  // A byte as the guest sees it; -1 with `code` set if it faults.
  int Load(MemoryManager& m, uint64_t addr, bool tell = true) {
    std::byte* memory = nullptr;
    code = FakeGuest(m).Touch(addr, Access::kRead, &memory, *file, tell);
    return code == 0 ? static_cast<int>(*memory) : -1;
  }
  bool Store(MemoryManager& m, uint64_t addr, int value, bool tell = true) {
    std::byte* memory = nullptr;
    code = FakeGuest(m).Touch(addr, Access::kWrite, &memory, *file, tell);
    if (code == 0) *memory = static_cast<std::byte>(value);
    return code == 0;
  }
  int Peek(MemoryManager& m, uint64_t addr) {
    std::byte value;
    return m.CopyIn(UserAddr(addr), {&value, 1}) == 1 ? static_cast<int>(value) : -1;
  }
  bool Poke(MemoryManager& m, uint64_t addr, int value) {
    auto byte = static_cast<std::byte>(value);
    return m.CopyOut(UserAddr(addr), {&byte, 1}) == 1;
  }
  std::string Ranges() {
    std::string text;
    for (const VmaInfo& vma : mm->Vmas(false)) {
      char line[64];
      snprintf(line, sizeof(line), "%llx-%llx:%d ", static_cast<unsigned long long>(vma.range.start.value()),
               static_cast<unsigned long long>(vma.range.end.value()), vma.prot);
      text += line;
    }
    return text;
  }
  int code = 0;
};

}  // namespace

TEST_CASE("anonymous memory is zero, then what was stored, for guest and Sentry alike") {
  World w;
  uint64_t a = w.Map(1 << 20).value();
  CHECK(w.Load(*w.mm, a) == 0);
  CHECK(w.file->allocated_bytes() == 0);  // reading allocates nothing
  CHECK(w.Store(*w.mm, a + 5, 7));
  CHECK(w.Load(*w.mm, a + 5) == 7);
  CHECK(w.Peek(*w.mm, a + 5) == 7);
  CHECK(w.Poke(*w.mm, a + 0x50000, 9));
  CHECK(w.Load(*w.mm, a + 0x50000) == 9);
  CHECK(w.Load(*w.mm, a + 0x90000, false) == 0);
  REQUIRE(w.mm->MUnmap(UserAddr(a), 1 << 20).ok());
  CHECK(w.file->allocated_bytes() == 0);
  CHECK(w.space().pages.empty());
  CHECK(w.Load(*w.mm, a) == -1);
  CHECK(w.code == SEGV_MAPERR);
}

TEST_CASE("a large copy runs over pages that are not there yet, and stops at a hole") {
  World w;
  uint64_t a = w.MapAt(0x10000000, 3 << 20).value();
  std::string text(3 << 20, 'x');
  CHECK(w.mm->CopyOut(UserAddr(a), std::as_bytes(std::span(text))) == text.size());
  std::string back(4 << 20, '\0');
  CHECK(w.mm->CopyIn(UserAddr(a), std::as_writable_bytes(std::span(back))) == text.size());
  CHECK(back.substr(0, text.size()) == text);
  CHECK(w.mm->ZeroOut(UserAddr(a + 1), 4 << 20) == (3 << 20) - 1);
  CHECK(w.mm->CopyIn(UserAddr(UINT64_MAX - 3), std::as_writable_bytes(std::span(back))) == 0);
  CHECK(w.mm->CopyOut(UserAddr(0), std::as_bytes(std::span(text))) == 0);
  Result<size_t> blocks = w.mm->WithBlocks(UserAddr(a + 10), 5 << 20, MemoryAccess::kWrite, [](auto iov) {
    size_t sum = 0;
    for (const iovec& v : iov) sum += v.iov_len;
    return Result<size_t>(sum);
  });
  CHECK(blocks.value() == (3 << 20) - 10);
  w.MapAt(0x20000000, 2 * kPageSize);
  blocks = w.mm->WithBlocks(UserAddr(0x20000000), SIZE_MAX, MemoryAccess::kWrite,
                            [](auto iov) { return Result<size_t>(iov[0].iov_len); });
  CHECK(blocks.value() == 2 * kPageSize);
}

TEST_CASE("protection is obeyed by guest and Sentry, with Linux's codes") {
  World w;
  uint64_t a = w.MapAt(0x10000000, 16 * kPageSize).value();
  CHECK(w.Store(*w.mm, a, 1));
  REQUIRE(w.mm->MProtect(UserAddr(a), kPageSize, PROT_READ, false).ok());
  CHECK(w.Load(*w.mm, a) == 1);
  CHECK_FALSE(w.Store(*w.mm, a, 2));
  CHECK(w.code == SEGV_ACCERR);
  CHECK_FALSE(w.Store(*w.mm, a, 2, false));  // also when the platform doesn't know the access
  CHECK(w.code == SEGV_ACCERR);
  CHECK_FALSE(w.Poke(*w.mm, a, 2));
  CHECK(w.Ranges() == "10000000-10001000:1 10001000-10010000:3 ");
  REQUIRE(w.mm->MProtect(UserAddr(a), kPageSize, PROT_NONE, false).ok());
  CHECK(w.Load(*w.mm, a) == -1);
  CHECK(w.code == SEGV_ACCERR);
  CHECK(w.Peek(*w.mm, a) == -1);
  std::byte forced{5};
  CHECK(w.mm->CopyOutForced(UserAddr(a), {&forced, 1}) == 1);
  REQUIRE(w.mm->MProtect(UserAddr(a), kPageSize, kRW, false).ok());
  CHECK(w.Load(*w.mm, a) == 5);
  CHECK(w.Ranges() == "10000000-10010000:3 ");
  CHECK(w.mm->MProtect(UserAddr(a + 0xf000), 2 * kPageSize, PROT_READ, false).is(ENOMEM));
  CHECK(w.mm->MProtect(UserAddr(a + 1), kPageSize, PROT_READ, false).is(EINVAL));
  CHECK(w.mm->MProtect(UserAddr(a), UINT64_MAX, PROT_READ, false).is(ENOMEM));
}

TEST_CASE("fork shares pages until somebody writes") {
  World w;
  uint64_t a = w.MapAt(0x10000000, 1 << 20).value();
  CHECK(w.Store(*w.mm, a, 1));
  CHECK(w.Store(*w.mm, a + kPageSize, 2));
  uint64_t before = w.file->allocated_bytes();
  RefPtr<MemoryManager> of_another_thread = w.mm;
  RefPtr<MemoryManager> child = w.mm->Fork().value();
  CHECK(w.file->allocated_bytes() == before);
  CHECK(w.Load(*child, a) == 1);
  CHECK(w.Store(*child, a, 11));
  CHECK(w.Load(*w.mm, a) == 1);
  CHECK(w.Store(*w.mm, a + kPageSize, 12));
  CHECK(w.Load(*child, a + kPageSize) == 2);
  CHECK(w.Poke(*child, a + 0x5000, 3));
  CHECK(w.Peek(*w.mm, a + 0x5000) == 0);
  child.reset();
  uint64_t alone = w.file->allocated_bytes();
  CHECK(w.Store(*w.mm, a, 4));  // nobody else has it: written in place
  CHECK(w.file->allocated_bytes() == alone);
  CHECK(w.Load(*w.mm, a + kPageSize) == 12);
}

TEST_CASE("fork copies a little that was written of late") {
  World w;
  uint64_t a = w.MapAt(0x10000000, 4 << 20).value();
  for (uint64_t at = a; at < a + (4 << 20); at += kPageSize) CHECK(w.Store(*w.mm, at, 7));
  uint64_t before = w.file->allocated_bytes();
  RefPtr<MemoryManager> first = w.mm->Fork().value();
  CHECK(w.file->allocated_bytes() <= before + (64 << 10));  // too much of it is new
  CHECK(w.Store(*w.mm, a, 1));
  CHECK(w.Store(*w.mm, a + (2 << 20), 2));
  uint64_t written = w.file->allocated_bytes();
  RefPtr<MemoryManager> second = w.mm->Fork().value();
  uint64_t copied = w.file->allocated_bytes() - written;
  CHECK(copied >= 2 * kPageSize);
  CHECK(copied <= 256 << 10);
  CHECK(w.Load(*second, a) == 1);
  CHECK(w.Load(*second, a + (2 << 20)) == 2);
  CHECK(w.Load(*first, a) == 7);
  uint64_t all = w.file->allocated_bytes();
  CHECK(w.Store(*w.mm, a, 3));
  CHECK(w.Store(*second, a, 4));
  CHECK(w.file->allocated_bytes() == all);  // each had its own already
  CHECK(w.Load(*w.mm, a) == 3);
  CHECK(w.Load(*second, a) == 4);
  CHECK(w.Load(*first, a) == 7);
  second.reset();
  first.reset();
  w.mm.reset();
  CHECK(w.file->allocated_bytes() == 0);
}

TEST_CASE("shared anonymous memory is one memory after fork") {
  World w;
  MMapOptions shared;
  shared.shared = true;
  uint64_t a = w.MapAt(0x10000000, 1 << 20, kRW, shared).value();
  CHECK(w.Store(*w.mm, a, 1));
  RefPtr<MemoryManager> child = w.mm->Fork().value();
  CHECK(w.Store(*child, a, 2));
  CHECK(w.Load(*w.mm, a) == 2);
  CHECK(w.Store(*w.mm, a + 0x80000, 3));
  CHECK(w.Load(*child, a + 0x80000) == 3);
  CHECK(w.mm->GetFutexKey(UserAddr(a), false).value() == child->GetFutexKey(UserAddr(a), false).value());
  CHECK_FALSE(w.mm->GetFutexKey(UserAddr(a), true).value() == child->GetFutexKey(UserAddr(a), true).value());
  REQUIRE(w.mm->MAdvise(UserAddr(a), kPageSize, MADV_REMOVE).ok());
  CHECK(w.Load(*child, a) == 0);
  CHECK(w.Load(*child, a + 0x80000) == 3);
  // A duplicate, and beyond the end of the object.
  UserAddr twin = w.mm->MRemap(UserAddr(a), 0, 2 << 20, MREMAP_MAYMOVE, UserAddr()).value();
  CHECK(w.Load(*w.mm, twin.value() + 0x80000) == 3);
  CHECK(w.Load(*w.mm, twin.value() + (1 << 20)) == -1);
  CHECK(w.code == -ENXIO);
}

TEST_CASE("mremap grows in place, moves with contents, shrinks") {
  World w;
  uint64_t a = w.MapAt(0x10000000, 4 * kPageSize).value();
  CHECK(w.Store(*w.mm, a + 0x3000, 3));
  CHECK(w.mm->MRemap(UserAddr(a), 0x4000, 0x8000, 0, UserAddr()).value().value() == a);
  w.MapAt(a + 0x8000, kPageSize, PROT_READ);
  CHECK(w.mm->MRemap(UserAddr(a), 0x8000, 0x9000, 0, UserAddr()).is(ENOMEM));
  uint64_t b = w.mm->MRemap(UserAddr(a), 0x8000, 0x10000, MREMAP_MAYMOVE, UserAddr()).value().value();
  CHECK(b != a);
  CHECK(w.Load(*w.mm, b + 0x3000) == 3);
  CHECK(w.Load(*w.mm, a) == -1);
  CHECK(w.mm->MRemap(UserAddr(b), 0x10000, 0x1000, 0, UserAddr()).value().value() == b);
  CHECK(w.Load(*w.mm, b + 0x3000) == -1);
  CHECK(w.Store(*w.mm, b, 6));
  uint64_t c = 0x20000000;
  CHECK(
      w.mm->MRemap(UserAddr(b), 0x1000, 0x2000, MREMAP_MAYMOVE | MREMAP_FIXED, UserAddr(c)).value().value() ==
      c);
  CHECK(w.Load(*w.mm, c) == 6);
  uint64_t d = w.mm->MRemap(UserAddr(c), 0x2000, 0x2000, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, UserAddr())
                   .value()
                   .value();
  CHECK(w.Load(*w.mm, d) == 6);
  CHECK(w.Load(*w.mm, c) == 0);
  CHECK(w.mm->MRemap(UserAddr(c), 0x2000, 0, MREMAP_MAYMOVE, UserAddr()).is(EINVAL));
  CHECK(w.mm->MRemap(UserAddr(c), 0x2000, UINT64_MAX, MREMAP_MAYMOVE, UserAddr()).is(EINVAL));
  CHECK(w.mm->MRemap(UserAddr(c), 0x2000, 1ull << 60, MREMAP_MAYMOVE, UserAddr()).is(EINVAL));
  CHECK(w.mm->MRemap(UserAddr(c), 0, 0x1000, MREMAP_MAYMOVE, UserAddr()).is(EINVAL));
  CHECK(w.mm->MRemap(UserAddr(0x1000), 0x1000, 0x2000, MREMAP_MAYMOVE, UserAddr()).is(EFAULT));
  CHECK(w.mm->MRemap(UserAddr(c), 0x2000, 0x1000, MREMAP_MAYMOVE | MREMAP_FIXED, UserAddr(c + 0x1000))
            .is(EINVAL));
}

TEST_CASE("a stack grows down to its limit and keeps its distance") {
  World w;
  MMapOptions stack;
  stack.grows_down = true;
  uint64_t top = 0x40000000;
  w.MapAt(top - 0x20000, 0x20000, kRW, stack);
  w.mm->SetLimits({.stack = 1 << 20});
  CHECK(w.Store(*w.mm, top - 0x30000, 1));
  CHECK(w.Store(*w.mm, top - (1 << 20), 1, false));
  CHECK_FALSE(w.Store(*w.mm, top - (1 << 20) - 1, 1));
  CHECK(w.code == SEGV_MAPERR);
  w.mm->SetLimits({.stack = 64 << 20});
  w.MapAt(top - (4 << 20), kPageSize, PROT_READ);
  CHECK(w.Store(*w.mm, top - (2 << 20), 1));
  CHECK_FALSE(w.Store(*w.mm, top - (4 << 20) + 2 * kPageSize, 1));
}

TEST_CASE("limits and hostile sizes") {
  World w;
  MMapOptions o;
  o.prot = kRW;
  CHECK(w.mm->MMap(o).is(EINVAL));
  o.length = UINT64_MAX;
  CHECK(w.mm->MMap(o).is(ENOMEM));
  o.length = UINT64_MAX - kPageSize;
  CHECK(w.mm->MMap(o).is(ENOMEM));
  o.length = 1ull << 40;
  CHECK(w.mm->MMap(o).is(ENOMEM));  // could never be there at once
  o.no_reserve = true;
  CHECK(w.mm->MMap(o).ok());
  o = {.addr = UserAddr(0x1001), .length = 10, .prot = kRW, .fixed = true};
  CHECK(w.mm->MMap(o).is(EINVAL));
  o.addr = UserAddr(0);
  CHECK(w.mm->MMap(o).is(EPERM));
  o.addr = UserAddr(UINT64_MAX & ~kPageMask);
  CHECK(w.mm->MMap(o).is(ENOMEM));
  CHECK(w.mm->MUnmap(UserAddr(UINT64_MAX & ~kPageMask), UINT64_MAX).is(EINVAL));
  CHECK(w.mm->MUnmap(UserAddr(0x10000), UINT64_MAX).is(EINVAL));
  CHECK(w.mm->MUnmap(UserAddr(0x10000), 0).is(EINVAL));
  CHECK(w.mm->MAdvise(UserAddr(0x10000), UINT64_MAX, MADV_DONTNEED).is(EINVAL));
  CHECK(w.mm->MAdvise(UserAddr(0x10000), 4096, 12345).is(EINVAL));
  CHECK(w.mm->MLock(UserAddr(0x10000), UINT64_MAX / 2, true).is(ENOMEM));
  CHECK(w.mm->MLock(UserAddr(0x10000), UINT64_MAX, true).ok());  // rounded up it is no page at all
  CHECK(w.mm->MinCore(UserAddr(0x10000), UINT64_MAX, UserAddr(0)).is(ENOMEM));

  // More than the memory file's limit is ENOMEM for the guest, not the end of the Sentry.
  uint64_t a = w.MapAt(0x10000000, 48 << 20).value();
  uint64_t b = w.MapAt(0x20000000, 48 << 20).value();
  CHECK(w.mm->ZeroOut(UserAddr(a), 48 << 20) == 48 << 20);
  CHECK(w.mm->ZeroOut(UserAddr(b), 48 << 20) == 16 << 20);
  CHECK_FALSE(w.Store(*w.mm, b + (40 << 20), 1));
  CHECK(w.code == -ENOMEM);
  REQUIRE(w.mm->MAdvise(UserAddr(a), 48 << 20, MADV_DONTNEED).ok());
  CHECK(w.Store(*w.mm, b + (40 << 20), 1));
  CHECK(w.Load(*w.mm, a) == 0);

  w.mm->SetLimits({.address_space = w.mm->GetUsage().virtual_bytes + kPageSize, .data = UINT64_MAX});
  CHECK(w.mm->MMap({.length = kPageSize, .prot = kRW}).ok());
  CHECK(w.mm->MMap({.length = kPageSize, .prot = kRW}).is(ENOMEM));
}

TEST_CASE("brk moves the heap") {
  World w;
  w.mm->SetBrk(UserAddr(0x10000000));
  CHECK(w.mm->Brk(UserAddr(0)).value().value() == 0x10000000);
  CHECK(w.mm->Brk(UserAddr(0x10001234)).value().value() == 0x10001234);
  CHECK(w.Store(*w.mm, 0x10001fff, 1));
  CHECK_FALSE(w.Store(*w.mm, 0x10002000, 1));
  CHECK(w.mm->Vmas(false)[0].name == "[heap]");
  CHECK(w.mm->Brk(UserAddr(0x10000800)).value().value() == 0x10000800);
  CHECK_FALSE(w.Store(*w.mm, 0x10001000, 1));
  CHECK(w.mm->Brk(UserAddr(UINT64_MAX)).value().value() == 0x10000800);
  w.MapAt(0x10008000, kPageSize);
  CHECK(w.mm->Brk(UserAddr(0x10009000)).value().value() == 0x10000800);
  CHECK(w.mm->Brk(UserAddr(0x10008000)).value().value() == 0x10008000);
}

TEST_CASE("the fork flags of madvise") {
  World w;
  uint64_t a = w.MapAt(0x10000000, 4 * kPageSize).value();
  CHECK(w.mm->ZeroOut(UserAddr(a), 4 * kPageSize) == 4 * kPageSize);
  for (uint64_t page = 0; page < 4; ++page) CHECK(w.Store(*w.mm, a + page * kPageSize, 1));
  REQUIRE(w.mm->MAdvise(UserAddr(a + kPageSize), kPageSize, MADV_DONTFORK).ok());
  REQUIRE(w.mm->MAdvise(UserAddr(a + 2 * kPageSize), kPageSize, MADV_WIPEONFORK).ok());
  RefPtr<MemoryManager> child = w.mm->Fork().value();
  CHECK(w.Peek(*child, a) == 1);
  CHECK(w.Peek(*child, a + kPageSize) == -1);
  CHECK(w.Peek(*child, a + 2 * kPageSize) == 0);
  CHECK(w.Peek(*child, a + 3 * kPageSize) == 1);
  child.reset();
  w.mm->MUnmap(UserAddr(a), 4 * kPageSize).ok();
  CHECK(w.file->allocated_bytes() == 0);
}

}  // namespace runsc
