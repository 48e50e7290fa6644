// A platform without guests: its address space keeps, page by page, what mm mapped, so
// that a test can touch memory as a guest would and see the pages behind it.
#ifndef SENTRY_MM_FAKE_PLATFORM_TEST_H_
#define SENTRY_MM_FAKE_PLATFORM_TEST_H_

#include <map>
#include <memory>

#include "platform/platform.h"
#include "sentry/mm/memory_manager.h"

namespace runsc {

class FakeAddressSpace final : public AddressSpace {
 public:
  struct Page {
    int fd = -1;
    uint64_t offset = 0;
    int prot = 0;
  };
  Result<void> MapFile(uint64_t addr, int fd, uint64_t offset, uint64_t length, MapOptions options) override {
    if (!(addr % kPageSize == 0 && offset % kPageSize == 0 && length % kPageSize == 0 && length != 0))
      __builtin_trap();
    ++calls;
    for (uint64_t at = 0; at < length; at += kPageSize) pages[addr + at] = {fd, offset + at, options.prot};
    return Ok();
  }
  Result<void> Unmap(uint64_t addr, uint64_t length) override {
    if (!(addr % kPageSize == 0 && length % kPageSize == 0 && length != 0)) __builtin_trap();
    ++calls;
    pages.erase(pages.lower_bound(addr), pages.lower_bound(addr + length));
    return Ok();
  }
  Result<void> Protect(uint64_t addr, uint64_t length, int prot) override {
    if (!(addr % kPageSize == 0 && length % kPageSize == 0 && length != 0)) __builtin_trap();
    ++calls;
    for (auto it = pages.lower_bound(addr); it != pages.end() && it->first < addr + length; ++it)
      it->second.prot = prot;
    return Ok();
  }

  std::map<uint64_t, Page> pages;
  int calls = 0;
};

class FakePlatform final : public Platform {
 public:
  std::string_view name() const override { return "fake"; }
  Result<RefPtr<AddressSpace>> NewAddressSpace() override {
    return RefPtr<AddressSpace>(MakeRef<FakeAddressSpace>());
  }
  std::unique_ptr<Context> NewContext() override { return nullptr; }
  uint64_t min_address() const override { return 0x1000; }
  uint64_t max_address() const override { return 0x7ffffffff000; }
  size_t fp_state_size() const override { return 512; }
};

// What a guest thread does: tries, faults, tries again.
class FakeGuest {
 public:
  explicit FakeGuest(MemoryManager& mm)
      : mm_(mm), space_(static_cast<FakeAddressSpace&>(mm.address_space())) {}

  // 0, or the si_code (negative for SIGBUS, and for whatever else goes wrong).
  int Touch(uint64_t addr, SwitchResult::Access access, std::byte** memory, MemoryFile& file,
            bool tell = true) {
    for (int tries = 0; tries < 8; ++tries) {
      auto it = space_.pages.find(addr & ~kPageMask);
      int needed = access == SwitchResult::Access::kWrite     ? PROT_WRITE
                   : access == SwitchResult::Access::kExecute ? PROT_EXEC
                                                              : PROT_READ;
      if (it != space_.pages.end() && (it->second.prot & needed)) {
        *memory = file.At(it->second.offset) + (addr & kPageMask);
        return 0;
      }
      ++faults;
      int code = 0;
      Result<void> done =
          mm_.HandleFault(UserAddr(addr), tell ? access : SwitchResult::Access::kUnknown, &code);
      if (!done.ok()) return done.is(EFAULT) ? code : -done.error().value();
    }
    return -1000;
  }

  int faults = 0;

 private:
  MemoryManager& mm_;
  FakeAddressSpace& space_;
};

}  // namespace runsc

#endif  // SENTRY_MM_FAKE_PLATFORM_TEST_H_
