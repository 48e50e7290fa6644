// mmap, munmap, mprotect and brk.
#include <algorithm>

#include "sentry/mm/shared_anonymous.h"
#include "sentry/mm/state.h"

namespace runsc {
namespace {

// Private memory up to this size is there at once: it nearly always is written, and a
// fault costs more than the call that asks for it.
constexpr uint64_t kEagerAnonymous = 64 << 10;

}  // namespace

Result<void> MemoryManager::CheckPlacement(const MMapOptions& options) const {
  const State& s = *state_;
  if (options.length == 0) return Errno(EINVAL);
  std::optional<uint64_t> length = PageRoundUp(options.length);
  if (!length || *length > s.max_address) return Errno(ENOMEM);
  if (!options.fixed && !options.no_replace) return Ok();
  if (options.addr.value() > s.max_address - *length) return Errno(ENOMEM);
  if (!options.addr.IsPageAligned()) return Errno(EINVAL);
  if (options.addr.value() < s.min_address) return Errno(EPERM);
  return Ok();
}

Result<UserAddr> MemoryManager::MMap(const MMapOptions& options) {
  State& s = *state_;
  RETURN_IF_ERROR(CheckPlacement(options));
  constexpr int kWriteExec = PROT_WRITE | PROT_EXEC;
  if ((options.prot & kWriteExec) == kWriteExec && refused_exec() != 0) return Errno(EACCES);
  std::optional<uint64_t> length = PageRoundUp(options.length);
  uint64_t offset_end;
  if (options.object) {
    if ((options.offset & kPageMask) != 0) return Errno(EINVAL);
    if (__builtin_add_overflow(options.offset, *length, &offset_end)) return Errno(EOVERFLOW);
  }
  if ((options.prot & ~options.max_prot) != 0) return Errno(EACCES);
  const bool at_address = options.fixed || options.no_replace;
  uint64_t addr = options.addr.value();

  Vma vma{.prot = options.prot,
          .max_prot = options.max_prot,
          .shared = options.shared,
          .grows_down = options.grows_down,
          .locked = options.locked,
          .no_reserve = options.no_reserve,
          .object = options.object,
          .offset = options.object ? options.offset : 0,
          .name = options.name};
  if (vma.shared && !vma.object) vma.object = MakeRef<SharedAnonymous>(s.memory_file, *length);

  Garbage garbage;
  WriterLock lock(s.mu);
  uint64_t replaced = 0;
  if (at_address) {
    Span range{addr, addr + *length};
    if (options.no_replace && !s.IsFree(range)) return Errno(EEXIST);
    replaced = s.MappedBytes(range);
  } else {
    addr = PageRoundDown(addr);
    bool hint_fits = addr != 0 && *length <= s.max_address - std::min(addr, s.max_address);
    addr = std::max(addr, s.min_address);
    hint_fits = hint_fits && addr <= s.max_address - *length &&
                !(options.below_4g && addr + *length > (uint64_t{4} << 30)) &&
                s.IsFree({addr, addr + *length});
    if (hint_fits) {
      auto next = s.FirstVmaFrom(addr);
      hint_fits = next == s.vmas.end() || !next->second.grows_down ||
                  next->first - (addr + *length) >= kStackGuardGap;
    }
    if (!hint_fits) {
      std::optional<uint64_t> gap = s.FindGap(*length, options.below_4g);
      if (!gap) return Errno(ENOMEM);
      addr = *gap;
    }
  }
  if (s.vmas.size() >= kMaxVmas) return Errno(ENOMEM);
  RETURN_IF_ERROR(s.CheckLimits(vma, *length - std::min(replaced, *length)));
  if (s.lock_future) vma.locked = true;
  if (vma.locked) {
    uint64_t sum;
    if (__builtin_add_overflow(s.locked_bytes, *length, &sum) || sum > s.limits.locked) return Errno(EAGAIN);
  }

  Span range{addr, addr + *length};
  const bool populate = options.populate || vma.locked;
  const bool eager = s.started && !vma.object && !vma.grows_down && !vma.no_reserve &&
                     (vma.prot & PROT_WRITE) != 0 && *length <= kEagerAnonymous;
  if (eager) s.space->BeginBatch();
  if (replaced != 0) s.UnmapRange(range, garbage);
  vma.end = range.end;
  s.InsertVma(addr, std::move(vma));
  s.MergeVmas(range);
  if (populate) s.PopulateQuietly(range, garbage);
  if (eager) {
    if (!populate) {
      State::FaultOptions fault{.access = MemoryAccess::kWrite, .want_end = range.end, .map = true};
      (void)s.FaultIn(addr, fault, garbage);
    }
    // (A fault finds out what could not be mapped.)
    if (!s.space->EndBatch().ok()) s.ForgetHostMappings(garbage);
  }
  return UserAddr(addr);
}

Result<void> MemoryManager::MUnmap(UserAddr addr, uint64_t length) {
  State& s = *state_;
  ASSIGN_OR_RETURN(Span range, s.CheckRange(addr, length, EINVAL));
  if (range.empty()) return Errno(EINVAL);
  Garbage garbage;
  WriterLock lock(s.mu);
  // Cutting one VMA into two may exceed the limit.
  if (s.vmas.size() >= kMaxVmas) {
    auto it = s.FindVma(range.start);
    if (it != s.vmas.end() && it->first < range.start && it->second.end > range.end) return Errno(ENOMEM);
  }
  s.UnmapRange(range, garbage);
  return Ok();
}

Result<void> MemoryManager::Detach(UserAddr addr, absl::FunctionRef<uint64_t(MappedObject&)> size_of) {
  State& s = *state_;
  if (!addr.IsPageAligned()) return Errno(EINVAL);
  const uint64_t start = addr.value();
  std::vector<Span> parts;
  MappedObject* object = nullptr;
  uint64_t size = 0;
  Garbage garbage;
  WriterLock lock(s.mu);
  for (auto it = s.FirstVmaFrom(start); it != s.vmas.end(); ++it) {
    const Vma& vma = it->second;
    if (object != nullptr && vma.end - start > size) break;
    // A part of another attachment would begin elsewhere.
    if (!vma.object || it->first < start || it->first - start != vma.offset) continue;
    if (object != nullptr && vma.object.get() != object) continue;
    if (object == nullptr) {
      size = PageRoundUp(size_of(*vma.object)).value_or(0);
      if (size == 0) continue;
      object = vma.object.get();
    }
    parts.push_back({it->first, vma.end});
  }
  if (parts.empty()) return Errno(EINVAL);
  for (Span part : parts) s.UnmapRange(part, garbage);
  return Ok();
}

Result<void> MemoryManager::MProtect(UserAddr addr, uint64_t length, int prot, bool grows_down) {
  State& s = *state_;
  if (!addr.IsPageAligned()) return Errno(EINVAL);
  if (length == 0) return Ok();
  ASSIGN_OR_RETURN(Span range, s.CheckRange(addr, length, ENOMEM));
  Garbage garbage;
  WriterLock lock(s.mu);
  if (grows_down) {
    auto it = s.FirstVmaFrom(range.start);
    if (it == s.vmas.end() || it->first >= range.end) return Errno(ENOMEM);
    if (!it->second.grows_down) return Errno(EINVAL);
    range.start = it->first;
  }
  if (s.vmas.size() + 2 > kMaxVmas) return Errno(ENOMEM);
  RETURN_IF_ERROR(s.UndoPatches(range, garbage));
  s.SplitVmaAt(range.start);
  s.SplitVmaAt(range.end);
  // As Linux: what stands before a hole or a refusal is changed.
  Result<void> result = Ok();
  uint64_t at = range.start;
  for (auto it = s.FirstVmaFrom(at); at < range.end; ++it) {
    if (it == s.vmas.end() || it->first > at) {
      result = Errno(ENOMEM);
      break;
    }
    Vma& vma = it->second;
    const bool gains_exec =
        (prot & PROT_EXEC) != 0 && ((prot & PROT_WRITE) != 0 || (vma.prot & PROT_EXEC) == 0);
    if ((prot & ~vma.max_prot) != 0 || (gains_exec && refused_exec() != 0)) {
      result = Errno(EACCES);
      break;
    }
    Vma changed = vma;
    changed.prot = prot;
    uint64_t bytes = vma.end - it->first;
    if (changed.is_data() && !vma.is_data() &&
        (bytes > s.limits.data || s.data_bytes > s.limits.data - bytes)) {
      result = Errno(ENOMEM);
      break;
    }
    s.Account(vma, bytes, -1);
    s.Account(changed, bytes, 1);
    vma.prot = prot;
    at = vma.end;
  }
  Span done{range.start, std::min(at, range.end)};
  if (!done.empty()) {
    s.SplitPmaAt(done.start);
    s.SplitPmaAt(done.end);
    for (auto it = s.FirstPmaFrom(done.start); it != s.pmas.end() && it->first < done.end; ++it)
      it->second.prot = static_cast<uint8_t>(prot);
    s.ProtectRange(done, garbage);
    s.MergePmas(done);
  }
  s.MergeVmas(range);
  return result;
}

void MemoryManager::SetBrk(UserAddr start) {
  WriterLock lock(state_->mu);
  state_->brk_start = state_->brk = start.value();
}

Result<UserAddr> MemoryManager::Brk(UserAddr addr) {
  State& s = *state_;
  Garbage garbage;
  WriterLock lock(s.mu);
  const UserAddr unchanged(s.brk);
  if (s.brk_start == 0 || addr.value() < s.brk_start || addr.value() > s.max_address) return unchanged;
  uint64_t data =
      s.layout.data_end.value() - std::min(s.layout.data_start.value(), s.layout.data_end.value());
  uint64_t sum;
  if (__builtin_add_overflow(addr.value() - s.brk_start, data, &sum) || sum > s.limits.data) return unchanged;
  std::optional<uint64_t> new_end = PageRoundUp(addr.value());
  uint64_t old_end = PageRoundUp(s.brk).value_or(s.brk);
  if (!new_end) return unchanged;
  if (*new_end < old_end) {
    s.UnmapRange({*new_end, old_end}, garbage);
  } else if (*new_end > old_end) {
    Span range{old_end, *new_end};
    auto next = s.FirstVmaFrom(range.start);
    if (next != s.vmas.end()) {
      uint64_t gap = next->second.grows_down ? kStackGuardGap : 0;
      if (next->first < range.end || next->first - range.end < gap) return unchanged;
    }
    Vma vma{.end = range.end, .prot = PROT_READ | PROT_WRITE, .locked = s.lock_future};
    if (range.end > s.max_address || s.vmas.size() >= kMaxVmas || !s.CheckLimits(vma, range.length()).ok())
      return unchanged;
    if (vma.locked && range.length() > s.limits.locked - std::min(s.locked_bytes, s.limits.locked))
      return unchanged;
    const bool locked = vma.locked;
    s.InsertVma(range.start, std::move(vma));
    s.MergeVmas(range);
    if (locked) s.PopulateQuietly(range, garbage);
  }
  s.brk = addr.value();
  return addr;
}

}  // namespace runsc
