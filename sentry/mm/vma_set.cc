// VMAs: finding, cutting, joining, counting and placing them.
#include <algorithm>
#include <bit>

#include "platform/base/check.h"
#include "sentry/mm/state.h"

namespace runsc {

VmaMap::iterator MemoryManager::State::FirstVmaFrom(uint64_t addr) {
  auto it = vmas.upper_bound(addr);
  if (it != vmas.begin()) {
    auto previous = std::prev(it);
    if (previous->second.end > addr) return previous;
  }
  return it;
}

VmaMap::iterator MemoryManager::State::FindVma(uint64_t addr) {
  auto it = FirstVmaFrom(addr);
  return it != vmas.end() && it->first <= addr ? it : vmas.end();
}

bool MemoryManager::State::IsFree(Span range) {
  auto it = FirstVmaFrom(range.start);
  return it == vmas.end() || it->first >= range.end;
}

bool MemoryManager::State::HasHole(Span range) {
  uint64_t at = range.start;
  for (auto it = FirstVmaFrom(at); at < range.end; ++it) {
    if (it == vmas.end() || it->first > at) return true;
    at = it->second.end;
  }
  return false;
}

uint64_t MemoryManager::State::MappedBytes(Span range) {
  uint64_t bytes = 0;
  for (auto it = FirstVmaFrom(range.start); it != vmas.end() && it->first < range.end; ++it)
    bytes += std::min(it->second.end, range.end) - std::max(it->first, range.start);
  return bytes;
}

Result<void> MemoryManager::State::ChangeVmas(
    Span range, absl::FunctionRef<Result<void>(VmaMap::iterator it, Span part)> change) {
  bool hole = false;
  uint64_t at = range.start;
  while (at < range.end) {
    auto it = FirstVmaFrom(at);
    if (it == vmas.end() || it->first >= range.end) {
      hole = true;
      break;
    }
    if (it->first > at) hole = true;
    const Span part{std::max(at, it->first), std::min(it->second.end, range.end)};
    RETURN_IF_ERROR(change(it, part));
    at = part.end;
  }
  MergeVmas(range);
  return hole ? Result<void>(Errno(ENOMEM)) : Ok();
}

void MemoryManager::State::SplitVmaAt(uint64_t addr) {
  auto it = FindVma(addr);
  if (it == vmas.end() || it->first == addr) return;
  Vma upper = it->second;
  if (upper.object) upper.offset += addr - it->first;
  it->second.end = addr;
  vmas.emplace_hint(std::next(it), addr, std::move(upper));
}

namespace {

bool CanMerge(uint64_t start, const Vma& a, const Vma& b) {
  return a.prot == b.prot && a.max_prot == b.max_prot && a.shared == b.shared &&
         a.grows_down == b.grows_down && a.locked == b.locked && a.no_reserve == b.no_reserve &&
         a.dont_fork == b.dont_fork && a.wipe_on_fork == b.wipe_on_fork && a.object == b.object &&
         (!a.object || a.offset + (a.end - start) == b.offset) && a.name == b.name;
}

}  // namespace

void MemoryManager::State::MergeVmas(Span range) {
  auto it = FirstVmaFrom(range.start == 0 ? 0 : range.start - 1);
  while (it != vmas.end() && it->second.end <= range.end) {
    auto next = std::next(it);
    if (next == vmas.end()) return;
    if (it->second.end != next->first || !CanMerge(it->first, it->second, next->second)) {
      it = next;
      continue;
    }
    uint64_t start = it->first;
    it->second.end = next->second.end;
    vmas.erase(next);
    it = vmas.find(start);
  }
}

void MemoryManager::State::Account(const Vma& vma, uint64_t bytes, int sign) {
  uint64_t delta = sign < 0 ? -bytes : bytes;
  total_bytes += delta;
  if (vma.is_data()) data_bytes += delta;
  if (vma.grows_down) stack_bytes += delta;
  if (vma.locked) locked_bytes += delta;
  peak_total_bytes = std::max(peak_total_bytes, total_bytes);
}

Result<void> MemoryManager::State::CheckLimits(const Vma& vma, uint64_t bytes) {
  uint64_t sum;
  if (__builtin_add_overflow(total_bytes, bytes, &sum) || sum > limits.address_space) return Errno(ENOMEM);
  if (vma.is_data() && (__builtin_add_overflow(data_bytes, bytes, &sum) || sum > limits.data))
    return Errno(ENOMEM);
  // What could never be there at once is refused (Linux: overcommit heuristic).
  if (!vma.shared && (vma.prot & PROT_WRITE) && !vma.no_reserve && bytes > memory_file.limit())
    return Errno(ENOMEM);
  return Ok();
}

void MemoryManager::State::InsertVma(uint64_t start, Vma vma) {
  Account(vma, vma.end - start, 1);
  if (vma.object)
    vma.object->mappable().AddMapping(*owner, {UserAddr(start), UserAddr(vma.end)}, vma.offset,
                                      vma.writable_mapping());
  auto [it, inserted] = vmas.emplace(start, std::move(vma));
  CHECK(inserted);
}

void MemoryManager::State::UnmapRange(Span range, Garbage& garbage) {
  if (range.empty() || IsFree(range)) return;
  SplitVmaAt(range.start);
  SplitVmaAt(range.end);
  auto next = vmas.lower_bound(range.end);
  const uint64_t gap_end = next == vmas.end() ? UINT64_MAX : next->first;
  for (uint64_t& hint : gap_hints) hint = std::max(hint, gap_end);
  RemovePmas(range, garbage);
  auto it = vmas.lower_bound(range.start);
  while (it != vmas.end() && it->first < range.end) {
    Vma& vma = it->second;
    Account(vma, vma.end - it->first, -1);
    if (vma.object) {
      vma.object->mappable().RemoveMapping(*owner, {UserAddr(it->first), UserAddr(vma.end)}, vma.offset,
                                           vma.writable_mapping());
      garbage.objects.push_back(std::move(vma.object));
    }
    it = vmas.erase(it);
  }
}

// `wide`, if given, becomes where the first gap of `wide_length` bytes (at most `length`)
// ends: above it there is none.
std::optional<uint64_t> MemoryManager::State::FindGapBelow(uint64_t top, uint64_t floor, uint64_t length,
                                                           uint64_t wide_length, uint64_t* wide) {
  uint64_t ceiling = top;
  auto it = vmas.lower_bound(top);
  // A stack keeps its distance from what comes next below it only.
  auto start_of = [](VmaMap::iterator vma) {
    uint64_t gap = vma->second.grows_down ? kStackGuardGap : 0;
    return vma->first > gap ? vma->first - gap : 0;
  };
  if (it != vmas.end()) ceiling = std::min(ceiling, start_of(it));
  while (ceiling >= length && ceiling - length >= floor) {
    const uint64_t below = it == vmas.begin() ? floor : std::max(floor, std::prev(it)->second.end);
    if (wide != nullptr && ceiling >= below && ceiling - below >= wide_length) {
      *wide = ceiling;
      wide = nullptr;
    }
    if (ceiling >= below && ceiling - below >= length) return ceiling - length;
    if (it == vmas.begin()) break;
    --it;
    ceiling = start_of(it);
  }
  if (wide != nullptr) *wide = ceiling;
  return std::nullopt;
}

std::optional<uint64_t> MemoryManager::State::FindGap(uint64_t length, bool below_4g) {
  if (below_4g) return FindGapBelow(uint64_t{2} << 30, uint64_t{1} << 30, length);
  uint64_t& hint = gap_hints[static_cast<size_t>(std::bit_width(length) - 1)];
  if (auto gap = FindGapBelow(std::min(mmap_base, hint), min_address, length, std::bit_floor(length), &hint))
    return gap;
  return FindGapBelow(max_address, mmap_base, length);
}

void MemoryManager::State::PlaceMMapBase() {
  // As arch_pick_mmap_layout: room for the stack's limit and its own randomisation, then
  // 28 random bits of pages, less in a small address space.
  uint64_t gap = std::min(limits.stack, max_address) + kStackGuardGap + (max_address >> 13);
  gap = std::clamp(gap, uint64_t{128} << 20, max_address / 6 * 5);
  uint64_t slack = (max_address - gap) >> 6;
  uint64_t pages = std::min<uint64_t>(uint64_t{1} << 28, std::max<uint64_t>(slack / kPageSize, 1));
  mmap_base = PageRoundDown(max_address - gap) - random % pages * kPageSize;
  gap_hints.fill(UINT64_MAX);
}

Result<Span> MemoryManager::State::CheckRange(UserAddr addr, uint64_t length, int overflow_error) const {
  if (!addr.IsPageAligned()) return Errno(EINVAL);
  std::optional<uint64_t> rounded = PageRoundUp(length);
  if (!rounded || *rounded > max_address || addr.value() > max_address - *rounded)
    return Errno(overflow_error);
  return Span{addr.value(), addr.value() + *rounded};
}

}  // namespace runsc
