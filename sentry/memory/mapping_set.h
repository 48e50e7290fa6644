// MappingSet: who maps which part of one Mappable, kept from AddMapping and
// RemoveMapping, so that truncation and hole punching reach every address space.
//
// Owned by the inode. Threading: its owner's inode data lock guards it; Invalidate is
// two steps, because owners are called without that lock.
// Linux counterpart: address_space.i_mmap.
#ifndef SENTRY_MEMORY_MAPPING_SET_H_
#define SENTRY_MEMORY_MAPPING_SET_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "sentry/memory/mappable.h"

namespace runsc {

class MappingSet {
 public:
  void Add(MappingOwner& owner, UserRange range, uint64_t offset, bool writable);
  // The range may be a part of an added one, or cover several.
  void Remove(MappingOwner& owner, UserRange range, uint64_t offset, bool writable);
  bool empty() const { return mappings_.empty(); }
  // Whether somebody maps it shared and may write (F_SEAL_WRITE, ETXTBSY).
  bool has_writable() const;

  // What maps [offset, offset+length) (UINT64_MAX: to the end), held so that it can be
  // called after the lock was dropped.
  class Targets {
   public:
    Targets() = default;
    Targets(Targets&& other) noexcept { targets_.swap(other.targets_); }
    Targets& operator=(Targets&& other) noexcept {
      targets_.swap(other.targets_);
      return *this;
    }
    ~Targets();
    // Calls every owner. Without inode locks.
    void Invalidate(bool also_private);

   private:
    friend class MappingSet;
    std::vector<std::pair<MappingOwner*, UserRange>> targets_;
  };
  Targets Find(uint64_t offset, uint64_t length) const;

 private:
  struct Mapping {
    UserAddr end;
    uint64_t offset = 0;
    bool writable = false;
  };
  // Ranges of one owner are disjoint.
  absl::btree_map<std::pair<MappingOwner*, UserAddr>, Mapping> mappings_;
};

}  // namespace runsc

#endif  // SENTRY_MEMORY_MAPPING_SET_H_
