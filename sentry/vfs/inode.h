// Inode: a file as its filesystem knows it: its attributes, its data, and, for
// a directory, the operations on its entries. Names are not here (see
// dentry.h).
//
// Owned by dentries, open files and the filesystem's own tables through RefPtr.
// Threading: any method from any thread. Directory operations (Lookup … Rename)
// are called with the directory's `directory_lock()` held by the vfs (two for a
// rename, parent first), so that a filesystem needs no lock of its own for
// entries. They get the directory's Dentry as well, because an overlay has to
// know paths to copy up. Permissions, read-only mounts, sticky bits and name
// length are checked by the vfs before. Linux counterpart: struct inode and
// inode_operations.
#ifndef SENTRY_VFS_INODE_H_
#define SENTRY_VFS_INODE_H_

#include <sys/stat.h>
#include <time.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/auth/credentials.h"
#include "sentry/memory/mappable.h"
#include "sentry/vfs/posix_acl.h"

namespace runsc {

class Dentry;
class FileDescription;
class FileLocks;
class Filesystem;
class Inode;
class InotifyWatches;
class Mount;
struct VfsPath;

// What stat(2) and statx(2) show.
struct InodeAttributes {
  uint32_t mode = 0;  // S_IFMT and permission bits
  uint32_t nlink = 1;
  Uid uid = 0;
  Gid gid = 0;
  uint64_t ino = 0;
  uint64_t device = 0;  // of the filesystem, makedev(3) encoding
  uint64_t rdev = 0;    // of a device node
  uint64_t size = 0;
  uint64_t blocks = 0;  // of 512 bytes
  uint32_t block_size = kPageSize;
  timespec atime{}, mtime{}, ctime{}, btime{};
  bool has_btime = false;
};

struct TimeChange {
  bool now = false;
  timespec value{};  // when not `now`
};

// chmod, chown, truncate, utimensat; only what is set changes. The vfs has
// checked permissions and put S_ISUID/S_ISGID clearing into `mode`. ctime
// follows by itself.
struct AttributeChange {
  std::optional<uint32_t> mode;  // permission bits, no S_IFMT
  std::optional<Uid> uid;
  std::optional<Gid> gid;
  std::optional<uint64_t> size;
  std::optional<TimeChange> atime, mtime;
};

// What a new file starts with. The vfs has applied umask and set-group-ID
// rules.
struct CreateAttributes {
  uint32_t mode = 0;  // with S_IFMT
  Uid uid = 0;
  Gid gid = 0;
  uint64_t rdev = 0;
  PosixAcl::Ref access_acl, default_acl;  // null: none
};

struct OpenOptions {
  int flags = 0;  // O_*; O_CREAT, O_EXCL, O_NOFOLLOW and O_CLOEXEC are dealt
                  // with by the vfs, O_TRUNC too
  RefPtr<const Credentials> creds;
};

// What a walk found for a run of names below a directory, in one go.
struct LookupEntry {
  RefPtr<Inode> inode;  // null: there is no such name (only the last entry)
};

// The rule of CheckAccess for known attributes: owner, group, others, then
// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH. EACCES.
Result<void> CheckModeBits(const Credentials& creds, uint32_t mode, Uid uid, Gid gid, int mask);

// What the mode does not grant: by CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH over the file. EACCES.
Result<void> CheckOverride(const Credentials& creds, uint32_t mode, Uid uid, Gid gid, uint32_t wanted);

class Inode : public RefCounted, public Mappable {
 public:
  explicit Inode(Filesystem& filesystem, uint32_t file_type);
  ~Inode() override;

  Filesystem& filesystem() const { return filesystem_; }
  // S_IFREG, S_IFDIR, …; never changes.
  uint32_t file_type() const { return file_type_; }
  bool IsDirectory() const { return file_type_ == S_IFDIR; }
  bool IsSymlink() const { return file_type_ == S_IFLNK; }
  bool IsRegular() const { return file_type_ == S_IFREG; }
  // A directory that will never hold anything: a place to mount something on.
  virtual bool IsAlwaysEmpty() const { return false; }
  Mutex& directory_lock() ABSL_LOCK_RETURNED(directory_mu_) { return directory_mu_; }

  virtual Result<InodeAttributes> Attributes() = 0;
  virtual Result<void> SetAttributes(Dentry& dentry, const AttributeChange& change) { return Errno(EPERM); }
  // Permission check (access(2)'s R_OK|W_OK|X_OK bits) with fsuid, fsgid and
  // capabilities; the default uses Attributes().
  virtual Result<void> CheckAccess(const Credentials& creds, int mask);

  // --- directories; ENOENT and friends as in the man pages ---
  // ENOENT: no such name (cached as a negative dentry if the filesystem allows
  // it).
  virtual Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) { return Errno(ENOTDIR); }
  // For `names` one below the other: entries up to the first one that is
  // missing, no directory or a symlink. A filesystem far away answers in one
  // round trip; the default looks up the first name only.
  virtual Result<std::vector<LookupEntry>> LookupMany(Dentry& dir, std::span<const std::string_view> names);
  virtual Result<RefPtr<Inode>> Create(Dentry& dir, std::string_view name,
                                       const CreateAttributes& attributes) {
    return Errno(EPERM);
  }
  virtual Result<RefPtr<Inode>> Mkdir(Dentry& dir, std::string_view name,
                                      const CreateAttributes& attributes) {
    return Errno(EPERM);
  }
  virtual Result<RefPtr<Inode>> Symlink(Dentry& dir, std::string_view name, std::string_view target,
                                        const CreateAttributes& attributes) {
    return Errno(EPERM);
  }
  // FIFOs, sockets, device nodes.
  virtual Result<RefPtr<Inode>> Mknod(Dentry& dir, std::string_view name,
                                      const CreateAttributes& attributes) {
    return Errno(EPERM);
  }
  virtual Result<void> Link(Dentry& dir, std::string_view name, Dentry& target) { return Errno(EPERM); }
  virtual Result<void> Unlink(Dentry& dir, Dentry& child) { return Errno(EPERM); }
  virtual Result<void> Rmdir(Dentry& dir, Dentry& child) { return Errno(EPERM); }
  // `replaced` is null or what has the new name now. With RENAME_EXCHANGE it is
  // not null.
  virtual Result<void> Rename(Dentry& old_dir, Dentry& child, Dentry& new_dir, std::string_view new_name,
                              Dentry* replaced, uint32_t flags) {
    return Errno(EPERM);
  }
  // A file without a name (O_TMPFILE).
  virtual Result<RefPtr<Inode>> CreateUnnamed(Dentry& dir, const CreateAttributes& attributes) {
    return Errno(EOPNOTSUPP);
  }

  // --- symlinks ---
  virtual Result<std::string> ReadLink(const Credentials& creds) { return Errno(EINVAL); }
  // A magic link (/proc/self/fd/3, /proc/self/exe) goes to an object, not to a
  // text. ENOTSUP (the default): follow what ReadLink says.
  virtual Result<VfsPath> FollowLink(const Credentials& creds);

  // Opens it. The vfs has checked permissions and types (a directory is not
  // opened for writing).
  virtual Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) = 0;

  // --- extended attributes (full names: "user.x") ---
  virtual Result<std::string> GetXattr(std::string_view name) { return Errno(EOPNOTSUPP); }
  virtual Result<void> SetXattr(Dentry& dentry, std::string_view name, std::string_view value, int flags) {
    return Errno(EOPNOTSUPP);
  }
  virtual Result<std::vector<std::string>> ListXattrs() { return std::vector<std::string>(); }
  virtual Result<void> RemoveXattr(Dentry& dentry, std::string_view name) { return Errno(EOPNOTSUPP); }

  // --- access control lists; null: there is none. EOPNOTSUPP: the filesystem has none ---
  virtual Result<PosixAcl::Ref> GetAcl(AclType type) { return Errno(EOPNOTSUPP); }
  // The vfs has checked everything; the mode goes along with an access list.
  virtual Result<void> SetAcl(Dentry& dentry, AclType type, PosixAcl::Ref acl, std::optional<uint32_t> mode) {
    return Errno(EOPNOTSUPP);
  }

  // --- Mappable; only for files that can be mapped ---
  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) override {
    return Errno(ENXIO);
  }

  // One writer's read-modify-write where the filesystem has no lock of its own (O_APPEND).
  Mutex& write_lock() ABSL_LOCK_RETURNED(write_mu_) { return write_mu_; }

  // fcntl(F_SET_RW_HINT); without effect.
  std::atomic<uint8_t> write_hint{0};

  // An object that hangs on this file for as long as both live: a FIFO's pipe, the
  // socket that is bound here. `make` is called, with a leaf lock held, if there is none.
  RefPtr<RefCounted> attachment() const;
  RefPtr<RefCounted> GetOrAttach(absl::FunctionRef<RefPtr<RefCounted>()> make);
  void SetAttachment(RefPtr<RefCounted> object);

  // flock, POSIX and OFD locks; made at first use.
  FileLocks& locks();
  // Null if no lock was ever asked for.
  FileLocks* locks_if_any() const { return locks_.load(std::memory_order_acquire); }
  // Null while nobody watches this inode with inotify(7).
  InotifyWatches* inotify_watches() const;
  InotifyWatches& GetOrMakeInotifyWatches();

 private:
  Filesystem& filesystem_;
  const uint32_t file_type_;
  Mutex directory_mu_{LockRank::kDirectory};
  Mutex write_mu_{LockRank::kAppend};
  mutable Mutex attachment_mu_{LockRank::kLeaf};
  RefPtr<RefCounted> attachment_ ABSL_GUARDED_BY(attachment_mu_);
  std::atomic<FileLocks*> locks_{nullptr};
  std::atomic<InotifyWatches*> inotify_watches_{nullptr};
};

}  // namespace runsc

#endif  // SENTRY_VFS_INODE_H_
