// mremap(2): shrinking, growing in place, moving, and duplicating shared memory.
#include <algorithm>

#include "sentry/mm/state.h"

namespace runsc {

// Checks of vma_to_resize() in Linux's mm/mremap.c.
Result<void> MemoryManager::State::CheckResize(VmaMap::iterator it, Span old_range, uint64_t new_length,
                                               int flags) {
  const Vma& vma = it->second;
  if (old_range.empty() && !vma.shared) return Errno(EINVAL);
  if (old_range.length() > vma.end - old_range.start) return Errno(EFAULT);
  if (new_length <= old_range.length()) return Ok();
  uint64_t growth = new_length - old_range.length();
  uint64_t end;
  if (vma.object && __builtin_add_overflow(vma.offset + (old_range.start - it->first), new_length, &end))
    return Errno(EINVAL);
  if (vma.locked && growth > limits.locked - std::min(locked_bytes, limits.locked)) return Errno(EAGAIN);
  return CheckLimits(vma, growth);
}

Result<UserAddr> MemoryManager::State::MoveVma(Span old_range, Span new_range, bool keep_old,
                                               Garbage& garbage) {
  if (vmas.size() + 3 > kMaxVmas) return Errno(ENOMEM);
  RETURN_IF_ERROR(UndoPatches(old_range, garbage));
  auto it = FindVma(old_range.start);
  Vma moved = it->second;
  if (moved.object) moved.offset += old_range.start - it->first;
  moved.end = new_range.end;
  if (keep_old && !old_range.empty()) {
    // What stays behind is empty and no longer locked.
    SplitVmaAt(old_range.start);
    SplitVmaAt(old_range.end);
    it = FindVma(old_range.start);
    if (it->second.locked) {
      Account(it->second, old_range.length(), -1);
      it->second.locked = false;
      Account(it->second, old_range.length(), 1);
    }
  }
  // Pages first, while both places are ours.
  SplitPmaAt(old_range.start);
  SplitPmaAt(old_range.end);
  std::vector<std::pair<uint64_t, Pma>> pages;
  Span mapped;
  for (auto p = pmas.lower_bound(old_range.start); p != pmas.end() && p->first < old_range.end;) {
    Pma pma = p->second;
    if (pma.host_prot != 0) mapped.Extend({p->first, pma.end});
    if (!pma.anonymous && !pma.zero) {
      // The file is asked again, once it knows the new place.
      garbage.pages.push_back({pma.file, FileRange{pma.offset, pma.end - p->first}});
      p = pmas.erase(p);
      continue;
    }
    pma.host_prot = 0;
    uint64_t start = p->first - old_range.start + new_range.start;
    pma.end = pma.end - old_range.start + new_range.start;
    pages.emplace_back(start, pma);
    p = pmas.erase(p);
  }
  HostUnmap(mapped, garbage);
  if (!keep_old) UnmapRange(old_range, garbage);
  const bool locked = moved.locked;
  InsertVma(new_range.start, std::move(moved));
  for (auto& [start, pma] : pages) pmas.emplace(start, pma);
  MergeVmas(new_range);
  if (keep_old) MergeVmas(old_range);
  // What was in use will be in use again.
  for (auto& [start, pma] : pages) {
    if (pma.end - start >= old_range.length() / 2 && !MapPma(start, false).ok()) break;
  }
  if (locked) PopulateQuietly(new_range, garbage);
  return UserAddr(new_range.start);
}

Result<UserAddr> MemoryManager::MRemap(UserAddr old_addr, uint64_t old_length, uint64_t new_length, int flags,
                                       UserAddr new_addr) {
  State& s = *state_;
  const bool fixed = (flags & MREMAP_FIXED) != 0;
  const bool may_move = (flags & MREMAP_MAYMOVE) != 0;
  const bool keep_old = (flags & MREMAP_DONTUNMAP) != 0;
  if ((flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) != 0) return Errno(EINVAL);
  if ((fixed || keep_old) && !may_move) return Errno(EINVAL);
  if (!old_addr.IsPageAligned()) return Errno(EINVAL);
  std::optional<uint64_t> old_rounded = PageRoundUp(old_length);
  std::optional<uint64_t> new_rounded = PageRoundUp(new_length);
  // Linux's PAGE_ALIGN wraps to 0 where ours overflows.
  old_length = old_rounded.value_or(0);
  new_length = new_rounded.value_or(0);
  if (new_length == 0 || new_length > s.max_address) return Errno(EINVAL);
  if (keep_old && old_length != new_length) return Errno(EINVAL);

  Garbage garbage;
  WriterLock lock(s.mu);
  auto it = s.FindVma(old_addr.value());
  if (it == s.vmas.end()) return Errno(EFAULT);
  if (old_length > s.max_address - old_addr.value()) return Errno(fixed ? EINVAL : EFAULT);
  Span old_range{old_addr.value(), old_addr.value() + old_length};

  if (fixed) {
    uint64_t start = new_addr.value();
    if (!new_addr.IsPageAligned() || new_length > s.max_address || start > s.max_address - new_length)
      return Errno(EINVAL);
    Span new_range{start, start + new_length};
    if (new_range.start < old_range.end && old_range.start < new_range.end) return Errno(EINVAL);
    if (start < s.min_address) return Errno(EPERM);
    Span kept{old_range.start, old_range.start + std::min(old_length, new_length)};
    RETURN_IF_ERROR(s.CheckResize(it, kept, new_length, flags));
    s.UnmapRange(new_range, garbage);
    if (kept.end < old_range.end) s.UnmapRange({kept.end, old_range.end}, garbage);
    return s.MoveVma(kept, new_range, keep_old, garbage);
  }

  if (!keep_old && old_length >= new_length) {
    if (old_length > new_length) s.UnmapRange({old_range.start + new_length, old_range.end}, garbage);
    return old_addr;
  }
  RETURN_IF_ERROR(s.CheckResize(it, old_range, new_length, flags));
  const uint64_t growth = new_length - old_length;
  if (!keep_old && old_length != 0 && it->second.end == old_range.end) {
    Span added{old_range.end, old_range.end + growth};
    auto next = std::next(it);
    uint64_t gap = next != s.vmas.end() && next->second.grows_down ? kStackGuardGap : 0;
    bool room = growth <= s.max_address - old_range.end &&
                (next == s.vmas.end() || (next->first >= added.end && next->first - added.end >= gap));
    if (room) {
      Vma vma = it->second;
      vma.end = added.end;
      if (vma.object) vma.offset += old_range.end - it->first;
      const bool locked = vma.locked;
      s.InsertVma(added.start, std::move(vma));
      s.MergeVmas(added);
      if (locked) s.PopulateQuietly(added, garbage);
      return old_addr;
    }
  }
  if (!may_move) return Errno(ENOMEM);
  std::optional<uint64_t> gap;
  uint64_t hint = new_addr.value();
  if (keep_old && hint != 0 && new_addr.IsPageAligned() && hint >= s.min_address &&
      new_length <= s.max_address && hint <= s.max_address - new_length &&
      s.IsFree({hint, hint + new_length}))
    gap = hint;
  else
    gap = s.FindGap(new_length, false);
  if (!gap) return Errno(ENOMEM);
  return s.MoveVma(old_range, {*gap, *gap + new_length}, keep_old, garbage);
}

}  // namespace runsc
