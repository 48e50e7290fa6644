// Pmas: finding, cutting, joining and dropping them, and bringing the host's mappings
// in line with them.
#include <algorithm>

#include "platform/base/check.h"
#include "platform/base/log.h"
#include "sentry/mm/state.h"

namespace runsc {

PmaMap::iterator MemoryManager::State::FirstPmaFrom(uint64_t addr) {
  auto it = pmas.upper_bound(addr);
  if (it != pmas.begin()) {
    auto previous = std::prev(it);
    if (previous->second.end > addr) return previous;
  }
  return it;
}

PmaMap::iterator MemoryManager::State::FindPma(uint64_t addr) {
  auto it = FirstPmaFrom(addr);
  return it != pmas.end() && it->first <= addr ? it : pmas.end();
}

void MemoryManager::State::SplitPmaAt(uint64_t addr) {
  auto it = FindPma(addr);
  if (it == pmas.end() || it->first == addr) return;
  Pma upper = it->second;
  upper.offset += addr - it->first;
  it->second.end = addr;
  pmas.emplace_hint(std::next(it), addr, upper);
}

void MemoryManager::State::MergePmas(Span range) {
  auto it = FirstPmaFrom(range.start == 0 ? 0 : range.start - 1);
  while (it != pmas.end() && it->second.end <= range.end) {
    auto next = std::next(it);
    if (next == pmas.end()) return;
    if (it->second.end != next->first || !it->second.Mergeable(next->second) ||
        it->second.offset + (it->second.end - it->first) != next->second.offset) {
      it = next;
      continue;
    }
    uint64_t start = it->first;
    it->second.end = next->second.end;
    pmas.erase(next);
    it = pmas.find(start);
  }
}

Span MemoryManager::State::DetachPmas(Span range, Garbage& garbage) {
  Span mapped;
  SplitPmaAt(range.start);
  SplitPmaAt(range.end);
  auto it = pmas.lower_bound(range.start);
  while (it != pmas.end() && it->first < range.end) {
    const Pma& pma = it->second;
    if (pma.host_prot != 0) mapped.Extend({it->first, pma.end});
    if (!pma.zero) garbage.pages.push_back({pma.file, FileRange{pma.offset, pma.end - it->first}});
    it = pmas.erase(it);
  }
  return mapped;
}

void MemoryManager::State::RemovePmas(Span range, Garbage& garbage) {
  ForgetPatches(range, garbage);
  HostUnmap(DetachPmas(range, garbage), garbage);
}

void MemoryManager::State::HostUnmap(Span range, Garbage& garbage) {
  if (range.empty()) return;
  ++generation;
  // (ESRCH: there is no guest left that could reach anything.)
  if (Result<void> done = space->Unmap(range.start, range.length()); !done.ok() && !done.is(ESRCH)) {
    LOG_ERROR("cannot unmap {:#x}+{:#x} from the guest: {}", range.start, range.length(),
              done.error().message());
    garbage.leak = true;
  }
}

Result<void> MemoryManager::State::MapPma(uint64_t addr, bool precommit) {
  auto it = FindPma(addr);
  CHECK(it != pmas.end());
  Pma& pma = it->second;
  uint8_t prot = pma.EffectiveProt();
  if (pma.host_prot == prot) return Ok();
  uint64_t start = it->first;
  uint64_t end = pma.end;
  ++generation;
  Result<void> done;
  if (prot == 0) {
    done = space->Unmap(start, end - start);
  } else if (pma.host_prot != 0) {
    done = space->Protect(start, end - start, prot);
  } else {
    done = space->MapFile(start, pma.file->host_fd(), pma.offset, end - start,
                          {.prot = prot, .precommit = precommit});
  }
  RETURN_IF_ERROR(done);
  pma.host_prot = prot;
  MergePmas({start, end});
  return Ok();
}

void MemoryManager::State::ProtectRange(Span range, Garbage& garbage) {
  // Runs of mapped pmas that get one new protection become one call; holes and pmas
  // that aren't mapped do not end a run, mapped ones that stay as they are do.
  Span run;
  int run_prot = 0;
  auto flush = [&] {
    mu.AssertHeld();
    if (run.empty()) return;
    ++generation;
    Result<void> done = run_prot == 0 ? space->Unmap(run.start, run.length())
                                      : space->Protect(run.start, run.length(), run_prot);
    if (!done.ok()) {
      // The host may have changed part of it. Unmapped is always right.
      LOG_WARNING("cannot protect {:#x}+{:#x}: {}", run.start, run.length(), done.error().message());
      HostUnmap(run, garbage);
      for (auto it = FirstPmaFrom(run.start); it != pmas.end() && it->first < run.end; ++it)
        it->second.host_prot = 0;
    }
    run = {};
  };
  for (auto it = FirstPmaFrom(range.start); it != pmas.end() && it->first < range.end; ++it) {
    Pma& pma = it->second;
    if (pma.host_prot == 0) continue;
    uint8_t prot = pma.EffectiveProt();
    bool keeps = prot == pma.host_prot;
    if (!run.empty() && prot != run_prot) flush();
    if (keeps && run.empty()) continue;
    // (One that already has the run's protection is harmless in it.)
    run.Extend({it->first, pma.end});
    run_prot = prot;
    pma.host_prot = prot;
  }
  flush();
}

}  // namespace runsc
