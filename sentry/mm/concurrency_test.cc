// Several threads at one address space: nothing that was written is lost, whatever the
// others map, unmap and fork.
#include <sys/mman.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>
#include <vector>

#include "sentry/mm/fake_platform_test.h"

namespace runsc {

TEST_CASE("copies, forks and unmaps at once") {
  FakePlatform platform;
  auto file = MemoryFile::Create(64 << 20).value();
  {
    RefPtr<MemoryManager> mm = MemoryManager::Create(platform, *file).value();
    UserAddr base = mm->MMap({.length = 64 * kPageSize, .prot = PROT_READ | PROT_WRITE}).value();
    std::atomic<bool> stop{false};
    std::atomic<int> lost{0};
    auto write_and_check = [&](uint64_t part, bool blocks) {
      UserAddr mine = base + part * 16 * kPageSize + 100;
      for (uint32_t n = 1; !stop; ++n) {
        UserPtr<uint32_t> word((mine + n % 15 * kPageSize).value());
        if (blocks) {
          auto put = [&](std::span<const iovec> iov) -> Result<size_t> {
            std::memcpy(iov[0].iov_base, &n, sizeof(n));
            return sizeof(n);
          };
          if (!mm->WithBlocks(word.addr(), sizeof(n), MemoryAccess::kWrite, put).ok()) ++lost;
        } else if (!mm->Write(word, n).ok()) {
          ++lost;
        }
        Result<uint32_t> got = mm->Read(word);
        if (!got.ok() || *got != n) ++lost;
      }
    };
    std::vector<std::thread> threads;
    for (uint64_t part = 0; part < 3; ++part) threads.emplace_back(write_and_check, part, part == 2);
    threads.emplace_back([&] {
      while (!stop) {
        UserAddr other = mm->MMap({.length = 8 * kPageSize, .prot = PROT_READ | PROT_WRITE}).value();
        if (mm->ZeroOut(other, 8 * kPageSize) != 8 * kPageSize) ++lost;
        if (!mm->MProtect(other, 4 * kPageSize, PROT_READ, false).ok()) ++lost;
        if (!mm->MUnmap(other, 8 * kPageSize).ok()) ++lost;
      }
    });
    for (int i = 0; i < 300; ++i) {
      RefPtr<MemoryManager> child = mm->Fork().value();
      std::byte zeros[64] = {};
      child->CopyOut(base + 100, zeros);
      child->CopyOut(base + 40 * kPageSize, zeros);
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    CHECK(lost == 0);
  }
  CHECK(file->allocated_bytes() == 0);
}

}  // namespace runsc
