#include "sentry/memory/extent_set.h"

#include "platform/base/check.h"

namespace runsc {

void ExtentSet::Insert(FileRange extent) {
  if (extent.length == 0) return;
  total_ += extent.length;
  auto next = by_offset_.lower_bound(extent.offset);
  CHECK(next == by_offset_.end() || next->first >= extent.end());
  if (next != by_offset_.end() && next->first == extent.end()) {
    extent.length += next->second;
    by_length_.erase({next->second, next->first});
    next = by_offset_.erase(next);
  }
  if (next != by_offset_.begin()) {
    auto previous = std::prev(next);
    CHECK(previous->first + previous->second <= extent.offset);
    if (previous->first + previous->second == extent.offset) {
      by_length_.erase({previous->second, previous->first});
      previous->second += extent.length;
      by_length_.insert({previous->second, previous->first});
      return;
    }
  }
  by_offset_.emplace(extent.offset, extent.length);
  by_length_.insert({extent.length, extent.offset});
}

std::optional<uint64_t> ExtentSet::Take(uint64_t length) {
  auto best = by_length_.lower_bound({length, 0});
  if (best == by_length_.end()) return std::nullopt;
  auto [extent_length, offset] = *best;
  by_length_.erase(best);
  by_offset_.erase(offset);
  total_ -= length;
  if (extent_length > length) {
    by_offset_.emplace(offset + length, extent_length - length);
    by_length_.insert({extent_length - length, offset + length});
  }
  return offset;
}

std::vector<FileRange> ExtentSet::TakeAll() {
  std::vector<FileRange> extents;
  extents.reserve(by_offset_.size());
  for (auto [offset, length] : by_offset_) extents.push_back({offset, length});
  by_offset_.clear();
  by_length_.clear();
  total_ = 0;
  return extents;
}

}  // namespace runsc
