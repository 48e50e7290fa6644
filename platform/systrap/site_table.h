// SiteTable: the trampolines of patched sites, in a file that is mapped at SITE_TABLE into
// every address space of a family (one that was made by exec, and what was forked from
// it), since forked text has the same jumps.
//
//   SITE_TABLE  r--  pointers: the first one to the stub's `enter`, then one a site, to its
//   SITE_CODE   r-x  trampolines of SITE_SIZE bytes:
//       0  the guest's own load of rax, or a nop
//       7  mov $index, %r11d; jmp *SITE_TABLE      to `enter`
//      20  syscall                                 for a thread that has its own gs base
//      22  mov $after_call, %rcx                   where a call that was made comes back
//      32  what stood behind the call
//          jmp *end
//
// Entries are never changed or reused: a thread may be in them.
//
// Threading: thread-safe; Get takes no lock.
#ifndef PLATFORM_SYSTRAP_SITE_TABLE_H_
#define PLATFORM_SYSTRAP_SITE_TABLE_H_

#include <atomic>
#include <memory>
#include <optional>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"
#include "platform/systrap/call_site.h"
#include "platform/systrap/slot_layout.h"

namespace runsc {

class SiteTable final : public RefCounted {
 public:
  // `enter` is the address of the stub's code that trampolines jump to.
  static Result<RefPtr<SiteTable>> New(uint64_t enter);

  int fd() const { return fd_.get(); }
  // The index of a new entry, or of the one that is there; nullopt: full.
  std::optional<uint32_t> Add(const CallSite& site) ABSL_LOCKS_EXCLUDED(mu_);
  // Null: there is no such entry.
  const CallSite* Get(uint32_t index) const {
    return index < count_.load(std::memory_order_acquire) && index > 0 ? &sites_[index] : nullptr;
  }
  static CodePatch PatchFor(const CallSite& site, uint32_t index);

 private:
  SiteTable(UniqueFd fd, char* memory) : fd_(std::move(fd)), memory_(memory) {}
  ~SiteTable() override;

  const UniqueFd fd_;
  char* const memory_;
  std::atomic<uint32_t> count_{1};
  Mutex mu_{LockRank::kLeaf};  // one Add at a time
  std::unique_ptr<CallSite[]> sites_ = std::make_unique<CallSite[]>(SITES);
};

// Where a thread that is to go on at `rip` has to begin, `site` being patched there.
uint64_t MapIn(const CallSite& site, uint32_t index, uint64_t rip);

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_SITE_TABLE_H_
