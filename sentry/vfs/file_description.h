// FileDescription: an open file (open(2): "open file description"): what
// FDTables' entries refer to, with its offset, status flags and lock ownership.
//
// Files never block. What cannot go on returns EAGAIN, and its wait queue is
// notified when it may; the system call layer does the waiting (unless
// O_NONBLOCK), so that every wait is interruptible in one place. Threading: any
// thread. Linux counterpart: struct file and file_operations.
#ifndef SENTRY_VFS_FILE_DESCRIPTION_H_
#define SENTRY_VFS_FILE_DESCRIPTION_H_

#include <fcntl.h>

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/result.h"
#include "sentry/memory/mappable.h"
#include "sentry/usermem/io_sequence.h"
#include "sentry/vfs/mount.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

// Receives directory entries (getdents64(2)).
struct DirectoryEntry {
  std::string_view name;
  uint64_t ino = 0;
  uint8_t type = 0;          // DT_*
  uint64_t next_offset = 0;  // where a later read goes on behind this entry
};
class DirectoryEmitter {
 public:
  // False: full; this entry was not taken.
  virtual bool Emit(const DirectoryEntry& entry) = 0;

 protected:
  ~DirectoryEmitter() = default;
};

class FileDescription;

// Told that the last reference to a file is gone, before the file is destroyed: epoll, whose
// interest in a file does not keep it open. Called without locks.
class FileReleaseListener : public RefCounted {
 public:
  virtual void OnFileReleased(FileDescription& file) = 0;
};

class FileDescription : public MappedObject {
 public:
  FileDescription(VfsPath path, int flags);
  ~FileDescription() override;

  const VfsPath& path() const { return path_; }
  const RefPtr<Dentry>& dentry() const { return path_.dentry; }
  RefPtr<Inode> inode() const { return inode_; }  // never null
  // O_ACCMODE and creation-time flags as opened, plus the status flags of now.
  int flags() const { return flags_.load(std::memory_order_relaxed); }
  bool readable() const { return readable_; }
  bool writable() const { return writable_; }
  bool IsPathOnly() const { return (flags() & O_PATH) != 0; }
  // What a read does to the time of last access, by the mount's flags and O_NOATIME.
  enum class AtimeUpdate { kNever, kRelative, kAlways };
  AtimeUpdate atime_update() const;
  bool non_blocking() const { return (flags() & O_NONBLOCK) != 0; }
  // fcntl(F_SETFL): O_APPEND, O_ASYNC, O_DIRECT, O_NOATIME, O_NONBLOCK.
  virtual Result<void> SetStatusFlags(int flags);

  // --- I/O at the file's own offset; EAGAIN as said above. Count moved. ---
  virtual Result<size_t> Read(IoSequence& to) { return Errno(EINVAL); }
  virtual Result<size_t> Write(IoSequence& from) { return Errno(EINVAL); }
  // Whether pread(2) and pwrite(2) are asked at all (Linux: FMODE_PREAD, FMODE_PWRITE), else they are ESPIPE.
  virtual bool has_offset() const { return inode_->IsRegular() || inode_->IsDirectory(); }
  // Whether O_DIRECT may be set (Linux: FMODE_CAN_ODIRECT).
  virtual bool may_be_direct() const { return inode_->IsRegular(); }
  // --- at an offset; ESPIPE where there is none ---
  virtual Result<size_t> PRead(IoSequence& to, uint64_t offset) {
    return Errno(inode_->IsDirectory() ? EISDIR : ESPIPE);
  }
  virtual Result<size_t> PWrite(IoSequence& from, uint64_t offset) { return Errno(ESPIPE); }
  virtual Result<int64_t> Seek(int64_t offset, int whence) { return Errno(ESPIPE); }
  virtual Result<void> GetDents(DirectoryEmitter& emitter) { return Errno(ENOTDIR); }
  // ENOTTY: no such request here. FIONBIO, FIOCLEX and FIONREAD of regular
  // files are dealt with before.
  virtual Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) {
    return Errno(ENOTTY);
  }
  // fcntl(2)'s commands that only some files know: F_ADD_SEALS, F_GET_SEALS. EINVAL: not here.
  virtual Result<int64_t> FileCommand(int command, uint64_t argument) { return Errno(EINVAL); }
  // EINVAL: nothing that could be synced (Linux: no fsync operation).
  virtual Result<void> Sync(bool data_only) {
    return inode_->IsRegular() || inode_->IsDirectory() ? Ok() : Result<void>(Errno(EINVAL));
  }
  virtual Result<void> Allocate(int mode, uint64_t offset, uint64_t length) { return Errno(EOPNOTSUPP); }
  // Through an open file (ftruncate, fchmod: also works on unlinked files).
  virtual Result<InodeAttributes> Attributes() { return inode_->Attributes(); }
  virtual Result<void> SetAttributes(const AttributeChange& change) {
    return inode_->SetAttributes(*path_.dentry, change);
  }

  // --- readiness (poll(2)); a file without a queue is always ready ---
  virtual EventMask Readiness(EventMask mask) {
    return mask & (EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM);
  }
  // poll(2) or epoll_wait(2) is about to tell somebody of these: some things are told once.
  virtual void OnReported(EventMask ready) {}
  virtual WaitQueue* wait_queue() { return nullptr; }
  // Somebody will want to be told through the queue whenever something comes, even if what came before was
  // not taken (EPOLLET). Only for files that do not know by themselves.
  virtual void WatchEdges() {}
  // Whether epoll takes it (EPERM for regular files and directories).
  bool CanBePolled() { return wait_queue() != nullptr; }

  // How long read(2) or write(2) may wait, in ns; 0: for ever (SO_RCVTIMEO, SO_SNDTIMEO). Such a wait ends
  // with EAGAIN, or EINTR.
  virtual int64_t io_timeout(bool write) const { return 0; }

  // Called by the system call layer, again after each EAGAIN, before open(2)
  // returns (FIFOs wait for a peer).
  virtual Result<void> FinishOpen() { return Ok(); }
  // close(2) of one descriptor (not the last reference): its result is close's.
  virtual Result<void> Flush() { return Ok(); }

  // mmap(2): what a VMA will hold (this object, or another one). ENODEV where
  // there is no mapping.
  virtual Result<RefPtr<MappedObject>> ConfigureMMap(int prot, bool shared) { return Errno(ENODEV); }

  // --- MappedObject; the name shown in maps is made by the reader from path()
  // ---
  Mappable& mappable() override { return *inode_; }
  std::string Name() const override;
  uint64_t device() const override;
  uint64_t inode_number() const override;

  // Keeps others from opening the file for writing as long as this lives (execve(2)). ETXTBSY: somebody has.
  Result<void> DenyWriting();

  // Counted: as often removed as added.
  void AddReleaseListener(RefPtr<FileReleaseListener> listener);
  void RemoveReleaseListener(FileReleaseListener& listener);
  std::vector<RefPtr<FileReleaseListener>> ReleaseListeners();
  bool HasReleaseListeners();
  // Unique for the life of the sandbox: the owner of flock and OFD locks.
  const void* lock_owner() const { return this; }

 protected:
  void OnLastRelease() override;  // releases flock and OFD locks, tells inotify, deletes

 private:
  void CountOpen(int change);

  const VfsPath path_;
  const RefPtr<Inode> inode_;
  std::atomic<int> flags_;
  const bool readable_, writable_;
  std::atomic<bool> denies_writing_{false};
  Mutex listeners_mu_{LockRank::kLeaf};
  std::vector<RefPtr<FileReleaseListener>> listeners_ ABSL_GUARDED_BY(listeners_mu_);
};

// A file with an offset over PRead and PWrite: regular files, most of /proc.
// O_APPEND writes go to `AppendSize()`'s end under the inode's write lock,
// which the subclass's PWrite must not take.
class SeekableFile : public FileDescription {
 public:
  using FileDescription::FileDescription;
  Result<size_t> Read(IoSequence& to) override;
  Result<size_t> Write(IoSequence& from) override;
  Result<int64_t> Seek(int64_t offset, int whence) override;

 protected:
  // For SEEK_END and O_APPEND; the default asks Attributes().
  virtual Result<uint64_t> Size();
  // A write at the end of file (O_APPEND), atomically; returns the offset
  // behind it through `end`.
  virtual Result<size_t> Append(IoSequence& from, uint64_t* end);
  virtual uint64_t max_offset() const { return INT64_MAX; }
  Mutex offset_mu_{LockRank::kFileOffset};
  uint64_t offset_ ABSL_GUARDED_BY(offset_mu_) = 0;
};

}  // namespace runsc

#endif  // SENTRY_VFS_FILE_DESCRIPTION_H_
