// Where pages come from: the zero range, new memory, a file, or a copy. Each step makes
// the largest range that is sensible, because every change of the host's mappings costs
// far more than a page.
#include <algorithm>
#include <bit>

#include "platform/base/check.h"
#include "sentry/mm/state.h"
#include "sentry/usermem/safe_copy.h"

namespace runsc {
namespace {

constexpr uint64_t kMinChunk = 64 << 10;         // of new anonymous memory
constexpr uint64_t kMaxChunk = 2 << 20;          // as it grows in one direction
constexpr uint64_t kMaxWanted = 16 << 20;        // at once for one large copy
constexpr uint64_t kPrecommit = 256 << 10;       // a step this large behind touched memory is filled at once
constexpr uint64_t kFileWindow = 16 << 20;       // around a fault on a file
constexpr uint64_t kFileWriteWindow = 64 << 10;  // pages that a file may have to make
constexpr uint64_t kCopyCluster = 16 << 10;      // copied at a copy-on-write fault
constexpr uint64_t kMaxCopyCluster = 256 << 10;  // when the pages beside it were copied too
constexpr uint64_t kMaxClusteredFile = 16 << 20;
constexpr uint64_t kReuseReach = 1 << 20;  // on each side, of pages that are ours alone

uint64_t AlignDown(uint64_t value, uint64_t alignment) { return value & ~(alignment - 1); }

Span Window(uint64_t page, uint64_t size, uint64_t want_end) {
  uint64_t start = AlignDown(page, size);
  uint64_t end = start + size;
  if (want_end > end) end = PageRoundDown(std::min(want_end, start + kMaxWanted) + kPageMask);
  return {start, end};
}

Span Intersect(Span a, Span b) { return {std::max(a.start, b.start), std::min(a.end, b.end)}; }

}  // namespace

// How much private memory adjoins `range` on the side where there is more of it, as far
// as `enough`.
uint64_t MemoryManager::State::AnonymousBeside(Span range, uint64_t enough) {
  auto counts = [&](const Pma& pma) { return pma.anonymous && !pma.cow; };
  uint64_t above = 0, below = 0;
  auto first_above = pmas.lower_bound(range.end);
  for (auto it = first_above; above < enough && it != pmas.end(); ++it) {
    if (it->first != range.end + above || !counts(it->second)) break;
    above = it->second.end - range.end;
  }
  for (auto it = pmas.lower_bound(range.start); below < enough && it != pmas.begin();) {
    --it;
    if (it->second.end != range.start - below || !counts(it->second)) break;
    below = range.start - it->first;
  }
  return std::min(std::max(above, below), enough);
}

bool MemoryManager::State::WillBeFilled(Span range) {
  if (range.length() < kPrecommit || range.start == 0) return false;
  auto below = FindPma(range.start - 1);
  if (below == pmas.end() || !below->second.anonymous) return false;
  uint64_t length = std::min(below->second.end - below->first, kPrecommit);
  uint64_t end = below->second.offset + (below->second.end - below->first);
  return memory_file.IsFilled({end - length, length});
}

Span MemoryManager::State::ClipToHole(uint64_t addr, Span range, bool over_zero) {
  for (auto it = FirstPmaFrom(addr); it != pmas.end() && it->first < range.end; ++it) {
    if (over_zero && it->second.zero) continue;
    range.end = it->first;
    break;
  }
  for (auto it = pmas.upper_bound(addr); it != pmas.begin();) {
    --it;
    if (it->second.end <= range.start) break;
    if (over_zero && it->second.zero) continue;
    range.start = it->second.end;
    break;
  }
  return range;
}

void MemoryManager::State::MakeZeroPma(Span vma_range, const Vma& vma, uint64_t addr) {
  Span range = ClipToHole(addr, Intersect(vma_range, Window(addr, MemoryFile::kZeroRange, 0)), false);
  Pma pma{.end = range.end,
          .file = &memory_file,
          .offset = memory_file.zero_offset() + (range.start & (MemoryFile::kZeroRange - 1)),
          .prot = static_cast<uint8_t>(vma.prot),
          .zero = true};
  pmas.emplace(range.start, pma);
}

Result<Span> MemoryManager::State::MakeAnonymousPma(Span vma_range, const Vma& vma, uint64_t addr,
                                                    uint64_t want_end, Garbage& garbage) {
  // What is never touched counts all the same, so near the limit nothing is taken ahead.
  const bool tight = memory_file.allocated_bytes() > memory_file.limit() / 4 * 3;
  uint64_t chunk = tight ? kPageSize : kMinChunk;
  Span range = ClipToHole(addr, Intersect(vma_range, Window(addr, chunk, want_end)), true);
  // Memory that grows upwards (heaps) or downwards (stacks) gets more at each step.
  if (uint64_t beside = AnonymousBeside(range, kMaxChunk); beside > chunk && !tight) {
    chunk = std::bit_floor(beside);
    range = ClipToHole(addr, Intersect(vma_range, Window(addr, chunk, want_end)), true);
  }
  Result<FileRange> memory = memory_file.Allocate(range.length(), MemoryFile::Use::kWhole);
  if (!memory.ok() && range.length() > kPageSize) {
    range = {addr, addr + kPageSize};
    memory = memory_file.Allocate(kPageSize);
  }
  if (!memory.ok()) return memory.error();
  Span stale = DetachPmas(range, garbage);
  pmas.emplace(range.start, Pma{.end = range.end,
                                .file = &memory_file,
                                .offset = memory->offset,
                                .prot = static_cast<uint8_t>(vma.prot),
                                .anonymous = true,
                                .writable = true});
  return stale;
}

Result<Span> MemoryManager::State::MakeFilePma(Span vma_range, const Vma& vma, uint64_t addr,
                                               MemoryAccess access, uint64_t want_end, Garbage& garbage) {
  if (!vma.shared) access = MemoryAccess::kRead;
  const bool write = access == MemoryAccess::kWrite;
  Span range = vma_range;
  if (write || vma_range.length() > kFileWindow)
    range = Intersect(range, Window(addr, write ? kFileWriteWindow : kFileWindow, want_end));
  if (auto old = FindPma(addr); old != pmas.end())
    range = Intersect(range, {addr, old->second.end});  // one that may not be written
  else
    range = ClipToHole(addr, range, false);

  Mappable& mappable = vma.object->mappable();
  auto translate = [&]() {
    return mappable.Translate(vma.offset + (range.start - vma_range.start), range.length(), access);
  };
  Result<Translation> pages = translate();
  if (range.start < addr && (!pages.ok() || range.start + pages->range.length <= addr)) {
    if (pages.ok()) garbage.pages.push_back({pages->file, pages->range});
    range.start = addr;
    pages = translate();
  }
  if (!pages.ok()) return pages.error();
  uint64_t length = std::min(pages->range.length, range.length());
  CHECK(length != 0 && (length & kPageMask) == 0);
  if (length < pages->range.length)
    garbage.pages.push_back(
        {pages->file, FileRange{pages->range.offset + length, pages->range.length - length}});
  if (write && !pages->writable) {
    garbage.pages.push_back({pages->file, FileRange{pages->range.offset, length}});
    return Errno(EFAULT);
  }
  range.end = range.start + length;
  Span stale = DetachPmas(range, garbage);
  pmas.emplace(range.start, Pma{.end = range.end,
                                .file = pages->file,
                                .offset = pages->range.offset,
                                .prot = static_cast<uint8_t>(vma.prot),
                                .cow = !vma.shared,
                                .writable = vma.shared && pages->writable});
  return stale;
}

Result<Span> MemoryManager::State::BreakCow(Span vma_range, const Vma& vma, uint64_t addr, uint64_t want_end,
                                            Garbage& garbage) {
  auto it = FindPma(addr);
  const Pma pma = it->second;
  const Span whole{it->first, pma.end};
  auto offset_of = [&](uint64_t at) { return pma.offset + (at - whole.start); };

  if (pma.anonymous && !memory_file.IsShared(offset_of(addr))) {
    // Nobody else is left to share with.
    Span own{addr, addr + kPageSize};
    Span reach = Intersect(whole, {addr - std::min(addr, kReuseReach), addr + kReuseReach});
    while (own.start > reach.start && !memory_file.IsShared(offset_of(own.start - kPageSize)))
      own.start -= kPageSize;
    while (own.end < reach.end && !memory_file.IsShared(offset_of(own.end))) own.end += kPageSize;
    SplitPmaAt(own.start);
    SplitPmaAt(own.end);
    FindPma(addr)->second.cow = false;
    MergePmas(own);
    return Span{};
  }

  // Neighbours are copied along. Of a large file mapping they are not: there it could be
  // noticed that they no longer follow the file.
  const bool alone = !pma.anonymous && vma_range.length() > kMaxClusteredFile;
  Span range = Intersect(whole, Window(addr, alone ? kPageSize : kCopyCluster, want_end));
  if (uint64_t beside = alone ? 0 : AnonymousBeside(range, kMaxCopyCluster); beside >= kCopyCluster)
    range = Intersect(whole, Window(addr, std::bit_floor(beside) * 2, want_end));
  if (!pma.anonymous && vma_range.length() <= kMaxEagerSegment) range = Intersect(whole, vma_range);
  for (;; range = {addr, addr + kPageSize}) {
    bool single = range.length() == kPageSize;
    Result<FileRange> memory = memory_file.Allocate(range.length(), MemoryFile::Use::kWhole);
    if (!memory.ok()) {
      if (single) return memory.error();
      continue;
    }
    const std::byte* from = pma.file->At({offset_of(range.start), range.length()});
    if (from == nullptr || SafeCopy(memory_file.At(*memory), from, range.length()) < range.length()) {
      memory_file.ReleasePageRefs(*memory);
      if (single) return Errno(from == nullptr ? EFAULT : ENXIO);
      continue;
    }
    Span stale = DetachPmas(range, garbage);
    pmas.emplace(range.start, Pma{.end = range.end,
                                  .file = &memory_file,
                                  .offset = memory->offset,
                                  .prot = static_cast<uint8_t>(vma.prot),
                                  .anonymous = true,
                                  .writable = true});
    return stale;
  }
}

}  // namespace runsc
