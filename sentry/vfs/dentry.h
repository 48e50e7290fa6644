// Dentry: a name in a directory and the inode it leads to, or the knowledge
// that there is no such name (negative). The tree of them is the cache that
// path walks run in.
//
// A dentry holds a reference on its parent and its inode. A parent knows its
// children; it keeps them alive when the filesystem says so (`pins_dentries`:
// tmpfs, whose tree *is* the dentry tree); otherwise unused ones live in the
// filesystem's bounded cache. Threading: any thread. `mu_` guards parent and name
// (a rename changes them) and the children. A negative dentry may become positive,
// under the parent's directory lock; a positive one stays what it is: unlink takes it
// out of the tree. Two dentries' locks are never held at once. Linux counterpart:
// struct dentry.
#ifndef SENTRY_VFS_DENTRY_H_
#define SENTRY_VFS_DENTRY_H_

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/string_hash.h"
#include "sentry/vfs/inode.h"

namespace runsc {

class Dentry final : public RefCounted {
 public:
  // A filesystem's root, or an unattached file (pipe, socket, O_TMPFILE,
  // memfd): no parent; `name` is what /proc/pid/fd shows ("pipe:[7]",
  // "/memfd:x").
  Dentry(Filesystem& filesystem, RefPtr<Inode> inode, std::string name);
  ~Dentry() override;
  // A file that never had a name in `parent` (O_TMPFILE): deleted from the start.
  static RefPtr<Dentry> Unlinked(Dentry& parent, RefPtr<Inode> inode, std::string name);

  Filesystem& filesystem() const { return filesystem_; }
  // Null for a negative dentry.
  RefPtr<Inode> inode() const { return RefPtr<Inode>(borrow_inode()); }
  // The same, valid while the caller holds the dentry.
  Inode* borrow_inode() const { return inode_.load(std::memory_order_acquire); }
  bool IsNegative() const { return borrow_inode() == nullptr; }
  RefPtr<Dentry> parent() const;  // null for a root or an unattached one
  std::string name() const;
  bool IsDeleted() const { return deleted_.load(std::memory_order_acquire); }  // unlinked: " (deleted)"
  // Made by Unlinked(): may still be given a first name by link(2).
  bool WasNeverNamed() const { return never_named_; }
  void SetNamed() { never_named_ = false; }  // linkat(2) gave it its one chance
  bool IsRoot() const;
  // Whether `ancestor` is this dentry or above it.
  bool IsBelow(const Dentry& ancestor) const;

  // --- the tree; called with this directory's directory_lock held, but for
  // FindChild ---
  RefPtr<Dentry> FindChild(std::string_view name) const;
  // Adds a child that is not there yet; `inode` null makes a negative one.
  RefPtr<Dentry> AddChild(std::string_view name, RefPtr<Inode> inode);
  // A negative child becomes positive (create).
  void Instantiate(RefPtr<Inode> inode);
  void MarkDeleted();  // takes it out of its parent; open files keep it
  // This dentry's name becomes `name` below `parent`; a child of that name
  // there is dropped first.
  void MoveTo(Dentry& parent, std::string_view name);
  static void Exchange(Dentry& a, Dentry& b);
  // Children that are positive now (readdir of tmpfs; unmount).
  std::vector<RefPtr<Dentry>> Children() const;
  // Forgets a child that proved stale (shared mode) so that the next walk asks
  // again.
  void DropChild(std::string_view name);

  // How many mounts are mounted on this dentry, in any namespace; a walk looks
  // for a mount only if not 0.
  std::atomic<int> mount_count{0};

 protected:
  void OnLastRelease() override;

 private:
  friend class DentryCache;
  friend class Filesystem;
  struct Child {
    Dentry* dentry = nullptr;
    bool pinned = false;  // a reference is held on it
  };
  Dentry(Filesystem& filesystem, RefPtr<Inode> inode, std::string name, RefPtr<Dentry> parent);
  void Insert(std::string_view name, Dentry& child);
  // Takes the entry out if it is `child`.
  void Remove(std::string_view name, const Dentry& child);
  // Drops every pinned child of the tree below (the filesystem goes).
  void Unpin();

  Filesystem& filesystem_;
  mutable Mutex mu_{LockRank::kDentry};
  RefPtr<Dentry> parent_ ABSL_GUARDED_BY(mu_);
  std::string name_ ABSL_GUARDED_BY(mu_);
  std::atomic<Inode*> inode_;  // a reference is held; set once
  StringMap<Child> children_ ABSL_GUARDED_BY(mu_);
  std::atomic<bool> deleted_{false};
  std::atomic<bool> never_named_{false};  // set at birth
  static constexpr size_t kNotCached = SIZE_MAX;
  size_t cache_slot_ = kNotCached;  // guarded by the cache's lock
  std::atomic<bool> used_{true};    // since the cache's hand came by
};

}  // namespace runsc

#endif  // SENTRY_VFS_DENTRY_H_
