// fork(2): a second address space over the same pages.
#include <algorithm>

#include "sentry/mm/state.h"

namespace runsc {
namespace {

constexpr size_t kMaxPrefault = 32;
// What has been written since the last fork will be written again by both, and each fault costs more than
// copying ten pages: so much is copied at once.
constexpr uint64_t kMaxCopiedPiece = 64 << 10;
constexpr uint64_t kMaxCopied = 256 << 10;

}  // namespace

Result<RefPtr<MemoryManager>> MemoryManager::Fork() {
  State& s = *state_;
  ASSIGN_OR_RETURN(RefPtr<MemoryManager> child, Create(s.platform, s.memory_file));
  State& c = *child->state_;
  Garbage garbage;
  // A copy into guest memory that goes on without the lock holds pages that are about
  // to be shared: what it writes after that would be the child's too.
  for (;;) {
    s.mu.Lock();
    uint32_t pins = s.write_pins.load(std::memory_order_acquire);
    if (pins == 0) break;
    s.mu.Unlock();
    s.write_pins.wait(pins, std::memory_order_acquire);
  }
  // Nobody else knows the child yet.
  c.mu.AssertHeld();
  child->user_ns_ = user_ns_;
  c.limits = s.limits;
  c.mmap_base = s.mmap_base;
  c.gap_hints.fill(UINT64_MAX);
  c.brk_start = s.brk_start;
  c.brk = s.brk;
  c.layout = s.layout;
  c.executable = s.executable;
  c.dumpable = s.dumpable.load(std::memory_order_relaxed);
  constexpr uint32_t kNoInherit = 2;  // PR_MDWE_NO_INHERIT
  const uint32_t refused = s.refused_exec.load(std::memory_order_relaxed);
  if ((refused & kNoInherit) == 0) c.refused_exec = refused;

  // With another thread about, pages have to be the child's all at one moment, or at least each of them.
  uint64_t may_copy = ref_count() == 1 ? kMaxCopied : 0;
  for (const auto& [start, vma] : s.vmas) {
    if (vma.dont_fork) continue;
    Vma copy = vma;
    copy.locked = false;  // mlock(2): not inherited
    c.Account(copy, copy.end - start, 1);
    c.vmas.emplace_hint(c.vmas.end(), start, std::move(copy));
    if (vma.wipe_on_fork) continue;
    // A pma may reach over a VMA that could not be merged with its neighbour.
    s.SplitPmaAt(start);
    s.SplitPmaAt(vma.end);
    for (auto it = s.FirstPmaFrom(start); it != s.pmas.end() && it->first < vma.end; ++it) {
      Pma& pma = it->second;
      // Pages of files the child asks for itself: it does not hear of truncations yet.
      if (!pma.anonymous && !pma.zero) {
        if (pma.host_prot != 0 && c.prefault.size() < kMaxPrefault) c.prefault.push_back(it->first);
        continue;
      }
      Pma of_child = pma;
      of_child.host_prot = 0;
      const uint64_t length = pma.end - it->first;
      if (!pma.zero && !pma.cow && length <= std::min(may_copy, kMaxCopiedPiece)) {
        if (auto copy = s.memory_file.Copy({pma.offset, length}); copy.ok()) {
          may_copy -= length;
          of_child.offset = copy->offset;
          c.pmas.emplace_hint(c.pmas.end(), it->first, of_child);
          continue;
        }
      }
      if (!pma.zero) {
        pma.file->AddPageRefs({pma.offset, length});
        pma.cow = of_child.cow = true;
      }
      c.pmas.emplace_hint(c.pmas.end(), it->first, of_child);
    }
  }
  Result<void> inherited = c.InheritPatches(s);
  s.space->BeginBatch();
  s.ProtectRange({0, s.max_address}, garbage);
  Result<void> batch = s.space->EndBatch();
  if (!batch.ok()) s.ForgetHostMappings(garbage);
  s.MergePmas({0, s.max_address});
  s.mu.Unlock();
  c.MergePmas({0, c.max_address});

  for (auto& [start, vma] : c.vmas) {
    if (vma.object)
      vma.object->mappable().AddMapping(*child, {UserAddr(start), UserAddr(vma.end)}, vma.offset,
                                        vma.writable_mapping());
  }
  if (!batch.ok()) return batch.error();
  if (!inherited.ok()) return inherited.error();
  return child;
}

}  // namespace runsc
