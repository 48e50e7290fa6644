// Mount and MountNamespace: which filesystem trees hang where. A VfsPath is a
// place a walk can be at: a dentry and the mount through which it was reached.
//
// A namespace owns its mounts; open files and working directories hold
// references, which make umount(2) answer EBUSY (unless MNT_DETACH). Threading:
// any thread; `mu_` (kMountTree) guards the tree. Linux counterpart: struct
// mount, struct mnt_namespace, struct path.
#ifndef SENTRY_VFS_MOUNT_H_
#define SENTRY_VFS_MOUNT_H_

#include <sys/mount.h>

#include <atomic>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "platform/base/mutex.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

class MountNamespace;

class Mount final : public RefCounted {
 public:
  Mount(RefPtr<Filesystem> filesystem, RefPtr<Dentry> root, uint64_t flags, std::string source);
  ~Mount() override;
  Filesystem& filesystem() const { return *filesystem_; }
  const RefPtr<Dentry>& root() const { return root_; }
  int id() const { return id_; }  // of /proc/pid/mountinfo
  const std::string& source() const { return source_; }
  // MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME, …
  uint64_t flags() const { return flags_.load(std::memory_order_relaxed); }
  void set_flags(uint64_t flags) { flags_.store(flags, std::memory_order_relaxed); }
  bool read_only() const { return (flags() & MS_RDONLY) != 0; }
  bool no_exec() const { return (flags() & MS_NOEXEC) != 0; }

 private:
  friend class MountNamespace;
  const RefPtr<Filesystem> filesystem_;
  const RefPtr<Dentry> root_;
  const int id_;
  const std::string source_;
  std::atomic<uint64_t> flags_;
  // Guarded by the namespace's lock.
  MountNamespace* namespace_ = nullptr;
  RefPtr<Mount> parent_;
  RefPtr<Dentry> mount_point_;  // in parent_
  std::vector<Mount*> children_;
};

struct VfsPath {
  RefPtr<Mount> mount;
  RefPtr<Dentry> dentry;
  explicit operator bool() const { return static_cast<bool>(dentry); }
  RefPtr<Inode> inode() const { return dentry->inode(); }
  friend bool operator==(const VfsPath& a, const VfsPath& b) {
    return a.mount == b.mount && a.dentry == b.dentry;
  }
};

class MountNamespace final : public RefCounted {
 public:
  // `root` becomes the root mount.
  explicit MountNamespace(RefPtr<Mount> root);
  ~MountNamespace() override;

  VfsPath Root() const;
  // The uppermost of the mounts on `path`, or null. Cheap when dentry.mount_count is 0.
  RefPtr<Mount> TopMountOn(const VfsPath& path) const;
  // Where the mount's root is mounted: nullopt-like empty path for the root
  // mount.
  VfsPath MountPoint(const Mount& mount) const;

  // ENOTDIR/EINVAL if one is a directory and the other not; EINVAL if `where` is in
  // no mount of this namespace.
  Result<void> Attach(RefPtr<Mount> mount, const VfsPath& where);
  // mount(MS_BIND): the tree at `from` also at `to`; with its submounts if `recursive`.
  Result<void> Bind(const VfsPath& from, const VfsPath& to, bool recursive);
  // EBUSY, EINVAL (not a mount point's root). MNT_DETACH as in umount2(2). The caller
  // holds no other reference on the mount than `root_of_mount`'s.
  Result<void> Unmount(const VfsPath& root_of_mount, int flags);
  Result<void> Move(const VfsPath& from, const VfsPath& to);
  // pivot_root(2); the caller updates roots and working directories.
  Result<void> PivotRoot(const VfsPath& new_root, const VfsPath& put_old);
  // unshare(CLONE_NEWNS): a copy of the tree; `translate` maps old mounts to
  // new ones.
  RefPtr<MountNamespace> Clone(absl::flat_hash_map<const Mount*, RefPtr<Mount>>* translate) const;

  struct Entry {
    RefPtr<Mount> mount;
    int parent_id = 0;
    VfsPath mount_point;  // empty for the root
  };
  std::vector<Entry> Mounts() const;  // in mount order

  // The text of a path as seen from `root`: "/a/b", with " (deleted)", or
  // "(unreachable)/…" outside (getcwd(2), /proc/pid/{cwd,maps,mountinfo}).
  std::string PathText(const VfsPath& path, const VfsPath& root) const;
  // Whether something is mounted on the dentry in this namespace, through any mount.
  bool IsMountPoint(const Dentry& dentry) const;
  bool Contains(const Mount& mount) const;

 private:
  using Place = std::pair<const Mount*, const Dentry*>;
  void AttachLocked(RefPtr<Mount> mount, const VfsPath& where) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes it off its mount point; it stays a mount of the namespace.
  void DetachLocked(Mount& mount) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Also out of the namespace, with everything below; into `gone`, to be dropped unlocked.
  void RemoveTreeLocked(Mount& mount, std::vector<RefPtr<RefCounted>>* gone)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Mount* MountedOnLocked(const Mount* mount, const Dentry* dentry) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  // Whether `mount` is `top` or mounted somewhere below it.
  bool IsBelowLocked(const Mount& mount, const Mount& top) const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  absl::flat_hash_map<Place, Mount*> attached_ ABSL_GUARDED_BY(mu_);
  mutable SharedMutex mu_{LockRank::kMountTree};
  RefPtr<Mount> root_ ABSL_GUARDED_BY(mu_);
  std::vector<RefPtr<Mount>> mounts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_VFS_MOUNT_H_
