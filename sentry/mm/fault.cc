// Faults: which VMA, whether the access is allowed, and what has to be there after it.
#include <signal.h>

#include <algorithm>

#include "platform/base/check.h"
#include "sentry/mm/state.h"

namespace runsc {
namespace {

// A writable private file VMA up to this size is copied at a first access of unknown
// kind: data segments are nearly always written, and a second fault costs more.
constexpr uint64_t kEagerCopyVma = 1 << 20;

// The last fault of this thread that found nothing to do. When it comes again although
// nothing has changed, the mapping is in force and the access is not allowed.
struct LastIdleFault {
  uint64_t mm = 0;
  uint64_t addr = 0;
  uint64_t generation = 0;
};
thread_local LastIdleFault last_idle_fault;

}  // namespace

Result<void> MemoryManager::HandleFault(UserAddr addr, SwitchResult::Access access, int* si_code) {
  Garbage garbage;
  WriterLock lock(state_->mu);
  return state_->Fault(addr.value(), access, si_code, garbage);
}

Result<void> MemoryManager::State::Fault(uint64_t addr, SwitchResult::Access access, int* si_code, Garbage& garbage) {
  using Access = SwitchResult::Access;
  *si_code = SEGV_MAPERR;
  if (addr >= max_address) return Errno(EFAULT);
  auto it = FindVma(addr);
  if (it == vmas.end()) it = GrowStack(addr);
  if (it == vmas.end()) return Errno(EFAULT);
  const Vma& vma = it->second;
  *si_code = SEGV_ACCERR;
  int needed = access == Access::kWrite     ? PROT_WRITE
               : access == Access::kExecute ? PROT_EXEC
                                            : PROT_READ | PROT_WRITE | PROT_EXEC;
  if ((vma.prot & needed) == 0) return Errno(EFAULT);

  FaultOptions options{.map = true, .precommit = vma.locked};
  uint8_t host_prot = 0;
  uint8_t effective = 0;
  if (auto pma = FindPma(addr); pma != pmas.end()) {
    host_prot = pma->second.host_prot;
    effective = pma->second.EffectiveProt();
  }
  bool in_force = false;  // what is mapped already allows the access
  if (access == Access::kWrite) {
    options.access = MemoryAccess::kWrite;
    in_force = (host_prot & PROT_WRITE) != 0;
  } else if (access == Access::kUnknown && (vma.prot & PROT_WRITE) != 0) {
    bool write = host_prot != 0 || vma.shared || !vma.object || vma.end - it->first <= kEagerCopyVma;
    options.access = write ? MemoryAccess::kWrite : MemoryAccess::kRead;
    in_force = (host_prot & PROT_WRITE) != 0;
  } else {
    in_force = host_prot != 0 && host_prot == effective;
  }
  if (in_force) {
    LastIdleFault now{id, addr, generation};
    LastIdleFault last = last_idle_fault;
    last_idle_fault = now;
    // Another thread was faster, or this is the access that isn't allowed.
    if (last.mm == now.mm && last.addr == now.addr && last.generation == now.generation) return Errno(EFAULT);
    return Ok();
  }
  return EnsurePma(it, addr, options, garbage);
}

VmaMap::iterator MemoryManager::State::GrowStack(uint64_t addr) {
  auto it = FirstVmaFrom(addr);
  if (it == vmas.end() || !it->second.grows_down || it->first <= addr) return vmas.end();
  uint64_t start = PageRoundDown(addr);
  if (start < kMinMapAddress || it->second.end - start > limits.stack) return vmas.end();
  if (it != vmas.begin()) {
    auto previous = std::prev(it);
    const Vma& below = previous->second;
    if (below.end > start) return vmas.end();
    if (!below.grows_down && below.prot != 0 && start - below.end < kStackGuardGap) return vmas.end();
  }
  uint64_t growth = it->first - start;
  if (!CheckLimits(it->second, growth).ok()) return vmas.end();
  Vma vma = it->second;
  // A file below a stack's start is nothing that mmap makes; keep the offset as it is.
  vmas.erase(it);
  Account(vma, growth, 1);
  return vmas.emplace(start, std::move(vma)).first;
}

Result<void> MemoryManager::State::FaultIn(uint64_t addr, const FaultOptions& options, Garbage& garbage) {
  if (addr >= max_address) return Errno(EFAULT);
  auto it = FindVma(addr);
  if (it == vmas.end() && !options.forced) it = GrowStack(addr);
  if (it == vmas.end()) return Errno(EFAULT);
  const Vma& vma = it->second;
  bool write = options.access == MemoryAccess::kWrite;
  if (options.forced) {
    // As FOLL_FORCE: private memory only is written against its protection.
    if (write && vma.shared && (vma.prot & PROT_WRITE) == 0) return Errno(EFAULT);
    if (!write && vma.prot == 0 && (vma.max_prot & PROT_READ) == 0) return Errno(EFAULT);
  } else if (write ? (vma.prot & PROT_WRITE) == 0 : vma.prot == 0) {
    return Errno(EFAULT);
  }
  return EnsurePma(it, addr, options, garbage);
}

Result<void> MemoryManager::State::EnsurePma(VmaMap::iterator vma_it, uint64_t addr, const FaultOptions& options,
                                             Garbage& garbage) {
  const Vma& vma = vma_it->second;
  const Span vma_range{vma_it->first, vma.end};
  const uint64_t page = PageRoundDown(addr);
  const bool write = options.access == MemoryAccess::kWrite;
  Span stale;  // what the host still maps of memory that is no longer here

  auto it = FindPma(page);
  if (it == pmas.end()) {
    if (vma.object) {
      ASSIGN_OR_RETURN(stale, MakeFilePma(vma_range, vma, page, options.access, options.want_end, garbage));
    } else if (!write) {
      MakeZeroPma(vma_range, vma, page);
    } else {
      ASSIGN_OR_RETURN(stale, MakeAnonymousPma(vma_range, vma, page, options.want_end, garbage));
    }
    it = FindPma(page);
  }
  if (write) {
    Result<Span> replaced = Span{};
    if (it->second.zero)
      replaced = MakeAnonymousPma(vma_range, vma, page, options.want_end, garbage);
    else if (it->second.cow)
      replaced = BreakCow(vma_range, vma, page, options.want_end, garbage);
    else if (!it->second.writable)
      replaced = MakeFilePma(vma_range, vma, page, MemoryAccess::kWrite, options.want_end, garbage);
    if (!replaced.ok()) {
      HostUnmap(stale, garbage);
      return replaced.error();
    }
    stale.Extend(*replaced);
    it = FindPma(page);
  }

  // What the Sentry writes the guest will most likely read.
  if (!options.map && !write && stale.empty()) return Ok();
  if (!stale.empty() && (stale.start < it->first || stale.end > it->second.end)) {
    HostUnmap(stale, garbage);
    stale = {};
  }
  Result<void> mapped = MapPma(page, options.precommit);
  if (!mapped.ok()) HostUnmap(stale, garbage);
  // The Sentry itself does not need the host's mapping.
  return options.map ? mapped : Ok();
}

Result<void> MemoryManager::State::Populate(Span range, MemoryAccess access, Garbage& garbage) {
  uint64_t at = range.start;
  while (at < range.end) {
    FaultOptions options{.access = access, .want_end = range.end, .map = true, .precommit = true};
    RETURN_IF_ERROR(FaultIn(at, options, garbage));
    auto pma = FindPma(at);
    at = pma != pmas.end() && Accessible(pma->second, access, false) ? pma->second.end : at + kPageSize;
  }
  return Ok();
}

void MemoryManager::State::PopulateQuietly(Span range, Garbage& garbage) {
  uint64_t at = range.start;
  while (at < range.end) {
    auto it = FirstVmaFrom(at);
    if (it == vmas.end() || it->first >= range.end) return;
    Span part{std::max(at, it->first), std::min(it->second.end, range.end)};
    if (it->second.prot != 0) {
      MemoryAccess access = (it->second.prot & PROT_WRITE) ? MemoryAccess::kWrite : MemoryAccess::kRead;
      if (!Populate(part, access, garbage).ok()) return;
    }
    at = part.end;
  }
}

}  // namespace runsc
