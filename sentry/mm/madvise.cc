// madvise, msync, mincore and the mlock family.
#include <algorithm>
#include <cstring>

#include "sentry/mm/state.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

namespace runsc {
namespace {

bool IsValidAdvice(int advice) {
  switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
    case MADV_FREE:
    case MADV_REMOVE:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_COLLAPSE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
    case MADV_HWPOISON:
    case MADV_SOFT_OFFLINE:
      return true;
    default:
      return false;
  }
}

}  // namespace

// One VMA's part of the range; nothing is split but where a flag changes.
Result<void> MemoryManager::State::AdviseVma(VmaMap::iterator it, Span part, int advice, Garbage& garbage) {
  Vma& vma = it->second;
  switch (advice) {
    case MADV_DONTNEED:
      if (vma.locked) return Errno(EINVAL);
      [[fallthrough]];
    case MADV_DONTNEED_LOCKED:
      RemovePmas(part, garbage);
      return Ok();
    case MADV_FREE:
      if (vma.object || vma.shared || vma.locked) return Errno(EINVAL);
      RemovePmas(part, garbage);
      return Ok();
    case MADV_WIPEONFORK:
      if (vma.object || vma.shared) return Errno(EINVAL);
      [[fallthrough]];
    case MADV_KEEPONFORK:
    case MADV_DONTFORK:
    case MADV_DOFORK: {
      SplitVmaAt(part.start);
      SplitVmaAt(part.end);
      Vma& split = FindVma(part.start)->second;
      if (advice == MADV_WIPEONFORK || advice == MADV_KEEPONFORK)
        split.wipe_on_fork = advice == MADV_WIPEONFORK;
      else
        split.dont_fork = advice == MADV_DONTFORK;
      return Ok();
    }
    case MADV_COLD:
    case MADV_PAGEOUT:
      return vma.locked ? Result<void>(Errno(EINVAL)) : Ok();
    default:
      return Ok();
  }
}

Result<void> MemoryManager::MAdvise(UserAddr addr, uint64_t length, int advice) {
  State& s = *state_;
  if (!IsValidAdvice(advice)) return Errno(EINVAL);
  ASSIGN_OR_RETURN(Span range, s.CheckRange(addr, length, length > INT64_MAX ? EINVAL : ENOMEM));
  if (advice == MADV_HWPOISON || advice == MADV_SOFT_OFFLINE) return Errno(EPERM);
  if (range.empty()) return Ok();
  if (advice == MADV_REMOVE) return RemovePages(addr, range.length());
  Garbage garbage;
  WriterLock lock(s.mu);
  if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE) {
    if (s.HasHole(range)) return Errno(ENOMEM);
    Result<void> done = s.Populate(
        range, advice == MADV_POPULATE_WRITE ? MemoryAccess::kWrite : MemoryAccess::kRead, garbage);
    // Linux: EINVAL for a mapping that the access could never be allowed on, EFAULT for SIGBUS.
    if (done.is(ENXIO)) return Errno(EFAULT);
    if (done.is(EFAULT)) return Errno(EINVAL);
    return done;
  }
  return s.ChangeVmas(range, [&](VmaMap::iterator it, Span part) {
    s.mu.AssertHeld();
    return s.AdviseVma(it, part, advice, garbage);
  });
}

Result<void> MemoryManager::RemovePages(UserAddr addr, uint64_t length) {
  State& s = *state_;
  uint64_t at = addr.value();
  const uint64_t end = at + length;
  while (at < end) {
    RefPtr<MappedObject> object;
    uint64_t offset = 0;
    uint64_t part_end = 0;
    {
      ReaderLock lock(s.mu);
      auto it = s.FindVma(at);
      if (it == s.vmas.end()) return Errno(ENOMEM);
      const Vma& vma = it->second;
      if (vma.locked || !vma.object) return Errno(EINVAL);
      if (!vma.writable_mapping()) return Errno(EACCES);
      object = vma.object;
      offset = vma.offset + (at - it->first);
      part_end = std::min(end, vma.end);
    }
    RETURN_IF_ERROR(object->mappable().PunchHole(offset, part_end - at));
    at = part_end;
  }
  return Ok();
}

Result<void> MemoryManager::MSync(UserAddr addr, uint64_t length, int flags) {
  State& s = *state_;
  if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0) return Errno(EINVAL);
  if ((flags & MS_ASYNC) != 0 && (flags & MS_SYNC) != 0) return Errno(EINVAL);
  if (!addr.IsPageAligned()) return Errno(EINVAL);
  if (length > ~uint64_t{kPageMask}) return Ok();  // rounded up it wraps around, as in Linux
  ASSIGN_OR_RETURN(Span range, s.CheckRange(addr, length, ENOMEM));
  bool hole = false;
  uint64_t at = range.start;
  while (at < range.end) {
    RefPtr<MappedObject> object;
    uint64_t offset = 0;
    Span part;
    {
      ReaderLock lock(s.mu);
      auto it = s.FirstVmaFrom(at);
      if (it == s.vmas.end() || it->first >= range.end) return Errno(ENOMEM);
      const Vma& vma = it->second;
      if (it->first > at) {
        if (flags == MS_ASYNC) return Errno(ENOMEM);
        hole = true;
      }
      part = {std::max(at, it->first), std::min(vma.end, range.end)};
      if ((flags & MS_INVALIDATE) != 0 && vma.locked) return Errno(EBUSY);
      if ((flags & MS_SYNC) != 0 && vma.shared && vma.object) {
        object = vma.object;
        offset = vma.offset + (part.start - it->first);
      }
    }
    if (object) RETURN_IF_ERROR(object->mappable().Sync(offset, part.length()));
    at = part.end;
  }
  return hole ? Result<void>(Errno(ENOMEM)) : Ok();
}

Result<void> MemoryManager::MinCore(UserAddr addr, uint64_t length, UserAddr vec) {
  State& s = *state_;
  if (!addr.IsPageAligned()) return Errno(EINVAL);
  Result<Span> checked = s.CheckRange(addr, length, ENOMEM);
  if (!checked.ok()) return checked.error();
  TouchedPages touched(s.memory_file);
  uint64_t at = checked->start;
  while (at < checked->end) {
    std::byte answer[kPageSize];
    size_t pages = std::min<uint64_t>(sizeof(answer), (checked->end - at) / kPageSize);
    Span range{at, at + pages * kPageSize};
    {
      ReaderLock lock(s.mu);
      if (s.HasHole(range)) {
        // What stands before the hole is answered first, as Linux does.
        auto it = s.FindVma(at);
        if (it == s.vmas.end()) return Errno(ENOMEM);
        range.end = std::min(range.end, it->second.end);
        pages = range.length() / kPageSize;
      }
      std::memset(answer, 0, pages);
      s.ForResident(touched, range, [&](Span part, const Pma&) {
        std::memset(answer + (part.start - range.start) / kPageSize, 1, part.length() / kPageSize);
      });
    }
    if (CopyOut(vec, std::span(answer, pages)) != pages) return Errno(EFAULT);
    vec = vec + pages;
    at = range.end;
  }
  return Ok();
}

Result<void> MemoryManager::MLock(UserAddr addr, uint64_t length, bool lock_pages, bool on_fault) {
  State& s = *state_;
  uint64_t in_page = addr.value() & kPageMask;
  uint64_t padded;
  // As in Linux the sum wraps around when it is rounded up: mlock(0, -1) is a range without pages.
  if (__builtin_add_overflow(length, in_page, &padded) || padded > ~uint64_t{kPageMask}) padded = 0;
  if (padded == 0) return Ok();
  uint64_t end = 0;
  if (__builtin_add_overflow(addr.PageRoundDown().value(), (padded + kPageMask) & ~uint64_t{kPageMask}, &end))
    return Errno(EINVAL);
  ASSIGN_OR_RETURN(Span range, s.CheckRange(addr.PageRoundDown(), padded, ENOMEM));
  Garbage garbage;
  WriterLock lock(s.mu);
  if (lock_pages) {
    if (s.limits.locked == 0) return Errno(EPERM);
    uint64_t already = 0;
    for (auto it = s.FirstVmaFrom(range.start); it != s.vmas.end() && it->first < range.end; ++it) {
      if (it->second.locked)
        already += std::min(it->second.end, range.end) - std::max(it->first, range.start);
    }
    uint64_t sum;
    if (__builtin_add_overflow(s.locked_bytes - already, range.length(), &sum) || sum > s.limits.locked)
      return Errno(ENOMEM);
  }
  s.SplitVmaAt(range.start);
  s.SplitVmaAt(range.end);
  bool hole = s.HasHole(range);
  for (auto it = s.FirstVmaFrom(range.start); it != s.vmas.end() && it->first < range.end; ++it) {
    Vma& vma = it->second;
    s.Account(vma, vma.end - it->first, -1);
    vma.locked = lock_pages;
    s.Account(vma, vma.end - it->first, 1);
  }
  s.MergeVmas(range);
  if (hole) return Errno(ENOMEM);
  if (lock_pages && !on_fault) {
    for (auto it = s.FirstVmaFrom(range.start); it != s.vmas.end() && it->first < range.end; ++it) {
      if (it->second.prot == 0) return Errno(ENOMEM);
    }
    s.PopulateQuietly(range, garbage);
  }
  return Ok();
}

Result<void> MemoryManager::MLockAll(int flags) {
  State& s = *state_;
  Garbage garbage;
  WriterLock lock(s.mu);
  if (flags != 0) {
    if (s.limits.locked == 0) return Errno(EPERM);
    if ((flags & MCL_CURRENT) != 0 && s.total_bytes > s.limits.locked) return Errno(ENOMEM);
  }
  s.lock_future = (flags & MCL_FUTURE) != 0;
  if (flags != 0 && (flags & MCL_CURRENT) == 0) return Ok();
  for (auto& [start, vma] : s.vmas) {
    s.Account(vma, vma.end - start, -1);
    vma.locked = flags != 0;
    s.Account(vma, vma.end - start, 1);
  }
  s.MergeVmas({0, s.max_address});
  if (flags != 0 && (flags & MCL_ONFAULT) == 0) s.PopulateQuietly({0, s.max_address}, garbage);
  return Ok();
}

}  // namespace runsc
