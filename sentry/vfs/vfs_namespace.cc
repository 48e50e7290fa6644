// mkdir, mknod, symlink, link, unlink and rmdir: the checks of linux/fs/namei.c's
// filename_create() and do_unlinkat() in their order.
#include "sentry/vfs/directory_locks.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/link_protection.h"
#include "sentry/vfs/mount_tree.h"
#include "sentry/vfs/operation.h"
#include "sentry/vfs/path_walker.h"
#include "sentry/vfs/permission.h"

namespace runsc {

namespace {

using MakeFunction =
    absl::FunctionRef<Result<RefPtr<Inode>>(const VfsPath& dir, Inode& inode, std::string_view name)>;

using CheckFunction = absl::FunctionRef<Result<void>(const VfsPath& dir, Inode& inode)>;
Result<void> NoCheck(const VfsPath& dir, Inode& inode) { return Ok(); }

// Makes a new entry for the last component of `path`. EEXIST.
// `check` comes before the directory's permissions.
Result<VfsPath> MakeEntry(const PathContext& context, const VfsPath& start, std::string_view path,
                          bool is_directory, MakeFunction make, CheckFunction check = NoCheck) {
  PathWalker walker(context, start, 0);
  RETURN_IF_ERROR(walker.Begin(path, false));
  RETURN_IF_ERROR(walker.WalkToParent());
  if (walker.last() != PathWalker::Last::kName) return Errno(EEXIST);
  std::string_view name = walker.last_name();
  const VfsPath& dir = walker.at();
  RefPtr<Inode> inode = dir.inode();
  RefPtr<Dentry> child;
  {
    MutexLock lock(inode->directory_lock());
    bool makes = is_directory && CheckWritableMount(dir).ok() &&
                 CheckMayCreate(*context.creds, *dir.dentry, *inode).ok();
    IntentScope<const Inode*> intent(creates_new_in, makes ? inode.get() : nullptr);
    ASSIGN_OR_RETURN(child, LookupChildLocked(*dir.dentry, *inode, name));
    if (!child->IsNegative()) return Errno(EEXIST);
    if (walker.trailing_slash() && !is_directory) return Errno(ENOENT);
    RETURN_IF_ERROR(CheckWritableMount(dir));
    RETURN_IF_ERROR(check(dir, *inode));
    RETURN_IF_ERROR(CheckMayCreate(*context.creds, *dir.dentry, *inode));
    ASSIGN_OR_RETURN(RefPtr<Inode> made, make(dir, *inode, name));
    child->Instantiate(std::move(made));
  }
  InotifyNotifyEntry(*inode, IN_CREATE, name, is_directory);
  return VfsPath{dir.mount, std::move(child)};
}

Result<VfsPath> MakeNode(const PathContext& context, const VfsPath& start, std::string_view path,
                         uint32_t mode, uint64_t rdev) {
  return MakeEntry(context, start, path, false,
                   [&](const VfsPath& dir, Inode& inode, std::string_view name) -> Result<RefPtr<Inode>> {
                     uint32_t type = mode & S_IFMT;
                     // The overlay's whiteout, a character device 0:0, needs no privilege.
                     bool privileged = type == S_IFBLK || (type == S_IFCHR && rdev != 0);
                     if (privileged && !context.creds->HasCapability(CAP_MKNOD)) return Errno(EPERM);
                     ASSIGN_OR_RETURN(CreateAttributes attributes,
                                      NewFileAttributes(context, inode, mode, rdev));
                     if ((mode & S_IFMT) == S_IFREG) return inode.Create(*dir.dentry, name, attributes);
                     return inode.Mknod(*dir.dentry, name, attributes);
                   });
}

// Linux: may_linkat() and safe_hardlink_source().
Result<void> CheckMayLink(const Credentials& creds, Inode& linked) {
  ASSIGN_OR_RETURN(InodeAttributes attributes, AccessAttributes(linked));
  if (!linked.filesystem().HasOwners(attributes.uid, attributes.gid)) return Errno(EOVERFLOW);
  if (protected_hardlinks.load(std::memory_order_relaxed) == 0) return Ok();
  if (IsOwner(creds, attributes)) return Ok();
  constexpr uint32_t kSetGroup = S_ISGID | S_IXGRP;
  bool safe = linked.IsRegular() && (attributes.mode & S_ISUID) == 0 &&
              (attributes.mode & kSetGroup) != kSetGroup && linked.CheckAccess(creds, R_OK | W_OK).ok();
  return safe ? Ok() : Result<void>(Errno(EPERM));
}

bool LastLink(Inode& inode) {
  Result<InodeAttributes> attributes = inode.Attributes();
  return attributes.ok() && attributes->nlink == 0;
}

void NotifyRemoved(const Inode& dir, std::string_view name, Dentry& victim) {
  if (!InotifyActive()) return;
  Inode& inode = *victim.borrow_inode();
  if (!inode.IsDirectory()) InotifyNotify(victim, IN_ATTRIB);
  if (inode.IsDirectory() || LastLink(inode)) InotifyInodeGone(inode);
  InotifyNotifyEntry(dir, IN_DELETE, name, inode.IsDirectory());
}

}  // namespace

Result<void> VfsMkdir(const PathContext& context, const VfsPath& start, std::string_view path,
                      uint32_t mode) {
  RETURN_IF_ERROR(
      MakeEntry(context, start, path, true,
                [&](const VfsPath& dir, Inode& inode, std::string_view name) -> Result<RefPtr<Inode>> {
                  ASSIGN_OR_RETURN(CreateAttributes attributes,
                                   NewFileAttributes(context, inode, S_IFDIR | (mode & (S_ISVTX | 0777))));
                  return inode.Mkdir(*dir.dentry, name, attributes);
                }));
  return Ok();
}

Result<void> CheckMknodMode(uint32_t mode) {
  switch (mode & S_IFMT) {
    case 0:
    case S_IFREG:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
      return Ok();
    case S_IFDIR:
      return Errno(EPERM);
    default:
      return Errno(EINVAL);
  }
}

Result<void> VfsMknod(const PathContext& context, const VfsPath& start, std::string_view path, uint32_t mode,
                      uint64_t rdev) {
  RETURN_IF_ERROR(CheckMknodMode(mode));
  uint32_t type = mode & S_IFMT;
  if (type == 0) type = S_IFREG;
  bool is_device = type == S_IFCHR || type == S_IFBLK;
  RETURN_IF_ERROR(MakeNode(context, start, path, type | (mode & 07777), is_device ? rdev : 0));
  return Ok();
}

Result<VfsPath> VfsBindSocket(const PathContext& context, std::string_view path, uint32_t mode) {
  Result<VfsPath> made = MakeNode(context, context.cwd, path, S_IFSOCK | (mode & 07777), 0);
  if (made.is(EEXIST)) return Errno(EADDRINUSE);
  return made;
}

Result<void> VfsSymlink(const PathContext& context, std::string_view target, const VfsPath& start,
                        std::string_view path) {
  if (target.empty()) return Errno(ENOENT);
  RETURN_IF_ERROR(MakeEntry(
      context, start, path, false,
      [&](const VfsPath& dir, Inode& inode, std::string_view name) -> Result<RefPtr<Inode>> {
        PathContext no_umask = context;
        no_umask.umask = 0;
        ASSIGN_OR_RETURN(CreateAttributes attributes, NewFileAttributes(no_umask, inode, S_IFLNK | 0777));
        return inode.Symlink(*dir.dentry, name, target, attributes);
      }));
  return Ok();
}

Result<void> VfsLink(const PathContext& context, const VfsPath& target, const VfsPath& start,
                     std::string_view path) {
  RefPtr<Inode> linked = target.inode();
  RETURN_IF_ERROR(MakeEntry(
      context, start, path, false,
      [&](const VfsPath& dir, Inode& inode, std::string_view name) -> Result<RefPtr<Inode>> {
        if (linked->IsDirectory()) return Errno(EPERM);
        // The last name is gone: only a file that never had one gets a new one.
        ASSIGN_OR_RETURN(InodeAttributes attributes, linked->Attributes());
        if (attributes.nlink == 0 && !target.dentry->WasNeverNamed()) return Errno(ENOENT);
        RETURN_IF_ERROR(inode.Link(*dir.dentry, name, *target.dentry));
        target.dentry->SetNamed();
        return linked;
      },
      [&](const VfsPath& dir, Inode& inode) -> Result<void> {
        if (dir.mount != target.mount || &linked->filesystem() != &inode.filesystem()) return Errno(EXDEV);
        return CheckMayLink(*context.creds, *linked);
      }));
  InotifyNotify(*target.dentry, IN_ATTRIB);
  return Ok();
}

Result<void> VfsUnlink(const PathContext& context, const VfsPath& start, std::string_view path) {
  PathWalker walker(context, start, 0);
  RETURN_IF_ERROR(walker.Begin(path, false));
  RETURN_IF_ERROR(walker.WalkToParent());
  if (walker.last() != PathWalker::Last::kName) return Errno(EISDIR);
  const VfsPath& dir = walker.at();
  RefPtr<Inode> inode = dir.inode();
  RefPtr<Dentry> victim;
  {
    RETURN_IF_ERROR(CheckWritableMount(dir));
    MutexLock lock(inode->directory_lock());
    ASSIGN_OR_RETURN(victim, LookupChildLocked(*dir.dentry, *inode, walker.last_name()));
    if (victim->IsNegative()) return Errno(ENOENT);
    bool is_directory = victim->borrow_inode()->IsDirectory();
    if (walker.trailing_slash()) return Errno(is_directory ? EISDIR : ENOTDIR);
    RETURN_IF_ERROR(CheckMayDelete(context, *dir.dentry, *inode, *victim, false));
    RETURN_IF_ERROR(inode->Unlink(*dir.dentry, *victim));
    victim->MarkDeleted();
  }
  MountTree::DetachFrom(*victim);
  NotifyRemoved(*inode, walker.last_name(), *victim);
  return Ok();
}

Result<void> VfsRmdir(const PathContext& context, const VfsPath& start, std::string_view path) {
  PathWalker walker(context, start, 0);
  RETURN_IF_ERROR(walker.Begin(path, false));
  RETURN_IF_ERROR(walker.WalkToParent());
  switch (walker.last()) {
    case PathWalker::Last::kDotDot:
      return Errno(ENOTEMPTY);
    case PathWalker::Last::kDot:
      return Errno(EINVAL);
    case PathWalker::Last::kNone:
      return Errno(EBUSY);
    case PathWalker::Last::kName:
      break;
  }
  const VfsPath& dir = walker.at();
  RefPtr<Inode> inode = dir.inode();
  RefPtr<Dentry> victim;
  {
    RETURN_IF_ERROR(CheckWritableMount(dir));
    MutexLock lock(inode->directory_lock());
    ASSIGN_OR_RETURN(victim, LookupChildLocked(*dir.dentry, *inode, walker.last_name()));
    if (victim->IsNegative()) return Errno(ENOENT);
    RETURN_IF_ERROR(CheckMayDelete(context, *dir.dentry, *inode, *victim, true));
    RefPtr<Inode> victim_inode = victim->inode();
    // Nobody makes an entry in it between the check for emptiness and its end.
    NestedDirectoryLock victim_lock(*victim_inode);
    RETURN_IF_ERROR(inode->Rmdir(*dir.dentry, *victim));
    victim->MarkDeleted();
  }
  MountTree::DetachFrom(*victim);
  NotifyRemoved(*inode, walker.last_name(), *victim);
  return Ok();
}

}  // namespace runsc
