// Faults: which VMA, whether the access is allowed, and what has to be there after it.
#include <signal.h>

#include <algorithm>
#include <utility>

#include "platform/base/check.h"
#include "sentry/mm/state.h"

namespace runsc {
namespace {

// A writable private file VMA up to this size is copied at a first access of unknown
// kind: data segments are nearly always written, and a second fault costs more.
constexpr uint64_t kEagerCopyVma = 1 << 20;
// Host mappings that are made at the first fault of an address space.
constexpr int kMappedAtStart = 64;

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
  State& s = *state_;
  Garbage garbage;
  WriterLock lock(s.mu);
  for (bool again = false;; again = true) {
    s.space->BeginBatch();
    Result<void> done = s.Fault(addr.value(), access, si_code, garbage);
    Result<void> mapped = s.space->EndBatch();
    if (mapped.ok()) return done;
    s.ForgetHostMappings(garbage);
    // The host allows only so many mappings (vm.max_map_count). Starting over with none
    // is slow, but goes on.
    if (again || !mapped.is(ENOMEM)) return done.ok() ? mapped : done;
  }
}

Result<void> MemoryManager::State::Fault(uint64_t addr, SwitchResult::Access access, int* si_code,
                                         Garbage& garbage) {
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

  if (!started) {
    MapWhatIsThere(garbage);
    if (auto pma = FindPma(addr); pma != pmas.end() && pma->second.host_prot != 0) return Ok();
  }
  FaultOptions options{.map = true, .precommit = vma.locked};
  uint8_t host_prot = 0;
  uint8_t effective = 0;
  bool is_cow = false;
  bool is_new = true;
  if (auto pma = FindPma(addr); pma != pmas.end()) {
    is_new = false;
    is_cow = pma->second.cow;
    host_prot = pma->second.host_prot;
    effective = pma->second.EffectiveProt();
  }
  bool in_force = false;  // what is mapped already allows the access
  if (access == Access::kWrite) {
    options.access = MemoryAccess::kWrite;
    in_force = (host_prot & PROT_WRITE) != 0;
  } else if (access == Access::kUnknown && (vma.prot & PROT_WRITE) != 0) {
    // What fork left us is mapped for reading first: all of it at once, and most is only read.
    bool write = host_prot != 0 || vma.shared ||
                 (is_new ? !vma.object || vma.end - it->first <= kEagerCopyVma : !is_cow);
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
  const uint64_t vma_start = it->first;
  const bool siblings = is_new && vma.object && !vma.shared;
  RETURN_IF_ERROR(EnsurePma(it, addr, options, garbage));
  if (siblings) MapSiblings(vma_start, garbage);
  return Ok();
}

// A new address space gets what the loader has written, a forked one what its parent had.
void MemoryManager::State::MapWhatIsThere(Garbage& garbage) {
  started = true;
  int budget = kMappedAtStart;
  for (uint64_t addr : std::exchange(prefault, {})) {
    auto it = FindVma(addr);
    if (budget == 0 || it == vmas.end() || it->second.prot == 0 || FindPma(addr) != pmas.end()) continue;
    if (EnsurePma(it, addr, {.access = MemoryAccess::kRead, .map = true}, garbage).ok()) --budget;
  }
  for (auto it = pmas.begin(); it != pmas.end() && budget > 0; it = FirstPmaFrom(it->second.end)) {
    if (it->second.host_prot != 0 || it->second.EffectiveProt() == 0) continue;
    uint64_t start = it->first;
    if (!MapPma(start, false).ok()) return;
    --budget;
    it = FindPma(start);
  }
}

// The segments of a program or library are used together: a first fault on one brings
// the others that stand beside it.
void MemoryManager::State::MapSiblings(uint64_t vma_start, Garbage& garbage) {
  auto it = vmas.find(vma_start);
  const MappedObject* object = it->second.object.get();
  absl::InlinedVector<uint64_t, 8> siblings;
  for (auto below = it; siblings.size() < 4 && below != vmas.begin();) {
    uint64_t start = below->first;
    --below;
    if (below->second.object != object || below->second.end != start || below->second.shared) break;
    siblings.push_back(below->first);
  }
  uint64_t end = it->second.end;
  for (auto above = std::next(it); siblings.size() < 8 && above != vmas.end(); ++above) {
    if (above->second.object != object || above->first != end || above->second.shared) break;
    siblings.push_back(above->first);
    end = above->second.end;
  }
  for (uint64_t start : siblings) {
    auto vma = vmas.find(start);
    auto pma = FirstPmaFrom(start);
    if (vma->second.prot == 0 || (pma != pmas.end() && pma->first < vma->second.end)) continue;
    bool write = (vma->second.prot & PROT_WRITE) != 0;
    if (write && vma->second.end - start > kMaxEagerSegment) continue;
    FaultOptions options{.access = write ? MemoryAccess::kWrite : MemoryAccess::kRead, .map = true};
    if (!EnsurePma(vma, start, options, garbage).ok()) return;
  }
}

void MemoryManager::State::ForgetHostMappings(Garbage& garbage) {
  HostUnmap({min_address, max_address}, garbage);
  for (auto& [start, pma] : pmas) pma.host_prot = 0;
}

VmaMap::iterator MemoryManager::State::GrowStack(uint64_t addr) {
  auto it = FirstVmaFrom(addr);
  if (it == vmas.end() || !it->second.grows_down || it->first <= addr) return vmas.end();
  uint64_t start = PageRoundDown(addr);
  if (start < min_address || it->second.end - start > limits.stack) return vmas.end();
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

Result<void> MemoryManager::State::EnsurePma(VmaMap::iterator vma_it, uint64_t addr,
                                             const FaultOptions& options, Garbage& garbage) {
  const Vma& vma = vma_it->second;
  const Span vma_range{vma_it->first, vma.end};
  const uint64_t page = PageRoundDown(addr);
  const bool write = options.access == MemoryAccess::kWrite;
  bool precommit = options.precommit;
  Span stale;  // what the host still maps of memory that is no longer here

  auto it = FindPma(page);
  if (it == pmas.end()) {
    if (vma.object) {
      ASSIGN_OR_RETURN(stale, MakeFilePma(vma_range, vma, page, options.access, options.want_end, garbage));
    } else if (!write) {
      MakeZeroPma(vma_range, vma, page);
    } else {
      ASSIGN_OR_RETURN(stale, MakeAnonymousPma(vma_range, vma, page, options.want_end, garbage));
      // (Where the guest itself goes on from; a large copy of the Sentry's fills it anyway.)
      auto made = FindPma(page);
      if (options.map && made->first == page && WillBeFilled({made->first, made->second.end}))
        precommit = true;
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

  // What the Sentry writes the guest will most likely read. (Before it runs, all is mapped at once.)
  if (!options.map && (!write || !started) && stale.empty()) return Ok();
  if (!stale.empty() && (stale.start < it->first || stale.end > it->second.end)) {
    HostUnmap(stale, garbage);
    stale = {};
  }
  Result<void> mapped = MapPma(page, precommit);
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
