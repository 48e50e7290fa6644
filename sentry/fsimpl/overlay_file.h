// The open files of an overlay.
#ifndef SENTRY_FSIMPL_OVERLAY_FILE_H_
#define SENTRY_FSIMPL_OVERLAY_FILE_H_

#include <atomic>
#include <vector>

#include "sentry/fsimpl/overlay_inode.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

// Works on an open file of the layer that has the data. One that was opened for reading
// moves to the upper layer when the file is copied up; what it has mapped by then stays
// the lower file's, as in Linux.
class OverlayRegularFile final : public SeekableFile {
 public:
  OverlayRegularFile(const VfsPath& path, int flags, OverlayInode& inode, RefPtr<FileDescription> layer,
                     bool from_upper);
  ~OverlayRegularFile() override;

  Result<size_t> PRead(IoSequence& to, uint64_t offset) override;
  Result<size_t> PWrite(IoSequence& from, uint64_t offset) override;
  Result<int64_t> Seek(int64_t offset, int whence) override;
  Result<void> Sync(bool data_only) override;
  Result<void> Allocate(int mode, uint64_t offset, uint64_t length) override;
  Result<RefPtr<MappedObject>> ConfigureMMap(int prot, bool shared) override;
  Mappable& mappable() override;

 private:
  // Borrowed for the life of this file.
  Result<FileDescription*> Layer();

  OverlayInode& overlay_inode_;  // kept by the base class
  const RefPtr<FileDescription> first_;
  std::atomic<FileDescription*> upper_;            // a reference is held; set once
  std::atomic<FileDescription*> mapped_{nullptr};  // first_ or upper_, once something was mapped
};

// Takes the whole merged listing when the first entry is asked for and after a rewind.
class OverlayDirectoryFile final : public FileDescription {
 public:
  using FileDescription::FileDescription;
  Result<size_t> Read(IoSequence& to) override { return Errno(EISDIR); }
  Result<int64_t> Seek(int64_t offset, int whence) override;
  Result<void> GetDents(DirectoryEmitter& emitter) override;

 private:
  Mutex mu_{LockRank::kOverlayOffset};
  uint64_t position_ ABSL_GUARDED_BY(mu_) = 0;  // 0 and 1 are "." and ".."
  bool filled_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<OverlayInode::Entry> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_OVERLAY_FILE_H_
