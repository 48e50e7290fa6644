// ExtentSet: disjoint ranges of free space, merged where they touch, found by offset
// and by length. The allocator of the memory file keeps two: clean and dirty.
//
// Threading: none of its own; the owner locks.
#ifndef SENTRY_MEMORY_EXTENT_SET_H_
#define SENTRY_MEMORY_EXTENT_SET_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "sentry/memory/mappable.h"

namespace runsc {

class ExtentSet {
 public:
  // `extent` overlaps nothing that is in the set.
  void Insert(FileRange extent);
  // Takes the first `length` units of the smallest extent that has as many.
  std::optional<uint64_t> Take(uint64_t length);
  // Takes everything.
  std::vector<FileRange> TakeAll();
  uint64_t total() const { return total_; }
  bool empty() const { return by_offset_.empty(); }

 private:
  absl::btree_map<uint64_t, uint64_t> by_offset_;             // offset -> length
  absl::btree_set<std::pair<uint64_t, uint64_t>> by_length_;  // (length, offset)
  uint64_t total_ = 0;
};

}  // namespace runsc

#endif  // SENTRY_MEMORY_EXTENT_SET_H_
