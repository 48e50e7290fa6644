// The open files of a GoferFilesystem: regular files on their donated descriptor, and
// directories.
#ifndef SENTRY_FSIMPL_GOFER_FILE_H_
#define SENTRY_FSIMPL_GOFER_FILE_H_

#include <string>
#include <vector>

#include "gofer/protocol/messages.h"
#include "sentry/fsimpl/gofer_inode.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class GoferRegularFile final : public SeekableFile {
 public:
  // `file` came from inode.OpenData().
  GoferRegularFile(const VfsPath& path, int flags, GoferInode& inode, RefPtr<HostBackingFile> file)
      : SeekableFile(path, flags), gofer_inode_(inode), file_(std::move(file)) {}
  ~GoferRegularFile() override { gofer_inode_.CloseData(); }

  Result<size_t> PRead(IoSequence& to, uint64_t offset) override;
  Result<size_t> PWrite(IoSequence& from, uint64_t offset) override;
  Result<int64_t> Seek(int64_t offset, int whence) override;
  Result<void> Sync(bool data_only) override { return file_->Sync(data_only); }
  Result<void> Allocate(int mode, uint64_t offset, uint64_t length) override;
  Result<RefPtr<MappedObject>> ConfigureMMap(int prot, bool shared) override;

 protected:
  Result<uint64_t> Size() override;
  Result<size_t> Append(IoSequence& from, uint64_t* end) override;

 private:
  GoferInode& gofer_inode_;  // kept by the base class
  const RefPtr<HostBackingFile> file_;
};

// Takes the whole listing when the first entry is asked for, and again after a rewind:
// so an entry is seen exactly once whatever is made and removed in between.
class GoferDirectoryFile final : public FileDescription {
 public:
  using FileDescription::FileDescription;
  Result<size_t> Read(IoSequence& to) override { return Errno(EISDIR); }
  Result<int64_t> Seek(int64_t offset, int whence) override;
  Result<void> GetDents(DirectoryEmitter& emitter) override;
  Result<void> Sync(bool data_only) override;

 private:
  GoferInode& directory() const { return static_cast<GoferInode&>(*dentry()->borrow_inode()); }
  Mutex mu_{LockRank::kFileOffset};
  uint64_t position_ ABSL_GUARDED_BY(mu_) = 0;  // 0 and 1 are "." and ".."
  RefPtr<const GoferListing> listing_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_GOFER_FILE_H_
