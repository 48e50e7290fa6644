// Mount and MountNamespace: which filesystem trees hang where. A VfsPath is a
// place a walk can be at: a dentry and the mount through which it was reached.
//
// A namespace owns its mounts; open files and working directories hold
// references, which make umount(2) answer EBUSY (unless MNT_DETACH). A tree that is
// mounted nowhere (open_tree(2), fsmount(2)) is a namespace too, a detached one, owned
// by its descriptor.
//
// What happens on a shared mount happens on its peers and their slaves as well, which may
// be in other namespaces (mount_namespaces(7)). So one lock, `mount_tree_mu`, guards all
// trees of the sandbox: a change is planned and counted first, and then made everywhere or
// nowhere, under the lock; and each mount knows itself what is mounted on it, since a walk
// may be in another namespace than its task is in. Threading: any thread.
//
// Linux counterpart: struct mount, struct mnt_namespace, struct path, namespace_sem.
#ifndef SENTRY_VFS_MOUNT_H_
#define SENTRY_VFS_MOUNT_H_

#include <sys/mount.h>

#include <atomic>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "platform/base/mutex.h"
#include "sentry/auth/namespace.h"
#include "sentry/vfs/filesystem.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

class MountNamespace;
class MountTree;  // mount_tree.h: how the trees are changed
class PeerGroup;

inline SharedMutex mount_tree_mu{LockRank::kMountTree};

// MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE.
inline constexpr uint64_t kPropagationFlags = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;

// Of mount(2)'s flags, those that a mount has. Of the modes of atime it has MS_RELATIME, MS_NOATIME or, for
// strictatime, neither: relatime unless it says otherwise.
uint64_t MountFlagsFrom(uint64_t flags);

class Mount final : public RefCounted {
 public:
  Mount(RefPtr<Filesystem> filesystem, RefPtr<Dentry> root, uint64_t flags, std::string source);
  ~Mount() override;
  Filesystem& filesystem() const { return *filesystem_; }
  const RefPtr<Dentry>& root() const { return root_; }
  int id() const { return static_cast<int>(serial_ & INT32_MAX); }  // of /proc/pid/mountinfo
  const std::string& source() const { return source_; }
  // What MountFlagsFrom() leaves.
  uint64_t flags() const { return flags_.load(std::memory_order_relaxed); }
  void set_flags(uint64_t flags) { flags_.store(flags, std::memory_order_relaxed); }
  bool read_only() const { return (flags() & MS_RDONLY) != 0 || filesystem_->is_read_only(); }
  bool no_exec() const { return (flags() & MS_NOEXEC) != 0; }
  // Regular files that are open for writing through this mount keep it writable.
  void CountWriter(int change) { writers_.fetch_add(change, std::memory_order_relaxed); }
  bool has_writers() const { return writers_.load(std::memory_order_relaxed) > 0; }

  // Of the flags that cannot be taken away from the mount, because whoever has it got it from a more
  // privileged namespace (Linux: MNT_LOCK_READONLY and its like): that of all modes of atime.
  static constexpr uint64_t kAtimeFlags = MS_NOATIME | MS_NODIRATIME | MS_RELATIME;

 private:
  friend class MountNamespace;
  friend class MountTree;
  friend class PeerGroup;
  const RefPtr<Filesystem> filesystem_;
  const RefPtr<Dentry> root_;
  const uint64_t serial_;  // in the order of their making
  const std::string source_;
  std::atomic<uint64_t> flags_;
  std::atomic<int64_t> writers_{0};

  MountNamespace* namespace_ ABSL_GUARDED_BY(mount_tree_mu) = nullptr;
  RefPtr<Mount> parent_ ABSL_GUARDED_BY(mount_tree_mu);
  RefPtr<Dentry> mount_point_ ABSL_GUARDED_BY(mount_tree_mu);  // in parent_
  // By the dentry that they are mounted on; what is mounted over one of them is its child.
  absl::flat_hash_map<const Dentry*, Mount*> children_ ABSL_GUARDED_BY(mount_tree_mu);
  // Propagation (mount_tree.h): shared if in a group, a slave if it has a master; both, or neither.
  RefPtr<PeerGroup> group_ ABSL_GUARDED_BY(mount_tree_mu), master_ ABSL_GUARDED_BY(mount_tree_mu);
  bool unbindable_ ABSL_GUARDED_BY(mount_tree_mu) = false;
  // For a less privileged user namespace: flags that stay (all of kAtimeFlags: those as they are), and
  // whether the mount has to stay, so that nobody sees what it covers (MNT_LOCKED).
  uint64_t locked_flags_ ABSL_GUARDED_BY(mount_tree_mu) = 0;
  bool locked_ ABSL_GUARDED_BY(mount_tree_mu) = false;
  // Locked mounts that were mounted here when both were unmounted: who still has this one must not see below.
  std::vector<std::pair<RefPtr<Dentry>, RefPtr<Mount>>> stuck_ ABSL_GUARDED_BY(mount_tree_mu);
  static inline std::atomic<size_t> stuck_count_{0};  // of all mounts
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

// mount_setattr(2): of flags() first `clear`, then `set`; and one of kPropagationFlags or 0.
struct MountAttributeChange {
  uint64_t set = 0, clear = 0;
  uint64_t propagation = 0;
  bool recursive = false;
};

class MountNamespace final : public Namespace {
 public:
  // `root` becomes the root mount; of a detached tree if `detached` (fsmount(2)).
  explicit MountNamespace(RefPtr<Mount> root);
  MountNamespace(RefPtr<Mount> root, bool detached, RefPtr<UserNamespace> user_ns);
  ~MountNamespace() override;

  VfsPath Root() const;
  // The uppermost of the mounts on `path`, or null. Cheap when dentry.mount_count is 0.
  static RefPtr<Mount> TopMountOn(const VfsPath& path);
  // Where the mount's root is mounted: an empty path if it is a namespace's root or detached.
  static VfsPath MountPoint(const Mount& mount);
  // The text of a path as seen from `root`: "/a/b", with " (deleted)", or
  // "(unreachable)/…" outside (getcwd(2), /proc/pid/{cwd,maps,mountinfo}).
  static std::string PathText(const VfsPath& path, const VfsPath& root);
  // Whether something is mounted on the dentry in this namespace, through any mount.
  bool IsMountPoint(const Dentry& dentry) const;
  bool Contains(const Mount& mount) const;
  // Whether a file is open for writing through any of its mounts of that filesystem.
  bool HasWriters(const Filesystem& filesystem) const;

  // In all that mounts: ENOTDIR if one is a directory and the other not; EINVAL if `where` is in no
  // mount of this namespace; ENOENT if it was deleted; ENOSPC, with nothing done, if that were too
  // many mounts, those that it propagates to included.
  Result<void> Attach(RefPtr<Mount> mount, const VfsPath& where);
  // mount(MS_BIND): the tree at `from` also at `to`; with its submounts if `recursive`.
  // EINVAL: an unbindable mount, or one of another namespace.
  Result<void> Bind(const VfsPath& from, const VfsPath& to, bool recursive);
  // mount(MS_MOVE), move_mount(2): `from` is the root of a mount of this namespace or that of a
  // detached tree. EINVAL: out of a shared mount, or unbindable ones into one. ELOOP.
  Result<void> Move(const VfsPath& from, const VfsPath& to);
  // EBUSY, EINVAL (not a mount point's root). MNT_DETACH as in umount2(2). The caller
  // holds no other reference on the mount than `root_of_mount`'s.
  Result<void> Unmount(const VfsPath& root_of_mount, int flags);
  // pivot_root(2), `root` being the caller's, who updates roots and working directories.
  Result<void> PivotRoot(const VfsPath& root, const VfsPath& new_root, const VfsPath& put_old);
  // unshare(CLONE_NEWNS): a copy of the tree, whose mounts are peers of those of this one, or, for a less
  // privileged user namespace, their slaves; `translate` maps old mounts to new ones. ENOSPC.
  Result<RefPtr<MountNamespace>> Clone(RefPtr<UserNamespace> owner,
                                       absl::flat_hash_map<const Mount*, RefPtr<Mount>>* translate) const;
  // open_tree(OPEN_TREE_CLONE): what Bind would mount, as a detached tree. EINVAL, ENOSPC.
  Result<RefPtr<MountNamespace>> CopyDetached(const VfsPath& from, bool recursive,
                                              RefPtr<UserNamespace> owner) const;

  // One of kPropagationFlags, and MS_REC, for the mount whose root `path` is. EINVAL.
  Result<void> ChangePropagation(const VfsPath& path, uint64_t flags);
  // EPERM: flags that are locked. EINVAL: not a mount's root, or in neither this namespace nor a detached
  // tree's root. EBUSY: MS_RDONLY while files are open for writing; then nothing is changed.
  Result<void> SetAttributes(const VfsPath& path, const MountAttributeChange& change);
  // move_mount(MOVE_MOUNT_SET_GROUP): the private mount `to` joins the propagation of `from`. EINVAL; EPERM
  // unless the caller has CAP_SYS_ADMIN over the namespaces of both.
  Result<void> ShareWith(const Credentials& creds, const VfsPath& from, const VfsPath& to);
  // Before a new mount of a type that shows what other mounts of it here may hide (proc, sysfs). EPERM: none
  // of them shows it as a whole, or as writable as this one would be. Linux: mount_too_revealing().
  Result<void> CheckReveals(Mount& mount) const;

  struct Entry {
    RefPtr<Mount> mount;
    int parent_id = 0;
    VfsPath mount_point;  // empty for the root
    // Numbers of groups, 0 for none: the own one, the master's, and, if the master's has no mount below
    // `seen_from`, the next one above that has.
    int shared = 0, master = 0, propagate_from = 0;
    bool unbindable = false;
  };
  // In the order in which they were made. `seen_from` empty: whatever is there.
  std::vector<Entry> Mounts(const VfsPath& seen_from = {}) const;
  // Counts what Linux tells pollers of /proc/pid/mountinfo: changes of the tree and of mounts' flags. The
  // queue is notified of each (EPOLLPRI and EPOLLERR).
  uint64_t changes() const { return changes_.load(std::memory_order_acquire); }
  WaitQueue& change_queue() { return change_queue_; }
  void NoteChange();

 private:
  friend class MountTree;
  // Without mounts yet.
  MountNamespace(bool detached, RefPtr<UserNamespace> user_ns)
      : Namespace(std::move(user_ns)), detached_(detached) {}
  // Whether a mount may be copied from here: it is of this namespace or of a detached tree.
  bool MayCopyLocked(const Mount& mount) const ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);

  const bool detached_;
  std::atomic<uint64_t> changes_{0};
  WaitQueue change_queue_;
  RefPtr<Mount> root_ ABSL_GUARDED_BY(mount_tree_mu);  // null once a detached tree has been mounted
  absl::btree_map<uint64_t, RefPtr<Mount>> mounts_ ABSL_GUARDED_BY(mount_tree_mu);  // by serial_
};

}  // namespace runsc

#endif  // SENTRY_VFS_MOUNT_H_
