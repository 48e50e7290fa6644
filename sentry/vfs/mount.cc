#include "sentry/vfs/mount.h"

#include <algorithm>

#include "sentry/vfs/mount_tree.h"

namespace runsc {

namespace {

uint64_t NextSerial() {
  static std::atomic<uint64_t> next{20};  // as on a booted machine: not the first numbers
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

uint64_t MountFlagsFrom(uint64_t flags) {
  uint64_t kept = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |
                           MS_NOSYMFOLLOW | MS_SYNCHRONOUS);
  if ((flags & MS_STRICTATIME) != 0) return kept & ~uint64_t{MS_NOATIME};
  return (flags & MS_NOATIME) != 0 ? kept : kept | MS_RELATIME;
}

Mount::Mount(RefPtr<Filesystem> filesystem, RefPtr<Dentry> root, uint64_t flags, std::string source)
    : filesystem_(std::move(filesystem)),
      root_(std::move(root)),
      serial_(NextSerial()),
      source_(std::move(source)),
      flags_(flags) {}

// Nobody else knows it any more. Those that are stuck to each other go in a loop: there may be thousands.
Mount::~Mount() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  static thread_local std::vector<RefPtr<Mount>>* pending = nullptr;
  std::vector<RefPtr<Mount>> own;
  const bool is_outermost = pending == nullptr;
  if (is_outermost) pending = &own;
  for (auto& [dentry, mount] : stuck_) {
    dentry->mount_count.fetch_sub(1, std::memory_order_acq_rel);
    stuck_count_.fetch_sub(1, std::memory_order_relaxed);
    pending->push_back(std::move(mount));
  }
  if (!is_outermost) return;
  while (!own.empty()) {
    RefPtr<Mount> last = std::move(own.back());
    own.pop_back();
  }
  pending = nullptr;
}

VfsPath MountNamespace::Root() const {
  ReaderLock lock(mount_tree_mu);
  return VfsPath{root_, root_->root()};
}

RefPtr<Mount> MountNamespace::TopMountOn(const VfsPath& path) {
  if (path.dentry->mount_count.load(std::memory_order_acquire) == 0) return nullptr;
  ReaderLock lock(mount_tree_mu);
  Mount* top = nullptr;
  for (Mount* over = MountTree::MountedOn(*path.mount, *path.dentry); over != nullptr;
       over = MountTree::MountedOn(*top, *top->root())) {
    top = over;
  }
  return RefPtr<Mount>(top);
}

VfsPath MountNamespace::MountPoint(const Mount& mount) {
  ReaderLock lock(mount_tree_mu);
  if (!mount.parent_) return {};
  return VfsPath{mount.parent_, mount.mount_point_};
}

bool MountNamespace::IsMountPoint(const Dentry& dentry) const {
  if (dentry.mount_count.load(std::memory_order_acquire) == 0) return false;
  ReaderLock lock(mount_tree_mu);
  const absl::flat_hash_set<Mount*>& there = MountTree::AllMountedOn(dentry);
  auto is_own = [this](const Mount* mount)
                    ABSL_NO_THREAD_SAFETY_ANALYSIS { return mount->namespace_ == this; };
  return std::any_of(there.begin(), there.end(), is_own);
}

bool MountNamespace::Contains(const Mount& mount) const {
  ReaderLock lock(mount_tree_mu);
  return mount.namespace_ == this;
}

bool MountNamespace::HasWriters(const Filesystem& filesystem) const {
  ReaderLock lock(mount_tree_mu);
  auto writes = [&](const auto& entry) {
    return &entry.second->filesystem() == &filesystem && entry.second->has_writers();
  };
  return std::any_of(mounts_.begin(), mounts_.end(), writes);
}

std::string MountNamespace::PathText(const VfsPath& path, const VfsPath& root) {
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
