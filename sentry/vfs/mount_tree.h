// MountTree: how the trees of mounts are changed. PeerGroup: mounts among which what is mounted and
// unmounted propagates, and those that only receive it (Documentation/filesystems/sharedsubtree.rst).
//
// Linux strings peers into a ring and hangs each slave on one of the master's peers; moving the slaves over
// when that peer goes, and knowing in a walk which ring one is in, is where its code is hard. Here a group is
// an object: it lists its members and the slaves that follow it, whichever member they were made from. That
// says the same, because all members of a group have one and the same master. A walk over all receivers is
// then a walk over groups: the members of the first one, its slaves, and, for each slave that is in a group
// itself, that group's slaves; no mount is met twice. An empty group is let go of, and its slaves follow its
// master.
//
// Internal to vfs. All of it under `mount_tree_mu`. References that end are collected in a `Dropped`, which
// the caller destroys without the lock: a mount's end may be a filesystem's. Linux counterpart: fs/pnode.c,
// and attach_recursive_mnt() and umount_tree() of fs/namespace.c.
#ifndef SENTRY_VFS_MOUNT_TREE_H_
#define SENTRY_VFS_MOUNT_TREE_H_

#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "sentry/vfs/mount.h"

namespace runsc {

class PeerGroup final : public RefCounted {
 public:
  PeerGroup();
  int id() const { return id_; }  // "shared:N"
  PeerGroup* master() const ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);

 private:
  friend class MountTree;
  const int id_;
  absl::btree_map<uint64_t, Mount*> members_ ABSL_GUARDED_BY(mount_tree_mu), slaves_
      ABSL_GUARDED_BY(mount_tree_mu);
};

class MountTree {
 public:
  using Dropped = std::vector<RefPtr<RefCounted>>;
  using Mounts = std::vector<RefPtr<Mount>>;
  enum class CopyAs { kPeers, kSlaves };

  // --- looking ---
  static Mount* MountedOn(const Mount& mount, const Dentry& dentry) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // All that is mounted on the dentry, through any mount and in any namespace.
  static const absl::flat_hash_set<Mount*>& AllMountedOn(const Dentry& dentry)
      ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // Whatever is mounted over `path`, at last.
  static VfsPath Uppermost(VfsPath path) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // Whether `mount` is `top` or mounted somewhere below it.
  static bool IsBelow(const Mount& mount, const Mount& top) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // Whether `path` is `top` or below it, through whatever mounts.
  static bool IsReachable(const VfsPath& path, const VfsPath& top) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // The mount and all that is mounted below, parents first, else in the order of their making.
  static Mounts Subtree(Mount& top) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  static bool HasUnbindable(Mount& top) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // For "propagate_from": the number of the first group from `group` upwards with a member in `space`
  // that can be reached from `root`; 0: none. `known` remembers groups.
  static int DominatingGroup(const PeerGroup* group, const MountNamespace& space, const VfsPath& root,
                             absl::flat_hash_map<const PeerGroup*, bool>* known)
      ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);

  // --- copying ---
  struct CopyOptions {
    bool recursive = false;
    bool unbindable_too = false;
    CopyAs as = CopyAs::kPeers;
  };
  // The tree seen at `from`, as new mounts in no namespace, linked to each other; parents first.
  // `translate`, if given, maps the old ones to the new ones.
  static Mounts Copy(const VfsPath& from, const CopyOptions& options,
                     absl::flat_hash_map<const Mount*, RefPtr<Mount>>* translate = nullptr)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  // Undoes Copy.
  static void Discard(const Mounts& tree, Dropped* dropped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  // Whether the sandbox may have `count` more mounts, this many of them in `space`.
  static Result<void> CheckRoom(const MountNamespace* space, size_t count)
      ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // Makes them mounts of the namespace, of which they take room.
  static void AddTo(MountNamespace& space, const Mounts& tree) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);

  // --- locks; of a tree that comes to a less privileged user namespace ---
  // Linux: lock_mnt_tree(). The top may be unmounted.
  static void Lock(const Mounts& tree) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  // Whether a copy of what is at `from` would show what a locked mount covers. EINVAL; EPERM.
  static Result<void> CheckLocksBelow(const VfsPath& from, bool recursive)
      ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // Linux: can_change_locked_flags().
  static bool MayHaveFlags(const Mount& mount, uint64_t flags) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // Whether `there` shows all that a new mount of its type would. Linux: mnt_already_visible().
  static bool Shows(const Mount& there, const Mount& wanted) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);

  // --- mounting ---
  // Mounts the tree on what is uppermost at `where`, and copies of it where that propagates to. The tree is
  // new, or a detached one's, or already one of the namespace's, taken off its place. ENOSPC, with nothing
  // done.
  static Result<void> Attach(MountNamespace& space, const Mounts& tree, const VfsPath& where,
                             Dropped* dropped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  static void Link(Mount& mount, const VfsPath& where) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  // Takes it off its mount point; it stays a mount of the namespace.
  static void Unlink(Mount& mount, Dropped* dropped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);

  // --- unmounting ---
  // Whether something but the one reference of the caller uses the mount or one that would go with it.
  static bool IsBusy(Mount& mount) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // Unmounts it with all below, and what of that stands on mounts that this propagates to, as far as nothing
  // that stays is mounted there.
  static void Unmount(Mount& top, Dropped* dropped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  // What other namespaces have mounted on a name that was removed goes (Linux: detach_mounts()). Takes the
  // lock.
  static void DetachFrom(const Dentry& deleted) ABSL_LOCKS_EXCLUDED(mount_tree_mu);
  // All mounts of a namespace that goes.
  static void RemoveAll(MountNamespace& space, Dropped* dropped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);

  // --- propagation ---
  // `type`: one of kPropagationFlags.
  static void ChangePropagation(Mount& mount, uint64_t type) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  // Makes `mount` a peer, or a slave, or both, as `model` is one.
  static void ShareWith(Mount& mount, const Mount& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);

 private:
  using Group = RefPtr<PeerGroup>;
  using Points = absl::flat_hash_map<const Dentry*, absl::flat_hash_set<Mount*>>;
  static Points& AllPoints() ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  static void Join(Mount& mount, Group group) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  static void Follow(Mount& mount, Group master) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  static void LeaveGroup(Mount& mount) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  static RefPtr<Mount> CopyOne(const Mount& mount, RefPtr<Dentry> root, CopyAs as)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  // The mounts that what is done on `mount` is done on too; peers first, slaves after their masters.
  static std::vector<Mount*> Receivers(const Mount& mount) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  // A tree as it was before it was mounted: that may be where it receives copies of itself.
  struct Node {
    const Mount* mount;
    size_t parent;  // index of its parent; 0 for the top as well
    RefPtr<Dentry> point;
  };
  static std::vector<Node> Snapshot(const Mounts& tree) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  static void MountCopy(const std::vector<Node>& tree, const std::vector<Group>& groups,
                        const std::vector<Group>& masters, bool locks, const VfsPath& where, Dropped* dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);
  // What goes when the mounts `set` go: adds what they propagate to.
  static void AddReceivers(std::vector<Mount*>* set) ABSL_SHARED_LOCKS_REQUIRED(mount_tree_mu);
  static void Remove(const std::vector<Mount*>& set, Dropped* dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mount_tree_mu);

  static size_t total_ ABSL_GUARDED_BY(mount_tree_mu);  // mounts of all namespaces
};

}  // namespace runsc

#endif  // SENTRY_VFS_MOUNT_TREE_H_
