#include "sentry/vfs/mount.h"

#include <algorithm>

namespace runsc {

namespace {

// Of one namespace (Linux: fs.mount-max, 100000).
constexpr size_t kMaxMounts = 16384;

int NextMountId() {
  static std::atomic<int> next{20};  // as on a booted machine: not the first numbers
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

Mount::Mount(RefPtr<Filesystem> filesystem, RefPtr<Dentry> root, uint64_t flags, std::string source)
    : filesystem_(std::move(filesystem)),
      root_(std::move(root)),
      id_(NextMountId()),
      source_(std::move(source)),
      flags_(flags) {}

Mount::~Mount() = default;

MountNamespace::MountNamespace(RefPtr<Mount> root) : root_(root) {
  root->namespace_ = this;
  mounts_.push_back(std::move(root));
}

MountNamespace::~MountNamespace() {
  std::vector<RefPtr<RefCounted>> gone;
  WriterLock lock(mu_);
  RefPtr<Mount> root = std::move(root_);
  RemoveTreeLocked(*root, &gone);
}

VfsPath MountNamespace::Root() const {
  ReaderLock lock(mu_);
  return VfsPath{root_, root_->root()};
}

Mount* MountNamespace::MountedOnLocked(const Mount* mount, const Dentry* dentry) const {
  auto it = attached_.find(Place(mount, dentry));
  return it == attached_.end() ? nullptr : it->second;
}

RefPtr<Mount> MountNamespace::TopMountOn(const VfsPath& path) const {
  if (path.dentry->mount_count.load(std::memory_order_acquire) == 0) return nullptr;
  ReaderLock lock(mu_);
  Mount* top = nullptr;
  for (Mount* over = MountedOnLocked(path.mount.get(), path.dentry.get()); over != nullptr;
       over = MountedOnLocked(top, top->root().get())) {
    top = over;
    if (top->root()->mount_count.load(std::memory_order_relaxed) == 0) break;
  }
  return RefPtr<Mount>(top);
}

VfsPath MountNamespace::MountPoint(const Mount& mount) const {
  ReaderLock lock(mu_);
  if (mount.namespace_ != this || !mount.parent_) return {};
  return VfsPath{mount.parent_, mount.mount_point_};
}

bool MountNamespace::IsMountPoint(const Dentry& dentry) const {
  if (dentry.mount_count.load(std::memory_order_acquire) == 0) return false;
  ReaderLock lock(mu_);
  return std::any_of(attached_.begin(), attached_.end(),
                     [&](const auto& entry) { return entry.first.second == &dentry; });
}

bool MountNamespace::Contains(const Mount& mount) const {
  ReaderLock lock(mu_);
  return mount.namespace_ == this;
}

bool MountNamespace::IsBelowLocked(const Mount& mount, const Mount& top) const {
  for (const Mount* at = &mount; at != nullptr; at = at->parent_.get()) {
    if (at == &top) return true;
  }
  return false;
}

void MountNamespace::AttachLocked(RefPtr<Mount> mount, const VfsPath& where) {
  mount->namespace_ = this;
  mount->parent_ = where.mount;
  mount->mount_point_ = where.dentry;
  where.dentry->mount_count.fetch_add(1, std::memory_order_acq_rel);
  attached_[Place(where.mount.get(), where.dentry.get())] = mount.get();
  where.mount->children_.push_back(mount.get());
}

void MountNamespace::DetachLocked(Mount& mount) {
  if (!mount.parent_) return;
  attached_.erase(Place(mount.parent_.get(), mount.mount_point_.get()));
  mount.mount_point_->mount_count.fetch_sub(1, std::memory_order_acq_rel);
  auto& siblings = mount.parent_->children_;
  siblings.erase(std::find(siblings.begin(), siblings.end(), &mount));
}

void MountNamespace::RemoveTreeLocked(Mount& top, std::vector<RefPtr<RefCounted>>* gone) {
  std::vector<RefPtr<Mount>> removed{RefPtr<Mount>(&top)};
  for (size_t i = 0; i < removed.size(); ++i) {
    for (Mount* child : removed[i]->children_) removed.emplace_back(child);
  }
  // Children before their parents.
  for (auto it = removed.rbegin(); it != removed.rend(); ++it) {
    RefPtr<Mount>& mount = *it;
    DetachLocked(*mount);
    mount->namespace_ = nullptr;
    gone->push_back(std::move(mount->mount_point_));
    gone->push_back(std::move(mount->parent_));
    gone->push_back(std::move(mount));
  }
  std::erase_if(mounts_, [](const RefPtr<Mount>& mount) { return mount->namespace_ == nullptr; });
}

Result<void> MountNamespace::Attach(RefPtr<Mount> mount, const VfsPath& where) {
  bool is_directory = mount->root()->inode()->IsDirectory();
  if (where.inode()->IsDirectory() != is_directory) return Errno(ENOTDIR);
  WriterLock lock(mu_);
  if (where.mount->namespace_ != this || where.dentry->IsDeleted()) return Errno(EINVAL);
  if (mounts_.size() >= kMaxMounts) return Errno(ENOSPC);
  // Somebody may have mounted there since the walk: on top of it then.
  VfsPath top = where;
  while (Mount* over = MountedOnLocked(top.mount.get(), top.dentry.get()))
    top = VfsPath{RefPtr<Mount>(over), over->root()};
  AttachLocked(mount, top);
  mounts_.push_back(std::move(mount));
  return Ok();
}

Result<void> MountNamespace::Bind(const VfsPath& from, const VfsPath& to, bool recursive) {
  auto copy = MakeRef<Mount>(RefPtr<Filesystem>(&from.mount->filesystem()), from.dentry, from.mount->flags(),
                             from.mount->source());
  std::vector<RefPtr<Mount>> below;
  if (recursive) {
    ReaderLock lock(mu_);
    for (const RefPtr<Mount>& mount : mounts_) {
      if (mount != from.mount && IsBelowLocked(*mount, *from.mount)) below.push_back(mount);
    }
    if (mounts_.size() + below.size() >= kMaxMounts) return Errno(ENOSPC);
  }
  RETURN_IF_ERROR(Attach(copy, to));
  absl::flat_hash_map<const Mount*, RefPtr<Mount>> copies{{from.mount.get(), copy}};
  WriterLock lock(mu_);
  // Parents were mounted before their children.
  for (const RefPtr<Mount>& mount : below) {
    auto parent = copies.find(mount->parent_.get());
    if (mount->namespace_ != this || parent == copies.end()) continue;
    if (mount->parent_ == from.mount && !mount->mount_point_->IsBelow(*from.dentry)) continue;
    auto child = MakeRef<Mount>(mount->filesystem_, mount->root_, mount->flags(), mount->source_);
    AttachLocked(child, VfsPath{parent->second, mount->mount_point_});
    mounts_.push_back(child);
    copies.emplace(mount.get(), std::move(child));
  }
  return Ok();
}

Result<void> MountNamespace::Unmount(const VfsPath& path, int flags) {
  std::vector<RefPtr<RefCounted>> gone;
  WriterLock lock(mu_);
  Mount& mount = *path.mount;
  if (mount.namespace_ != this || path.dentry != mount.root()) return Errno(EINVAL);
  if (!mount.parent_) return Errno(EINVAL);  // the root of the namespace
  if ((flags & MNT_DETACH) == 0) {
    // One reference is the namespace's, one the caller's.
    if (!mount.children_.empty() || mount.ref_count() > 2) return Errno(EBUSY);
  }
  RemoveTreeLocked(mount, &gone);
  return Ok();
}

Result<void> MountNamespace::Move(const VfsPath& from, const VfsPath& to) {
  if (from.inode()->IsDirectory() != to.inode()->IsDirectory()) return Errno(EINVAL);
  std::vector<RefPtr<RefCounted>> gone;
  WriterLock lock(mu_);
  Mount& mount = *from.mount;
  if (mount.namespace_ != this || to.mount->namespace_ != this) return Errno(EINVAL);
  if (from.dentry != mount.root() || !mount.parent_) return Errno(EINVAL);
  if (IsBelowLocked(*to.mount, mount)) return Errno(ELOOP);
  DetachLocked(mount);
  gone.push_back(std::move(mount.mount_point_));
  gone.push_back(std::move(mount.parent_));
  AttachLocked(from.mount, to);
  return Ok();
}

Result<void> MountNamespace::PivotRoot(const VfsPath& new_root, const VfsPath& put_old) {
  std::vector<RefPtr<RefCounted>> gone;
  WriterLock lock(mu_);
  Mount& mount = *new_root.mount;
  if (mount.namespace_ != this || put_old.mount->namespace_ != this) return Errno(EINVAL);
  if (new_root.dentry->IsDeleted()) return Errno(ENOENT);
  if (root_ == &mount || put_old.mount == root_) return Errno(EBUSY);
  if (new_root.dentry != mount.root() || !mount.parent_) return Errno(EINVAL);
  if (!IsBelowLocked(*put_old.mount, mount)) return Errno(EINVAL);
  DetachLocked(mount);
  gone.push_back(std::move(mount.mount_point_));
  gone.push_back(std::move(mount.parent_));
  AttachLocked(root_, put_old);
  root_ = new_root.mount;
  return Ok();
}

RefPtr<MountNamespace> MountNamespace::Clone(
    absl::flat_hash_map<const Mount*, RefPtr<Mount>>* translate) const {
  ReaderLock lock(mu_);
  auto copy_of = [](const Mount& mount) {
    return MakeRef<Mount>(mount.filesystem_, mount.root_, mount.flags(), mount.source_);
  };
  RefPtr<Mount> root = copy_of(*root_);
  absl::flat_hash_map<const Mount*, RefPtr<Mount>> copies{{root_.get(), root}};
  auto clone = MakeRef<MountNamespace>(root);
  // After a move or a pivot a parent may stand behind its child: go round until all are there.
  auto attach_copies = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (bool progress = true; progress;) {
      progress = false;
      for (const RefPtr<Mount>& mount : mounts_) {
        if (!mount->parent_ || copies.contains(mount.get())) continue;
        auto parent = copies.find(mount->parent_.get());
        if (parent == copies.end()) continue;
        RefPtr<Mount> child = copy_of(*mount);
        clone->AttachLocked(child, VfsPath{parent->second, mount->mount_point_});
        clone->mounts_.push_back(child);
        copies.emplace(mount.get(), std::move(child));
        progress = true;
      }
    }
  };
  attach_copies();  // nobody else knows the clone yet
  if (translate != nullptr) *translate = std::move(copies);
  return clone;
}

std::vector<MountNamespace::Entry> MountNamespace::Mounts() const {
  ReaderLock lock(mu_);
  std::vector<Entry> entries;
  for (const RefPtr<Mount>& mount : mounts_) {
    Entry entry{mount, mount->parent_ ? mount->parent_->id() : 0, {}};
    if (mount->parent_) entry.mount_point = VfsPath{mount->parent_, mount->mount_point_};
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::string MountNamespace::PathText(const VfsPath& path, const VfsPath& root) const {
  std::string_view suffix = path.dentry->IsDeleted() ? " (deleted)" : "";
  std::vector<std::string> names;
  bool reached = false;
  VfsPath at = path;
  while (true) {
    if (at == root) {
      reached = true;
      break;
    }
    if (at.mount && at.dentry == at.mount->root()) {
      VfsPath below = MountPoint(*at.mount);
      if (!below) {
        // The namespace's own root counts as reached only if it is the caller's.
        if (!at.dentry->IsRoot() && !at.dentry->parent()) return at.dentry->name().append(suffix);
        break;
      }
      at = std::move(below);
      continue;
    }
    RefPtr<Dentry> parent = at.dentry->parent();
    if (!parent) {
      if (names.empty() && !at.dentry->IsRoot()) return at.dentry->name().append(suffix);
      break;
    }
    names.push_back(at.dentry->name());
    at.dentry = std::move(parent);
  }
  std::string text = reached ? "" : "(unreachable)";
  if (names.empty()) text += "/";
  for (auto it = names.rbegin(); it != names.rend(); ++it) text.append("/").append(*it);
  return text.append(suffix);
}

}  // namespace runsc
