#include "sentry/vfs/path_walker.h"

#include <limits.h>
#include <linux/openat2.h>

#include "sentry/vfs/link_protection.h"
#include "sentry/vfs/permission.h"

namespace runsc {

namespace {

constexpr int kMaxLinks = 40;
constexpr size_t kMaxBatch = 16;

// Takes the next component off `rest`; empty at the end.
std::string_view NextName(std::string_view& rest) {
  size_t start = rest.find_first_not_of('/');
  if (start == std::string_view::npos) {
    rest = {};
    return {};
  }
  size_t end = rest.find('/', start);
  std::string_view name = rest.substr(start, end == std::string_view::npos ? end : end - start);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  return name;
}

// The plain names that come first in `rest`, behind `name`.
std::vector<std::string_view> Batch(std::string_view name, std::string_view rest) {
  std::vector<std::string_view> names{name};
  while (names.size() < kMaxBatch) {
    std::string_view next = NextName(rest);
    if (next.empty() || next == ".." || next.size() > NAME_MAX) break;
    if (next != ".") names.push_back(next);
  }
  return names;
}

// Puts what a lookup found into the tree. A directory found below another is not known
// to anyone until its parent has it, so its lock is free, and held until it is filled.
Result<RefPtr<Dentry>> AddEntries(Dentry& dir, std::span<const std::string_view> names,
                                  std::vector<LookupEntry> entries) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Filesystem& filesystem = dir.filesystem();
  RefPtr<Dentry> first;
  RefPtr<Dentry> parent(&dir);
  std::vector<RefPtr<Inode>> locked;
  size_t count = std::min(entries.size(), names.size());
  for (size_t i = 0; i < count; ++i) {
    RefPtr<Inode> inode = std::move(entries[i].inode);
    if (!inode && i > 0 && !filesystem.caches_negative()) break;
    bool more = i + 1 < count && inode && inode->IsDirectory();
    if (more) {
      // An inode that is known under another name too may be busy: then only this one.
      more = inode->directory_lock().TryLock();
      if (more) locked.push_back(inode);
    }
    RefPtr<Dentry> child = parent->FindChild(names[i]);
    if (!child) child = parent->AddChild(names[i], std::move(inode));
    if (!first) first = child;
    if (!more) break;
    parent = std::move(child);
  }
  for (const RefPtr<Inode>& inode : locked) inode->directory_lock().Unlock();
  return first;
}

Result<RefPtr<Dentry>> LookupMissing(Dentry& dir, Inode& inode, std::span<const std::string_view> names) {
  if (dir.IsDeleted()) return Errno(ENOENT);
  ASSIGN_OR_RETURN(std::vector<LookupEntry> entries, inode.LookupMany(dir, names));
  if (entries.empty()) return Errno(EIO);
  return AddEntries(dir, names, std::move(entries));
}

// A cached child that may be used, or null.
RefPtr<Dentry> FindValid(Dentry& dir, std::string_view name) {
  RefPtr<Dentry> child = dir.FindChild(name);
  if (!child || !dir.filesystem().needs_revalidation()) return child;
  if (dir.filesystem().Revalidate(dir, *child)) return child;
  // Mounts keep a name alive (Linux: d_invalidate detaches them; a sandbox rather keeps them).
  if (child->mount_count.load(std::memory_order_acquire) != 0) return child;
  dir.DropChild(name);
  return nullptr;
}

}  // namespace

Result<RefPtr<Dentry>> LookupChild(const RefPtr<Dentry>& dir, std::string_view name, std::string_view rest) {
  if (RefPtr<Dentry> child = FindValid(*dir, name)) return child;
  std::vector<std::string_view> names = Batch(name, rest);
  RefPtr<Inode> inode = dir->inode();
  MutexLock lock(inode->directory_lock());
  if (RefPtr<Dentry> child = dir->FindChild(name)) return child;
  return LookupMissing(*dir, *inode, names);
}

Result<RefPtr<Dentry>> LookupChildLocked(Dentry& dir, Inode& inode, std::string_view name) {
  RefPtr<Dentry> child = dir.FindChild(name);
  if (child && (!dir.filesystem().needs_revalidation() || dir.filesystem().Revalidate(dir, *child)))
    return child;
  if (child) dir.DropChild(name);
  return LookupMissing(dir, inode, std::span(&name, 1));
}

PathWalker::PathWalker(const PathContext& context, const VfsPath& start, uint64_t resolve)
    : context_(context), resolve_(resolve), root_(context.root), at_(start) {
  if ((resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) != 0) scope_ = start;
  if ((resolve & RESOLVE_IN_ROOT) != 0) root_ = start;
}

Result<void> PathWalker::GoToRoot() {
  if ((resolve_ & RESOLVE_BENEATH) != 0) return Errno(EXDEV);
  if ((resolve_ & RESOLVE_NO_XDEV) != 0 && at_.mount != root_.mount) return Errno(EXDEV);
  at_ = root_;
  return Ok();
}

Result<void> PathWalker::Begin(std::string_view path, bool allow_empty) {
  if (path.size() >= PATH_MAX) return Errno(ENAMETOOLONG);
  if (path.empty() && !allow_empty) return Errno(ENOENT);
  rest_ = path;
  if (!path.empty() && path.front() == '/') RETURN_IF_ERROR(GoToRoot());
  if (!at_) return Errno(ENOENT);
  return Ok();
}

Result<void> PathWalker::CheckSearch() {
  Inode* inode = at_.dentry->borrow_inode();
  if (inode == nullptr) return Errno(ENOENT);
  if (!inode->IsDirectory()) return Errno(ENOTDIR);
  return inode->CheckAccess(*context_.creds, X_OK);
}

Result<void> PathWalker::WalkToParent() {
  while (true) {
    std::string_view name = NextName(rest_);
    if (name.empty()) {
      last_ = Last::kNone;
      last_name_ = {};
      trailing_slash_ = false;
      return Ok();
    }
    RETURN_IF_ERROR(CheckSearch());
    if (name.size() > NAME_MAX) return Errno(ENAMETOOLONG);
    bool is_last = rest_.find_first_not_of('/') == std::string_view::npos;
    if (is_last) {
      last_ = name == "." ? Last::kDot : name == ".." ? Last::kDotDot : Last::kName;
      last_name_ = name;
      trailing_slash_ = !rest_.empty();
      return Ok();
    }
    if (name == ".") continue;
    if (name == "..") {
      RETURN_IF_ERROR(StepUp());
      continue;
    }
    ASSIGN_OR_RETURN(RefPtr<Dentry> child, LookupChild(at_.dentry, name, rest_));
    Inode* inode = child->borrow_inode();
    if (inode == nullptr) return Errno(ENOENT);
    if (inode->IsSymlink()) {
      RETURN_IF_ERROR(ReadLink(child, rest_));
      continue;
    }
    RETURN_IF_ERROR(StepOnto(std::move(child)));
  }
}

Result<void> PathWalker::WalkLast(bool follow) {
  while (true) {
    switch (last_) {
      case Last::kNone:
      case Last::kDot:
        return Ok();
      case Last::kDotDot:
        return StepUp();
      case Last::kName:
        break;
    }
    ASSIGN_OR_RETURN(RefPtr<Dentry> child, LookupChild(at_.dentry, last_name_, {}));
    Inode* inode = child->borrow_inode();
    if (inode == nullptr) return Errno(ENOENT);
    if (!inode->IsSymlink() || !(follow || trailing_slash_)) {
      RETURN_IF_ERROR(StepOnto(std::move(child)));
      if (trailing_slash_ && !at_.dentry->borrow_inode()->IsDirectory()) return Errno(ENOTDIR);
      return Ok();
    }
    bool must_be_directory = trailing_slash_;
    ASSIGN_OR_RETURN(bool magic, FollowLast(child));
    if (!magic) continue;
    if (must_be_directory && !at_.dentry->borrow_inode()->IsDirectory()) return Errno(ENOTDIR);
    return Ok();
  }
}

// Linux: may_follow_link().
Result<void> PathWalker::CheckMayFollow(Inode& link) {
  if (protected_symlinks.load(std::memory_order_relaxed) == 0) return Ok();
  ASSIGN_OR_RETURN(InodeAttributes dir, AccessAttributes(*at_.dentry->borrow_inode()));
  constexpr uint32_t kOpenToAll = S_ISVTX | S_IWOTH;
  if ((dir.mode & kOpenToAll) != kOpenToAll) return Ok();
  ASSIGN_OR_RETURN(InodeAttributes attributes, AccessAttributes(link));
  bool trusted = attributes.uid == context_.creds->fsuid || attributes.uid == dir.uid;
  return trusted ? Ok() : Result<void>(Errno(EACCES));
}

Result<bool> PathWalker::FollowLast(const RefPtr<Dentry>& link) {
  RETURN_IF_ERROR(CheckMayFollow(*link->borrow_inode()));
  ASSIGN_OR_RETURN(bool magic, ReadLink(link, trailing_slash_ ? "/" : ""));
  if (magic) {
    last_ = Last::kNone;
    return true;
  }
  RETURN_IF_ERROR(WalkToParent());
  return false;
}

Result<bool> PathWalker::ReadLink(const RefPtr<Dentry>& link, std::string_view rest) {
  if ((resolve_ & RESOLVE_NO_SYMLINKS) != 0 || ++links_ > kMaxLinks) return Errno(ELOOP);
  if ((at_.mount->flags() & MS_NOSYMFOLLOW) != 0) return Errno(ELOOP);
  RefPtr<Inode> inode = link->inode();
  Result<VfsPath> target = inode->FollowLink(*context_.creds);
  if (target.ok()) {
    if ((resolve_ & RESOLVE_NO_MAGICLINKS) != 0) return Errno(ELOOP);
    if (scope_ || ((resolve_ & RESOLVE_NO_XDEV) != 0 && target->mount != at_.mount)) return Errno(EXDEV);
    at_ = *std::move(target);
    rest_ = rest;
    return true;
  }
  if (!target.is(ENOTSUP)) return target.error();
  ASSIGN_OR_RETURN(std::string text, inode->ReadLink(*context_.creds));
  if (text.empty()) return Errno(ENOENT);
  bool absolute = text.front() == '/';
  text.append(rest);
  text_ = std::move(text);
  rest_ = text_;
  if (absolute) RETURN_IF_ERROR(GoToRoot());
  return false;
}

Result<void> PathWalker::StepOnto(RefPtr<Dentry> child) {
  at_.dentry = std::move(child);
  if (at_.dentry->mount_count.load(std::memory_order_acquire) == 0) return Ok();
  return CrossMounts();
}

Result<void> PathWalker::CrossMounts() {
  RefPtr<Mount> over = MountNamespace::TopMountOn(at_);
  if (!over) return Ok();
  if ((resolve_ & RESOLVE_NO_XDEV) != 0) return Errno(EXDEV);
  RefPtr<Dentry> root = over->root();
  at_ = VfsPath{std::move(over), std::move(root)};
  return Ok();
}

Result<void> PathWalker::StepUp() {
  while (true) {
    if (scope_ && at_ == scope_) {
      if ((resolve_ & RESOLVE_BENEATH) != 0) return Errno(EXDEV);
      return Ok();
    }
    if (at_ == root_) return CrossMounts();
    if (at_.dentry != at_.mount->root()) break;
    VfsPath below = MountNamespace::MountPoint(*at_.mount);
    if (!below) return Ok();  // the namespace's root, or a detached mount
    if ((resolve_ & RESOLVE_NO_XDEV) != 0) return Errno(EXDEV);
    at_ = std::move(below);
  }
  RefPtr<Dentry> parent = at_.dentry->parent();
  if (parent) at_.dentry = std::move(parent);
  return CrossMounts();
}

Result<VfsPath> Walk(const PathContext& context, const VfsPath& start, std::string_view path,
                     const WalkOptions& options) {
  PathWalker walker(context, start, options.resolve);
  RETURN_IF_ERROR(walker.Begin(path, options.allow_empty));
  RETURN_IF_ERROR(walker.WalkToParent());
  RETURN_IF_ERROR(walker.WalkLast(options.follow_final));
  if (options.must_be_directory && !walker.at().inode()->IsDirectory()) return Errno(ENOTDIR);
  return walker.TakePath();
}

}  // namespace runsc
