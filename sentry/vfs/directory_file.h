// DirectoryFile: an open directory whose entries have stable positions: the base for
// filesystems that can go on listing behind any position.
//
// Positions 0 and 1 are "." and ".."; a filesystem's own begin at 2.
// Threading: any thread. Linux counterpart: dir_emit_dots() and struct dir_context.
#ifndef SENTRY_VFS_DIRECTORY_FILE_H_
#define SENTRY_VFS_DIRECTORY_FILE_H_

#include "sentry/vfs/file_description.h"

namespace runsc {

class DirectoryFile : public FileDescription {
 public:
  using FileDescription::FileDescription;
  Result<size_t> Read(IoSequence& to) override { return Errno(EISDIR); }
  Result<size_t> PRead(IoSequence& to, uint64_t offset) override { return Errno(EISDIR); }
  Result<int64_t> Seek(int64_t offset, int whence) override;
  Result<void> GetDents(DirectoryEmitter& emitter) override;

 protected:
  static constexpr uint64_t kFirstPosition = 2;
  // Emits entries from `position` (>= kFirstPosition) on until the emitter is full;
  // returns where to go on. Takes no locks above kInodeData while it emits.
  virtual Result<uint64_t> Iterate(uint64_t position, DirectoryEmitter& emitter) = 0;

 private:
  Mutex offset_mu_{LockRank::kFileOffset};
  uint64_t offset_ ABSL_GUARDED_BY(offset_mu_) = 0;
};

// DT_* of a file type (S_IFMT).
constexpr uint8_t DirentType(uint32_t mode) { return static_cast<uint8_t>((mode & S_IFMT) >> 12); }

}  // namespace runsc

#endif  // SENTRY_VFS_DIRECTORY_FILE_H_
