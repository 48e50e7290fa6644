// CallCounter: which system call instructions of one address space are trapped often.
//
// A small table in sets of four, as a CPU's cache: an address belongs to one set, and takes the place of the
// coldest entry there, *with its count*. So addresses that share a set do not make each other forgotten,
// however many they are: each round of theirs raises the lowest count, and in the end one of them is hot.
// That count may be too high, which costs a patch that was not quite worth it, never one that is missed.
//
// Threading: thread-safe.
#ifndef PLATFORM_SYSTRAP_CALL_COUNTER_H_
#define PLATFORM_SYSTRAP_CALL_COUNTER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "platform/base/mutex.h"

namespace runsc {

class CallCounter {
 public:
  // A call that was trapped this often is worth a patch.
  static constexpr uint32_t kHot = 32;

  // Counts one trap at `call` (not 0). True when that makes it hot: once, as long as it has its entry.
  bool Count(uint64_t call) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    Set& set = sets_[SetOf(call)];
    auto entry = std::find_if(set.begin(), set.end(), [call](const Entry& e) { return e.call == call; });
    if (entry == set.end()) {
      entry = std::min_element(set.begin(), set.end(),
                               [](const Entry& a, const Entry& b) { return a.count < b.count; });
      // What is hot and still trapped cannot be patched; that says nothing about its successor.
      *entry = {call, entry->told ? 0 : entry->count, false};
    }
    if (entry->count < kHot) ++entry->count;
    if (entry->told || entry->count < kHot) return false;
    // A patched one does not come again, and is the first to be replaced.
    entry->told = true;
    entry->count = 0;
    return true;
  }

 private:
  static constexpr size_t kSets = 64, kWays = 4;
  struct Entry {
    uint64_t call = 0;
    uint32_t count = 0;
    bool told = false;
  };
  using Set = std::array<Entry, kWays>;

  static size_t SetOf(uint64_t call) { return (call * 0x9e3779b97f4a7c15) >> 58; }
  static_assert(kSets == 1 << (64 - 58));

  Mutex mu_{LockRank::kLeaf};
  std::array<Set, kSets> sets_ ABSL_GUARDED_BY(mu_) = {};
};

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_CALL_COUNTER_H_
