// SharedAnonymous: the memory behind one mmap(MAP_SHARED | MAP_ANONYMOUS), shared by
// the address spaces that inherit the mapping. Pages come from the memory file as they
// are touched.
//
// Owned by the VMAs that map it. Threading: any thread.
// Linux counterpart: shmem_zero_setup; it shows as "/dev/zero (deleted)".
#ifndef SENTRY_MM_SHARED_ANONYMOUS_H_
#define SENTRY_MM_SHARED_ANONYMOUS_H_

#include <string>

#include "absl/container/btree_map.h"
#include "platform/base/mutex.h"
#include "sentry/memory/mappable.h"
#include "sentry/memory/mapping_set.h"
#include "sentry/memory/memory_file.h"

namespace runsc {

class SharedAnonymous final : public MappedObject, public Mappable {
 public:
  SharedAnonymous(MemoryFile& memory_file, uint64_t length);
  ~SharedAnonymous() override;

  uint64_t resident_bytes() const;

  Mappable& mappable() override { return *this; }
  std::string Name() const override { return "/dev/zero (deleted)"; }
  uint64_t device() const override { return 1; }
  uint64_t inode_number() const override { return inode_number_; }

  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) override;
  void AddMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) override;
  void RemoveMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) override;
  Result<void> PunchHole(uint64_t offset, uint64_t length) override;

 private:
  MemoryFile& memory_file_;
  const uint64_t length_;
  const uint64_t inode_number_;
  mutable Mutex mu_{LockRank::kInodeData};
  absl::btree_map<uint64_t, FileRange> pages_ ABSL_GUARDED_BY(mu_);  // by offset; one reference each
  MappingSet mappings_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_MM_SHARED_ANONYMOUS_H_
