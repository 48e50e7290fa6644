// What mount(2) and its relatives do to a namespace. The order of the checks is that of fs/namespace.c.
#include <algorithm>

#include "sentry/vfs/mount_tree.h"

namespace runsc {

namespace {

// /proc/pid/ns/*, which are on no mount of a tree, and may be bound all the same.
bool IsNamespaceFile(const VfsPath& path) { return path.dentry->filesystem().type_name() == "nsfs"; }

}  // namespace

MountNamespace::MountNamespace(RefPtr<Mount> root)
    : MountNamespace(std::move(root), false, RefPtr<UserNamespace>(&UserNamespace::Initial())) {}

MountNamespace::MountNamespace(RefPtr<Mount> root, bool detached, RefPtr<UserNamespace> user_ns)
    : Namespace(std::move(user_ns)), detached_(detached) {
  WriterLock lock(mount_tree_mu);
  root_ = root;
  MountTree::AddTo(*this, {std::move(root)});
}

MountNamespace::~MountNamespace() {
  MountTree::Dropped dropped;
  WriterLock lock(mount_tree_mu);
  MountTree::RemoveAll(*this, &dropped);
  dropped.push_back(std::move(root_));
}

void MountNamespace::NoteChange() {
  changes_.fetch_add(1, std::memory_order_acq_rel);
  change_queue_.Notify(EPOLLPRI | EPOLLERR);
}

bool MountNamespace::MayCopyLocked(const Mount& mount) const {
  return mount.namespace_ == this || (mount.namespace_ != nullptr && mount.namespace_->detached_);
}

Result<void> MountNamespace::Attach(RefPtr<Mount> mount, const VfsPath& where) {
  bool is_directory = mount->root()->inode()->IsDirectory();
  if (where.inode()->IsDirectory() != is_directory) return Errno(ENOTDIR);
  MountTree::Dropped dropped;
  WriterLock lock(mount_tree_mu);
  return MountTree::Attach(*this, {std::move(mount)}, where, &dropped);
}

Result<void> MountNamespace::CheckReveals(Mount& mount) const {
  if (user_ns()->IsInitial()) return Ok();
  WriterLock lock(mount_tree_mu);
  auto shows_all = [&](const auto& entry)
                       ABSL_NO_THREAD_SAFETY_ANALYSIS { return MountTree::Shows(*entry.second, mount); };
  auto shown = std::find_if(mounts_.begin(), mounts_.end(), shows_all);
  if (shown == mounts_.end()) return Errno(EPERM);
  mount.locked_flags_ = shown->second->locked_flags_ & (MS_RDONLY | Mount::kAtimeFlags);
  if (shown->second->filesystem().is_read_only()) mount.locked_flags_ |= MS_RDONLY;
  return Ok();
}

Result<void> MountNamespace::Bind(const VfsPath& from, const VfsPath& to, bool recursive) {
  MountTree::Dropped dropped;
  WriterLock lock(mount_tree_mu);
  if (to.mount->namespace_ != this) return Errno(EINVAL);
  if (from.mount->unbindable_ || (!MayCopyLocked(*from.mount) && !IsNamespaceFile(from)))
    return Errno(EINVAL);
  if (from.inode()->IsDirectory() != to.inode()->IsDirectory()) return Errno(ENOTDIR);
  RETURN_IF_ERROR(MountTree::CheckLocksBelow(from, recursive));
  MountTree::Mounts copy = MountTree::Copy(from, {.recursive = recursive});
  copy[0]->locked_ = false;
  Result<void> attached = MountTree::Attach(*this, copy, to, &dropped);
  if (!attached.ok()) MountTree::Discard(copy, &dropped);
  dropped.insert(dropped.end(), copy.begin(), copy.end());
  return attached;
}

Result<RefPtr<MountNamespace>> MountNamespace::CopyDetached(const VfsPath& from, bool recursive,
                                                            RefPtr<UserNamespace> owner) const {
  MountTree::Dropped dropped;
  auto detached = RefPtr<MountNamespace>::Adopt(new MountNamespace(true, std::move(owner)));
  WriterLock lock(mount_tree_mu);
  if (from.mount->unbindable_ || (!MayCopyLocked(*from.mount) && !IsNamespaceFile(from)))
    return Errno(EINVAL);
  RETURN_IF_ERROR(MountTree::CheckLocksBelow(from, recursive));
  MountTree::Mounts copy = MountTree::Copy(from, {.recursive = recursive});
  copy[0]->locked_ = false;
  Result<void> room = MountTree::CheckRoom(nullptr, copy.size());
  if (!room.ok()) {
    MountTree::Discard(copy, &dropped);
    return room.error();
  }
  detached->root_ = copy[0];
  MountTree::AddTo(*detached, copy);
  return detached;
}

Result<RefPtr<MountNamespace>> MountNamespace::Clone(
    RefPtr<UserNamespace> owner, absl::flat_hash_map<const Mount*, RefPtr<Mount>>* translate) const {
  const bool is_less_privileged = owner != user_ns();
  auto clone = RefPtr<MountNamespace>::Adopt(new MountNamespace(false, std::move(owner)));
  WriterLock lock(mount_tree_mu);
  RETURN_IF_ERROR(MountTree::CheckRoom(nullptr, mounts_.size()));
  const MountTree::CopyOptions options{
      .recursive = true,
      .unbindable_too = true,
      .as = is_less_privileged ? MountTree::CopyAs::kSlaves : MountTree::CopyAs::kPeers};
  MountTree::Mounts copy = MountTree::Copy(VfsPath{root_, root_->root_}, options, translate);
  if (is_less_privileged) MountTree::Lock(copy);
  clone->root_ = copy[0];
  MountTree::AddTo(*clone, copy);
  return clone;
}

Result<void> MountNamespace::Unmount(const VfsPath& path, int flags) {
  MountTree::Dropped dropped;
  WriterLock lock(mount_tree_mu);
  Mount& mount = *path.mount;
  if (mount.namespace_ != this || path.dentry != mount.root()) return Errno(EINVAL);
  if (!mount.parent_ || mount.locked_) return Errno(EINVAL);  // the root of the namespace
  if ((flags & MNT_DETACH) == 0 && MountTree::IsBusy(mount)) return Errno(EBUSY);
  MountTree::Unmount(mount, &dropped);
  return Ok();
}

Result<void> MountNamespace::Move(const VfsPath& from, const VfsPath& to) {
  MountTree::Dropped dropped;
  WriterLock lock(mount_tree_mu);
  Mount& mount = *from.mount;
  if (to.mount->namespace_ != this || mount.namespace_ == nullptr) return Errno(EINVAL);
  const bool is_attached = static_cast<bool>(mount.parent_);
  if (is_attached ? mount.namespace_ != this : !mount.namespace_->detached_) return Errno(EINVAL);
  if (from.dentry != mount.root()) return Errno(EINVAL);
  if (from.inode()->IsDirectory() != to.inode()->IsDirectory()) return Errno(EINVAL);
  if (is_attached && (mount.parent_->group_ || mount.locked_)) return Errno(EINVAL);
  if (to.mount->group_ && MountTree::HasUnbindable(mount)) return Errno(EINVAL);
  if (MountTree::IsBelow(*to.mount, mount)) return Errno(ELOOP);
  const VfsPath old{mount.parent_, mount.mount_point_};
  const MountTree::Mounts tree = MountTree::Subtree(mount);
  MountTree::Unlink(mount, &dropped);
  Result<void> attached = MountTree::Attach(*this, tree, to, &dropped);
  if (!attached.ok() && is_attached) MountTree::Link(mount, old);
  return attached;
}

Result<void> MountNamespace::PivotRoot(const VfsPath& root, const VfsPath& new_root, const VfsPath& put_old) {
  MountTree::Dropped dropped;
  WriterLock lock(mount_tree_mu);
  Mount& mount = *new_root.mount;
  auto is_shared = [](const RefPtr<Mount>& at) ABSL_NO_THREAD_SAFETY_ANALYSIS { return at && at->group_; };
  if (is_shared(put_old.mount) || is_shared(mount.parent_) || is_shared(root.mount->parent_))
    return Errno(EINVAL);
  if (root.mount->namespace_ != this || mount.namespace_ != this || put_old.mount->namespace_ != this)
    return Errno(EINVAL);
  if (mount.locked_) return Errno(EINVAL);
  if (new_root.dentry->IsDeleted()) return Errno(ENOENT);
  if (root.mount == &mount || put_old.mount == root.mount) return Errno(EBUSY);
  if (root.dentry != root.mount->root()) return Errno(EINVAL);  // a chroot is no mount point
  if (new_root.dentry != mount.root() || !mount.parent_) return Errno(EINVAL);
  if (!MountTree::IsReachable(put_old, new_root) || !MountTree::IsReachable(new_root, root))
    return Errno(EINVAL);
  const VfsPath below_root{root.mount->parent_, root.mount->mount_point_};
  MountTree::Unlink(mount, &dropped);
  MountTree::Unlink(*root.mount, &dropped);
  mount.locked_ = std::exchange(root.mount->locked_, false);
  MountTree::Link(*root.mount, MountTree::Uppermost(put_old));
  if (below_root) {
    MountTree::Link(mount, below_root);
  } else {
    dropped.push_back(std::move(root_));
    root_ = new_root.mount;
  }
  return Ok();
}

Result<void> MountNamespace::ChangePropagation(const VfsPath& path, uint64_t flags) {
  const uint64_t type = flags & kPropagationFlags;
  if (path.dentry != path.mount->root()) return Errno(EINVAL);
  if ((flags & ~(kPropagationFlags | MS_REC | MS_SILENT)) != 0 || type == 0 || (type & (type - 1)) != 0)
    return Errno(EINVAL);
  WriterLock lock(mount_tree_mu);
  if (path.mount->namespace_ != this) return Errno(EINVAL);
  const MountTree::Mounts tree =
      (flags & MS_REC) != 0 ? MountTree::Subtree(*path.mount) : MountTree::Mounts{path.mount};
  for (const RefPtr<Mount>& mount : tree) MountTree::ChangePropagation(*mount, type);
  return Ok();
}

Result<void> MountNamespace::SetAttributes(const VfsPath& path, const MountAttributeChange& change) {
  if (path.dentry != path.mount->root()) return Errno(EINVAL);
  WriterLock lock(mount_tree_mu);
  Mount& top = *path.mount;
  const bool is_detached_root = top.namespace_ != nullptr && top.namespace_->detached_ && !top.parent_;
  if (top.namespace_ != this && !is_detached_root) return Errno(EINVAL);
  const MountTree::Mounts tree = change.recursive ? MountTree::Subtree(top) : MountTree::Mounts{path.mount};
  auto is_busy = [&](const RefPtr<Mount>& mount) {
    return (change.set & MS_RDONLY & ~mount->flags()) != 0 && mount->has_writers();
  };
  auto is_locked = [&](const RefPtr<Mount>& mount) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return !MountTree::MayHaveFlags(*mount, (mount->flags() & ~change.clear) | change.set);
  };
  if (std::any_of(tree.begin(), tree.end(), is_locked)) return Errno(EPERM);
  if (std::any_of(tree.begin(), tree.end(), is_busy)) return Errno(EBUSY);
  for (const RefPtr<Mount>& mount : tree) {
    mount->set_flags((mount->flags() & ~change.clear) | change.set);
    if (mount->namespace_ != nullptr && (change.set | change.clear) != 0) mount->namespace_->NoteChange();
    if (change.propagation != 0) MountTree::ChangePropagation(*mount, change.propagation);
  }
  return Ok();
}

Result<void> MountNamespace::ShareWith(const Credentials& creds, const VfsPath& from, const VfsPath& to) {
  WriterLock lock(mount_tree_mu);
  Mount &model = *from.mount, &mount = *to.mount;
  if (model.namespace_ == nullptr || mount.namespace_ == nullptr) return Errno(EINVAL);
  for (const MountNamespace* space : {model.namespace_, mount.namespace_}) {
    if (!creds.HasCapabilityIn(*space->user_ns(), CAP_SYS_ADMIN)) return Errno(EPERM);
  }
  if (from.dentry != model.root() || to.dentry != mount.root()) return Errno(EINVAL);
  if (&model.filesystem() != &mount.filesystem()) return Errno(EINVAL);
  if (!mount.root()->IsBelow(*model.root())) return Errno(EINVAL);
  if (mount.group_ || mount.master_) return Errno(EINVAL);
  if (!model.group_ && !model.master_) return Errno(EINVAL);
  MountTree::ShareWith(mount, model);
  return Ok();
}

std::vector<MountNamespace::Entry> MountNamespace::Mounts(const VfsPath& seen_from) const {
  absl::flat_hash_map<const PeerGroup*, bool> known;
  ReaderLock lock(mount_tree_mu);
  std::vector<Entry> entries;
  entries.reserve(mounts_.size());
  for (const auto& [serial, mount] : mounts_) {
    Entry entry{mount, mount->parent_ ? mount->parent_->id() : 0, {}};
    if (mount->parent_) entry.mount_point = VfsPath{mount->parent_, mount->mount_point_};
    if (mount->group_) entry.shared = mount->group_->id();
    entry.unbindable = mount->unbindable_;
    if (const PeerGroup* master = mount->master_.get()) {
      entry.master = master->id();
      int seen = MountTree::DominatingGroup(master, *this, seen_from, &known);
      if (seen != entry.master) entry.propagate_from = seen;
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace runsc
