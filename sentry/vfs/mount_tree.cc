// Looking at, copying, linking and removing trees of mounts.
#include "sentry/vfs/mount_tree.h"

#include <algorithm>

namespace runsc {

namespace {

// Of one namespace (Linux: fs.mount-max, 100000), and of all of a sandbox, since they are of the Sentry's own
// memory.
constexpr size_t kMaxMounts = 16384, kMaxMountsInAll = 131072;

}  // namespace

size_t MountTree::total_ = 0;

Mount* MountTree::MountedOn(const Mount& mount, const Dentry& dentry) {
  auto found = mount.children_.find(&dentry);
  if (found != mount.children_.end()) return found->second;
  for (const auto& [place, stuck] : mount.stuck_) {
    if (place.get() == &dentry) return stuck.get();
  }
  return nullptr;
}

MountTree::Points& MountTree::AllPoints() {
  static Points* points = new Points;  // open files may outlive every destructor of statics
  return *points;
}

const absl::flat_hash_set<Mount*>& MountTree::AllMountedOn(const Dentry& dentry) {
  static const auto* nothing = new absl::flat_hash_set<Mount*>;
  auto found = AllPoints().find(&dentry);
  return found == AllPoints().end() ? *nothing : found->second;
}

VfsPath MountTree::Uppermost(VfsPath path) {
  while (Mount* over = MountedOn(*path.mount, *path.dentry)) path = VfsPath{RefPtr<Mount>(over), over->root_};
  return path;
}

bool MountTree::IsBelow(const Mount& mount, const Mount& top) {
  for (const Mount* at = &mount; at != nullptr; at = at->parent_.get()) {
    if (at == &top) return true;
  }
  return false;
}

bool MountTree::IsReachable(const VfsPath& path, const VfsPath& top) {
  const Mount* mount = path.mount.get();
  const Dentry* dentry = path.dentry.get();
  while (mount != top.mount.get() && mount->parent_) {
    dentry = mount->mount_point_.get();
    mount = mount->parent_.get();
  }
  return mount == top.mount.get() && dentry->IsBelow(*top.dentry);
}

MountTree::Mounts MountTree::Subtree(Mount& top) {
  Mounts tree{RefPtr<Mount>(&top)};
  for (size_t i = 0; i < tree.size(); ++i) {
    const size_t first = tree.size();
    for (const auto& [dentry, child] : tree[i]->children_) tree.emplace_back(child);
    std::sort(tree.begin() + static_cast<ptrdiff_t>(first), tree.end(),
              [](const RefPtr<Mount>& a, const RefPtr<Mount>& b) { return a->serial_ < b->serial_; });
  }
  return tree;
}

bool MountTree::HasUnbindable(Mount& top) {
  const Mounts tree = Subtree(top);
  auto is_unbindable = [](const RefPtr<Mount>& mount)
                           ABSL_NO_THREAD_SAFETY_ANALYSIS { return mount->unbindable_; };
  return std::any_of(tree.begin(), tree.end(), is_unbindable);
}

RefPtr<Mount> MountTree::CopyOne(const Mount& mount, RefPtr<Dentry> root, CopyAs as) {
  // The root's own filesystem: a namespace's file is of another one than the mount that it was reached by.
  RefPtr<Filesystem> filesystem(&root->filesystem());
  auto copy = MakeRef<Mount>(std::move(filesystem), std::move(root), mount.flags(), mount.source_);
  if (as == CopyAs::kSlaves && mount.group_) {
    Follow(*copy, mount.group_);
  } else {
    ShareWith(*copy, mount);
  }
  copy->unbindable_ = mount.unbindable_;
  copy->locked_flags_ = mount.locked_flags_;
  copy->locked_ = mount.locked_;
  return copy;
}

MountTree::Mounts MountTree::Copy(const VfsPath& from, const CopyOptions& options,
                                  absl::flat_hash_map<const Mount*, RefPtr<Mount>>* translate) {
  absl::flat_hash_map<const Mount*, RefPtr<Mount>> copies;
  Mounts made{CopyOne(*from.mount, from.dentry, options.as)};
  copies.emplace(from.mount.get(), made[0]);
  const Mounts tree = options.recursive ? Subtree(*from.mount) : Mounts();
  for (const RefPtr<Mount>& mount : tree) {
    if (mount == from.mount) continue;
    auto parent = copies.find(mount->parent_.get());
    if (parent == copies.end()) continue;  // left out, so what is below it is as well
    if (mount->unbindable_ && !options.unbindable_too) continue;
    if (mount->parent_ == from.mount && !mount->mount_point_->IsBelow(*from.dentry)) continue;
    RefPtr<Mount> copy = CopyOne(*mount, mount->root_, options.as);
    Link(*copy, VfsPath{parent->second, mount->mount_point_});
    copies.emplace(mount.get(), copy);
    made.push_back(std::move(copy));
  }
  if (translate != nullptr) *translate = std::move(copies);
  return made;
}

void MountTree::Lock(const Mounts& tree) {
  constexpr uint64_t kLockable = MS_RDONLY | MS_NODEV | MS_NOSUID | MS_NOEXEC;
  for (const RefPtr<Mount>& mount : tree) {
    mount->locked_flags_ |= (mount->flags() & kLockable) | Mount::kAtimeFlags;
    mount->locked_ = mount != tree[0];
  }
}

Result<void> MountTree::CheckLocksBelow(const VfsPath& from, bool recursive) {
  for (const auto& [dentry, child] : from.mount->children_) {
    if (child->locked_ && !recursive && dentry->IsBelow(*from.dentry)) return Errno(EINVAL);
  }
  if (!recursive) return Ok();
  for (const RefPtr<Mount>& mount : Subtree(*from.mount)) {
    const bool is_copied = mount->parent_ != from.mount || mount->mount_point_->IsBelow(*from.dentry);
    if (mount != from.mount && is_copied && mount->unbindable_ && mount->locked_) return Errno(EPERM);
  }
  return Ok();
}

bool MountTree::MayHaveFlags(const Mount& mount, uint64_t flags) {
  const uint64_t locked = mount.locked_flags_;
  if ((locked & ~Mount::kAtimeFlags & ~flags) != 0) return false;
  return (locked & Mount::kAtimeFlags) == 0 || ((mount.flags() ^ flags) & Mount::kAtimeFlags) == 0;
}

bool MountTree::Shows(const Mount& there, const Mount& wanted) {
  if (there.filesystem().type_name() != wanted.filesystem().type_name()) return false;
  if (!there.root_->IsRoot()) return false;
  const bool read_only = (there.locked_flags_ & MS_RDONLY) != 0 || there.filesystem().is_read_only();
  if (read_only && !wanted.read_only()) return false;
  if ((there.locked_flags_ & Mount::kAtimeFlags) != 0 &&
      ((there.flags() ^ wanted.flags()) & Mount::kAtimeFlags) != 0)
    return false;
  for (const auto& [dentry, child] : there.children_) {
    if (child->locked_ && !dentry->borrow_inode()->IsAlwaysEmpty()) return false;
  }
  return there.stuck_.empty();
}

void MountTree::Discard(const Mounts& tree, Dropped* dropped) {
  for (auto it = tree.rbegin(); it != tree.rend(); ++it) {
    Unlink(**it, dropped);
    ChangePropagation(**it, MS_PRIVATE);
    dropped->push_back(*it);
  }
}

Result<void> MountTree::CheckRoom(const MountNamespace* space, size_t count) {
  const size_t stuck = Mount::stuck_count_.load(std::memory_order_relaxed);
  size_t there = space != nullptr ? space->mounts_.size() : total_ + stuck;
  size_t limit = space != nullptr ? kMaxMounts : kMaxMountsInAll;
  if (there > limit || count > limit - there) return Errno(ENOSPC);
  return Ok();
}

void MountTree::AddTo(MountNamespace& space, const Mounts& tree) {
  for (const RefPtr<Mount>& mount : tree) {
    if (MountNamespace* old = mount->namespace_) {
      old->mounts_.erase(mount->serial_);
      if (old->root_ == mount) old->root_.reset();
      --total_;
    }
    mount->namespace_ = &space;
    space.mounts_.emplace(mount->serial_, mount);
    ++total_;
  }
  space.NoteChange();
}

void MountTree::Link(Mount& mount, const VfsPath& where) {
  mount.parent_ = where.mount;
  mount.mount_point_ = where.dentry;
  where.dentry->mount_count.fetch_add(1, std::memory_order_acq_rel);
  where.mount->children_.emplace(where.dentry.get(), &mount);
  AllPoints()[where.dentry.get()].insert(&mount);
  if (mount.namespace_ != nullptr) mount.namespace_->NoteChange();
}

void MountTree::Unlink(Mount& mount, Dropped* dropped) {
  if (!mount.parent_) return;
  mount.mount_point_->mount_count.fetch_sub(1, std::memory_order_acq_rel);
  mount.parent_->children_.erase(mount.mount_point_.get());
  auto point = AllPoints().find(mount.mount_point_.get());
  point->second.erase(&mount);
  if (point->second.empty()) AllPoints().erase(point);
  if (mount.namespace_ != nullptr) mount.namespace_->NoteChange();
  dropped->push_back(std::move(mount.mount_point_));
  dropped->push_back(std::move(mount.parent_));
}

void MountTree::Remove(const std::vector<Mount*>& set, Dropped* dropped) {
  const absl::flat_hash_set<const Mount*> going(set.begin(), set.end());
  struct Kept {
    RefPtr<Mount> mount;
    VfsPath where;
  };
  std::vector<Kept> kept;
  for (Mount* mount : set) {
    for (const auto& [dentry, child] : mount->children_) {
      if (going.contains(child)) continue;
      // It covers the mount as a whole, and slides down to what stays.
      const Mount* at = mount;
      while (at->parent_ && going.contains(at->parent_.get())) at = at->parent_.get();
      if (at->parent_) kept.push_back({RefPtr<Mount>(child), VfsPath{at->parent_, at->mount_point_}});
    }
  }
  for (const Kept& over : kept) Unlink(*over.mount, dropped);
  for (auto it = set.rbegin(); it != set.rend(); ++it) {
    Mount& mount = **it;
    if (mount.locked_ && mount.parent_ && going.contains(mount.parent_.get())) {
      mount.mount_point_->mount_count.fetch_add(1, std::memory_order_acq_rel);
      mount.parent_->stuck_.emplace_back(mount.mount_point_, RefPtr<Mount>(&mount));
      Mount::stuck_count_.fetch_add(1, std::memory_order_relaxed);
    }
    Unlink(mount, dropped);
    ChangePropagation(mount, MS_PRIVATE);
    auto place = mount.namespace_->mounts_.find(mount.serial_);
    dropped->push_back(std::move(place->second));
    mount.namespace_->mounts_.erase(place);
    mount.namespace_ = nullptr;
    --total_;
  }
  for (const Kept& over : kept) Link(*over.mount, over.where);
}

void MountTree::Unmount(Mount& top, Dropped* dropped) {
  std::vector<Mount*> set;
  for (const RefPtr<Mount>& mount : Subtree(top)) set.push_back(mount.get());
  AddReceivers(&set);
  Remove(set, dropped);
}

void MountTree::DetachFrom(const Dentry& deleted) {
  if (deleted.mount_count.load(std::memory_order_acquire) == 0) return;
  Dropped dropped;
  WriterLock lock(mount_tree_mu);
  while (!AllMountedOn(deleted).empty()) {
    std::vector<Mount*> set;
    for (const RefPtr<Mount>& mount : Subtree(**AllMountedOn(deleted).begin())) set.push_back(mount.get());
    Remove(set, &dropped);
  }
}

void MountTree::RemoveAll(MountNamespace& space, Dropped* dropped) {
  std::vector<Mount*> set;
  for (const auto& [serial, mount] : space.mounts_) set.push_back(mount.get());
  Remove(set, dropped);
}

}  // namespace runsc
