// HostBackingFile: a host file that the Sentry holds a descriptor of (donated by the
// Gofer, or a standard stream), as something that read, write and mmap can use. Guests
// map its descriptor directly; the Sentry maps windows of it when it has to look itself.
//
// Shared by an inode and its open files through RefPtr; page references keep it alive
// too. Threading: any thread.
#ifndef SENTRY_FSIMPL_HOST_BACKING_FILE_H_
#define SENTRY_FSIMPL_HOST_BACKING_FILE_H_

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/unique_fd.h"
#include "sentry/memory/mappable.h"
#include "sentry/usermem/io_sequence.h"

namespace runsc {

// fstat(2) itself: what the C library calls for it differs from one version to the next, and the Sentry's
// filter has one call for each purpose.
inline int HostFstat(int fd, struct stat* stat) { return static_cast<int>(::syscall(SYS_fstat, fd, stat)); }

class HostBackingFile final : public RefCounted, public BackingFile {
 public:
  HostBackingFile(UniqueFd fd, bool writable) : fd_(std::move(fd)), writable_(writable) {}
  ~HostBackingFile() override;

  int host_fd() const override { return fd_.get(); }
  bool writable() const { return writable_; }
  // Null beyond what the Sentry can map; bytes beyond the end of the file fault.
  std::byte* At(FileRange range) override;
  void AddPageRefs(FileRange range) override;
  void ReleasePageRefs(FileRange range) override;

  // fstat(2).
  Result<struct stat> Stat() const;
  // What Mappable::Translate answers for this file. ENXIO beyond its end; EACCES.
  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess access);

  // Straight between the host's page cache and guest memory. Short at the end of the file.
  Result<size_t> PRead(IoSequence& to, uint64_t offset);
  // Whether a read of so many bytes, which this counts, is one for ReadMapped: only what is read again and
  // again in small pieces is mapped, for a page's first fault costs more than a call.
  bool CountRead(size_t length);
  // PRead without a host call, from a mapping, for a file whose size is known; nullopt: not this way.
  std::optional<size_t> ReadMapped(IoSequence& to, uint64_t offset, uint64_t size);
  Result<size_t> PWrite(IoSequence& from, uint64_t offset);
  // To the end of the file as the host has it, whoever else appends.
  Result<size_t> Append(IoSequence& from);
  Result<void> Sync(bool data_only);
  Result<void> Allocate(int mode, uint64_t offset, uint64_t length);

 private:
  struct Window {
    FileRange range;
    std::byte* address;
  };

  const UniqueFd fd_;
  const bool writable_;
  std::atomic<int64_t> pages_{0};  // referenced; the file holds itself while there are any
  std::atomic<uint32_t> small_reads_{0};
  Mutex mu_{LockRank::kLeaf};
  std::vector<Window> windows_ ABSL_GUARDED_BY(mu_);
};

// Moves bytes between `sequence` and `transfer`, which is called with blocks of guest
// memory and what was moved before; until one call moves less than it could have.
Result<size_t> TransferBlocks(
    IoSequence& sequence, MemoryAccess access,
    absl::FunctionRef<ssize_t(std::span<const iovec> blocks, uint64_t done)> transfer);

// A host stat as the guest sees it, but for device and inode number.
void CopyHostAttributes(const struct stat& from, struct InodeAttributes* to);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_HOST_BACKING_FILE_H_
