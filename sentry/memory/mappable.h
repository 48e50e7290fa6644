// What a VMA maps, as the mm sees it without knowing files: a MappedObject owns the
// mapping's identity, a Mappable turns file offsets into ranges of a BackingFile (the
// memory file, or a host file that the Gofer donated), and a MappingOwner (the
// MemoryManager) is told when such a range goes away.
//
// Lock order: mm's lock is held while Translate is called, so Translate takes inode
// data locks only and never calls the Gofer. Invalidate takes mm's lock: call it
// without inode data locks.
// Linux counterpart: struct address_space and vm_operations_struct.
#ifndef SENTRY_MEMORY_MAPPABLE_H_
#define SENTRY_MEMORY_MAPPABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/usermem/user_addr.h"
#include "sentry/usermem/user_memory.h"

namespace runsc {

// A page-aligned range of a BackingFile.
struct FileRange {
  uint64_t offset = 0;
  uint64_t length = 0;
  constexpr uint64_t end() const { return offset + length; }
};

// A host file whose pages guests and the Sentry may map. Pages are counted: a range
// stays what it is while somebody holds a reference on its pages.
class BackingFile {
 public:
  virtual int host_fd() const = 0;
  // The Sentry's own mapping of the range, valid while a page reference is held;
  // null if it cannot be mapped. Access by UserMemory's fault-safe copies only,
  // because a host file can shrink underneath.
  virtual std::byte* At(FileRange range) = 0;
  virtual void AddPageRefs(FileRange range) = 0;
  virtual void ReleasePageRefs(FileRange range) = 0;

 protected:
  ~BackingFile() = default;
};

struct Translation {
  BackingFile* file = nullptr;
  FileRange range;        // starts at the page that was asked for; page references added
  bool writable = false;  // may be mapped writable (else a later write asks again)
};

class MappingOwner {
 public:
  // Removes what is mapped of the Mappable's range, also private copies if `also_private`
  // (truncation; not hole punching). The guest faults and asks again.
  virtual void Invalidate(UserRange range, bool also_private) = 0;
  // A reference on the owner, for a call of Invalidate after the inode's lock was
  // dropped. False: it is being destroyed and removes its mappings itself.
  virtual bool TryHold() = 0;
  virtual void Drop() = 0;

 protected:
  ~MappingOwner() = default;
};

class Mappable {
 public:
  // The pages behind [offset, offset+max), at least the first one; as many as are at
  // hand contiguously. ENXIO: beyond the end of the file (SIGBUS). ENOMEM.
  virtual Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) = 0;
  // The owner maps [offset, offset+range.length()) at `range`; one call a VMA (and a
  // RemoveMapping with the same arguments, for a part when a VMA is cut, or for several
  // at once when VMAs were merged). mapping_set.h keeps account of them.
  virtual void AddMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {}
  virtual void RemoveMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {}
  // Writes dirty pages back (msync(2)).
  virtual Result<void> Sync(uint64_t offset, uint64_t length) { return Ok(); }
  // Frees the range's pages, which then read as zero (madvise(MADV_REMOVE)). Called
  // without mm's lock.
  virtual Result<void> PunchHole(uint64_t offset, uint64_t length) { return Errno(EOPNOTSUPP); }

 protected:
  ~Mappable() = default;
};

// What a VMA holds on to, and what /proc/pid/maps shows of it.
class MappedObject : public RefCounted {
 public:
  virtual Mappable& mappable() = 0;
  virtual std::string Name() const = 0;  // path, "/dev/zero (deleted)", …
  virtual uint64_t device() const = 0;
  virtual uint64_t inode_number() const = 0;
};

}  // namespace runsc

#endif  // SENTRY_MEMORY_MAPPABLE_H_
