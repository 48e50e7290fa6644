// The inodes of tmpfs: attributes and extended attributes here, what a type adds below.
//
// Internal to tmpfs. Threading: any thread; mode and owner are atomics, so that a path
// walk takes no lock. Lock order: io_mu_ (kFileIo), data_mu_ (kInodeData), attr_mu_
// (kInodeAttributes). Linux counterpart: struct shmem_inode_info.
#ifndef SENTRY_FSIMPL_TMPFS_INODE_H_
#define SENTRY_FSIMPL_TMPFS_INODE_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "platform/base/string_hash.h"
#include "sentry/fsimpl/tmpfs.h"
#include "sentry/memory/mapping_set.h"
#include "sentry/vfs/directory_file.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class TmpfsFilesystem final : public Filesystem {
 public:
  TmpfsFilesystem(MemoryFile& memory_file, const TmpfsOptions& options, std::string_view type_name)
      : memory_file_(memory_file),
        options_(options),
        type_name_(type_name),
        max_bytes_(options.max_bytes),
        max_inodes_(options.max_inodes) {}
  std::string_view type_name() const override { return type_name_; }
  Result<FilesystemStats> Stats() override;
  std::string MountOptions() const override;
  // The limits; EINVAL if more than that is in use already. The root's mode and owner stay.
  Result<void> Reconfigure(std::string_view options) override;

  MemoryFile& memory_file() { return memory_file_; }
  // Counts against size= and nr_inodes=: false if it is full.
  bool ChargeBytes(uint64_t bytes);
  void UnchargeBytes(uint64_t bytes) { used_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  bool ChargeInode();
  void UnchargeInode() { used_inodes_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  MemoryFile& memory_file_;
  const TmpfsOptions options_;
  const std::string type_name_;
  std::atomic<uint64_t> max_bytes_, max_inodes_;
  std::atomic<uint64_t> used_bytes_{0}, used_inodes_{0};
};

class TmpfsInode : public Inode {
 public:
  // The caller has charged the inode.
  TmpfsInode(TmpfsFilesystem& filesystem, const CreateAttributes& attributes);
  ~TmpfsInode() override;
  TmpfsFilesystem& tmpfs() const { return static_cast<TmpfsFilesystem&>(filesystem()); }
  uint64_t ino() const { return ino_; }

  Result<InodeAttributes> Attributes() override;
  Result<void> SetAttributes(Dentry& dentry, const AttributeChange& change) override;
  Result<void> CheckAccess(const Credentials& creds, int mask) override;
  Result<std::string> GetXattr(std::string_view name) override;
  Result<void> SetXattr(Dentry& dentry, std::string_view name, std::string_view value, int flags) override;
  Result<std::vector<std::string>> ListXattrs() override;
  Result<void> RemoveXattr(Dentry& dentry, std::string_view name) override;
  Result<PosixAcl::Ref> GetAcl(AclType type) override;
  Result<void> SetAcl(Dentry& dentry, AclType type, PosixAcl::Ref acl, std::optional<uint32_t> mode) override;
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override;

  // nlink += change; ctime is now.
  void ChangeLinks(int change);
  void TouchModified();  // mtime and ctime
  void TouchAccessed(FileDescription::AtimeUpdate update);

 protected:
  uint32_t permissions() const { return mode_.load(std::memory_order_relaxed) & 07777; }
  virtual Result<void> CheckModeChange(uint32_t mode) { return Ok(); }
  // Size and blocks for Attributes().
  virtual uint64_t Size() { return 0; }
  virtual uint64_t AllocatedBytes() { return 0; }
  virtual Result<void> SetSize(uint64_t size) { return Errno(EINVAL); }

 private:
  const uint64_t ino_;
  const uint64_t rdev_;
  std::atomic<uint32_t> mode_;
  std::atomic<Uid> uid_;
  std::atomic<Gid> gid_;
  std::atomic<bool> atime_behind_{false};  // older than mtime or ctime
  Mutex attr_mu_{LockRank::kInodeAttributes};
  uint32_t nlink_ ABSL_GUARDED_BY(attr_mu_);
  timespec atime_ ABSL_GUARDED_BY(attr_mu_), mtime_ ABSL_GUARDED_BY(attr_mu_),
      ctime_ ABSL_GUARDED_BY(attr_mu_);
  const timespec btime_;
  std::atomic<bool> has_acl_{false};  // one of them
  PosixAcl::Ref access_acl_ ABSL_GUARDED_BY(attr_mu_), default_acl_ ABSL_GUARDED_BY(attr_mu_);
  std::unique_ptr<std::map<std::string, std::string, std::less<>>> xattrs_ ABSL_GUARDED_BY(attr_mu_);
};

class TmpfsSymlink final : public TmpfsInode {
 public:
  TmpfsSymlink(TmpfsFilesystem& filesystem, const CreateAttributes& attributes, std::string_view target)
      : TmpfsInode(filesystem, attributes), target_(target) {}
  Result<std::string> ReadLink(const Credentials& creds) override { return target_; }

 protected:
  uint64_t Size() override { return target_.size(); }

 private:
  const std::string target_;
};

class TmpfsDirectory final : public TmpfsInode {
 public:
  using TmpfsInode::TmpfsInode;
  ~TmpfsDirectory() override;
  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override;
  Result<RefPtr<Inode>> Create(Dentry& dir, std::string_view name,
                               const CreateAttributes& attributes) override;
  Result<RefPtr<Inode>> Mkdir(Dentry& dir, std::string_view name,
                              const CreateAttributes& attributes) override;
  Result<RefPtr<Inode>> Symlink(Dentry& dir, std::string_view name, std::string_view target,
                                const CreateAttributes& attributes) override;
  Result<RefPtr<Inode>> Mknod(Dentry& dir, std::string_view name,
                              const CreateAttributes& attributes) override;
  Result<void> Link(Dentry& dir, std::string_view name, Dentry& target) override;
  Result<void> Unlink(Dentry& dir, Dentry& child) override;
  Result<void> Rmdir(Dentry& dir, Dentry& child) override;
  Result<void> Rename(Dentry& old_dir, Dentry& child, Dentry& new_dir, std::string_view new_name,
                      Dentry* replaced, uint32_t flags) override;
  Result<RefPtr<Inode>> CreateUnnamed(Dentry& dir, const CreateAttributes& attributes) override;
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override;

  // Emits entries from `position` on; returns where to go on.
  uint64_t Iterate(uint64_t position, DirectoryEmitter& emitter);

 protected:
  uint64_t Size() override;

 private:
  struct Entry {
    std::string name;
    RefPtr<TmpfsInode> inode;
    uint64_t position;
  };
  bool IsEmpty();
  RefPtr<TmpfsInode> Find(std::string_view name);
  void Insert(std::string_view name, RefPtr<TmpfsInode> inode);
  RefPtr<TmpfsInode> Erase(std::string_view name);
  Result<RefPtr<Inode>> Add(std::string_view name, RefPtr<TmpfsInode> inode);

  Mutex data_mu_{LockRank::kInodeData};
  absl::btree_map<uint64_t, Entry*> by_position_ ABSL_GUARDED_BY(data_mu_);
  StringMap<std::unique_ptr<Entry>> entries_ ABSL_GUARDED_BY(data_mu_);
  uint64_t next_position_ ABSL_GUARDED_BY(data_mu_) = 2;
};

class TmpfsRegular final : public TmpfsInode {
 public:
  using TmpfsInode::TmpfsInode;
  ~TmpfsRegular() override;
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override;

  Result<size_t> Read(IoSequence& to, uint64_t offset);
  // At `*offset`, or at the end if `append`; `*offset` is then where it began.
  Result<size_t> Write(IoSequence& from, uint64_t* offset, bool append);
  Result<void> Allocate(int mode, uint64_t offset, uint64_t length);
  // SEEK_DATA, SEEK_HOLE. ENXIO.
  Result<uint64_t> SeekExtent(uint64_t offset, bool data);
  uint64_t size() const { return size_.load(std::memory_order_acquire); }
  // Gives back memory that was set aside for further writes.
  void ReleaseReserve();

  // fcntl(F_GET_SEALS, F_ADD_SEALS). EPERM, EBUSY.
  uint32_t seals() const { return seals_.load(std::memory_order_acquire); }
  Result<void> AddSeals(uint32_t seals);
  void SetInitialSeals(uint32_t seals) { seals_.store(seals, std::memory_order_release); }

  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) override;
  void AddMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) override;
  void RemoveMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) override;
  Result<void> PunchHole(uint64_t offset, uint64_t length) override;

 protected:
  uint64_t Size() override { return size(); }
  uint64_t AllocatedBytes() override { return allocated_.load(std::memory_order_relaxed); }
  Result<void> SetSize(uint64_t size) override;
  Result<void> CheckModeChange(uint32_t mode) override;  // F_SEAL_EXEC

 private:
  struct Chunk {
    std::byte* data = nullptr;  // null: a hole
    uint64_t length = 0;
  };
  Chunk FindChunk(uint64_t offset, uint64_t length);
  // As FindChunk, but fills a hole of up to `length` bytes. ENOSPC, ENOMEM.
  Result<Chunk> MakeChunk(uint64_t offset, uint64_t length);
  // Memory for a part of the hole at `offset`, which reaches `length` bytes at least.
  Result<FileRange> FillHoleLocked(uint64_t offset, uint64_t length) ABSL_EXCLUSIVE_LOCKS_REQUIRED(data_mu_);
  // Bytes from `offset` to the next extent, or UINT64_MAX.
  uint64_t HoleLengthLocked(uint64_t offset) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(data_mu_);
  // The extent that holds `offset`, or end().
  absl::btree_map<uint64_t, FileRange>::iterator FindExtentLocked(uint64_t offset)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(data_mu_);
  void InsertExtentLocked(uint64_t offset, FileRange range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(data_mu_);
  // Takes whole pages out of [start, end).
  void RemovePages(uint64_t start, uint64_t end);
  void ZeroPart(uint64_t start, uint64_t end);
  Result<void> Resize(uint64_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(io_mu_);
  void Punch(uint64_t start, uint64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(io_mu_);
  void InvalidateMappings(uint64_t start, uint64_t end, bool also_private);

  // Readers and writers of the data; pages go only with it held exclusively.
  SharedMutex io_mu_{LockRank::kFileIo};
  std::atomic<uint64_t> size_{0};       // written under io_mu_
  std::atomic<uint64_t> allocated_{0};  // written under data_mu_
  std::atomic<uint32_t> seals_{1};      // F_SEAL_SEAL
  Mutex data_mu_{LockRank::kInodeData};
  absl::btree_map<uint64_t, FileRange> extents_ ABSL_GUARDED_BY(data_mu_);  // by file offset
  FileRange reserve_ ABSL_GUARDED_BY(data_mu_);
  MappingSet mappings_ ABSL_GUARDED_BY(data_mu_);
};

class TmpfsFile final : public SeekableFile {
 public:
  TmpfsFile(VfsPath path, int flags)
      : SeekableFile(std::move(path), flags), file_(static_cast<TmpfsRegular&>(*dentry()->borrow_inode())) {}
  ~TmpfsFile() override;
  Result<size_t> PRead(IoSequence& to, uint64_t offset) override;
  Result<size_t> PWrite(IoSequence& from, uint64_t offset) override;
  Result<int64_t> Seek(int64_t offset, int whence) override;
  Result<void> Allocate(int mode, uint64_t offset, uint64_t length) override;
  Result<int64_t> FileCommand(int command, uint64_t argument) override;
  Result<RefPtr<MappedObject>> ConfigureMMap(int prot, bool shared) override;

 protected:
  Result<uint64_t> Size() override { return file_.size(); }
  Result<size_t> Append(IoSequence& from, uint64_t* end) override;

 private:
  TmpfsRegular& file_;
};

class TmpfsDirectoryFile final : public DirectoryFile {
 public:
  using DirectoryFile::DirectoryFile;

 protected:
  Result<uint64_t> Iterate(uint64_t position, DirectoryEmitter& emitter) override {
    auto& directory = static_cast<TmpfsDirectory&>(*dentry()->borrow_inode());
    directory.TouchAccessed(atime_update());
    return directory.Iterate(position, emitter);
  }
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_TMPFS_INODE_H_
