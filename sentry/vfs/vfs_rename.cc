// rename(2): linux/fs/namei.c's do_renameat2() and vfs_rename() in their order.
#include <linux/fs.h>

#include "sentry/vfs/directory_locks.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/mount_tree.h"
#include "sentry/vfs/path_walker.h"
#include "sentry/vfs/permission.h"

namespace runsc {

namespace {

struct RenameSides {
  const PathWalker& from;
  const PathWalker& to;
  uint32_t flags;
  bool exchange() const { return (flags & RENAME_EXCHANGE) != 0; }
};

Result<void> CheckSlashes(const RenameSides& sides, const Dentry& child, const Dentry& there) {
  bool old_is_directory = child.borrow_inode()->IsDirectory();
  if (sides.exchange() && !there.borrow_inode()->IsDirectory() && sides.to.trailing_slash())
    return Errno(ENOTDIR);
  if (old_is_directory) return Ok();
  if (sides.from.trailing_slash()) return Errno(ENOTDIR);
  if (!sides.exchange() && sides.to.trailing_slash()) return Errno(ENOTDIR);
  return Ok();
}

Result<void> CheckPermissions(const PathContext& context, const RenameSides& sides, const Dentry& child,
                              const Dentry& there) {
  const Dentry& old_dir = *sides.from.at().dentry;
  const Dentry& new_dir = *sides.to.at().dentry;
  bool is_directory = child.borrow_inode()->IsDirectory();
  RETURN_IF_ERROR(CheckMayDelete(context, old_dir, *old_dir.borrow_inode(), child, is_directory));
  bool there_is_directory = false;
  if (there.IsNegative()) {
    RETURN_IF_ERROR(CheckMayCreate(*context.creds, new_dir, *new_dir.borrow_inode()));
  } else {
    there_is_directory = there.borrow_inode()->IsDirectory();
    bool as_directory = sides.exchange() ? there_is_directory : is_directory;
    RETURN_IF_ERROR(CheckMayDelete(context, new_dir, *new_dir.borrow_inode(), there, as_directory));
  }
  // A directory's ".." changes with its parent.
  if (&old_dir == &new_dir) return Ok();
  if (is_directory) RETURN_IF_ERROR(child.borrow_inode()->CheckAccess(*context.creds, W_OK));
  if (sides.exchange() && there_is_directory)
    RETURN_IF_ERROR(there.borrow_inode()->CheckAccess(*context.creds, W_OK));
  return Ok();
}

void NotifyMove(const RenameSides& sides, Dentry& child, Dentry* there, RefPtr<Inode> replaced) {
  if (!InotifyActive()) return;
  auto moved = [](const PathWalker& from, const PathWalker& to, Dentry& dentry) {
    uint32_t cookie = NextInotifyCookie();
    bool is_directory = dentry.borrow_inode()->IsDirectory();
    InotifyNotifyEntry(*from.at().dentry->borrow_inode(), IN_MOVED_FROM, from.last_name(), is_directory,
                       cookie);
    InotifyNotifyEntry(*to.at().dentry->borrow_inode(), IN_MOVED_TO, to.last_name(), is_directory, cookie);
    if (InotifyWatches* watches = dentry.borrow_inode()->inotify_watches())
      watches->Notify(IN_MOVE_SELF, 0, {});
  };
  moved(sides.from, sides.to, child);
  if (sides.exchange()) moved(sides.to, sides.from, *there);
  if (!replaced) return;
  Result<InodeAttributes> attributes = replaced->Attributes();
  if (replaced->IsDirectory() || (attributes.ok() && attributes->nlink == 0)) InotifyInodeGone(*replaced);
}

Result<void> RenameLocked(const PathContext& context, const RenameSides& sides) {
  const RefPtr<Dentry>& old_dir = sides.from.at().dentry;
  const RefPtr<Dentry>& new_dir = sides.to.at().dentry;
  RefPtr<Inode> old_inode = old_dir->inode(), new_inode = new_dir->inode();
  ASSIGN_OR_RETURN(RefPtr<Dentry> child, LookupChildLocked(*old_dir, *old_inode, sides.from.last_name()));
  if (child->IsNegative()) return Errno(ENOENT);
  ASSIGN_OR_RETURN(RefPtr<Dentry> there, LookupChildLocked(*new_dir, *new_inode, sides.to.last_name()));
  if ((sides.flags & RENAME_NOREPLACE) != 0 && !there->IsNegative()) return Errno(EEXIST);
  if (sides.exchange() && there->IsNegative()) return Errno(ENOENT);
  RETURN_IF_ERROR(CheckSlashes(sides, *child, *there));
  if (old_dir != new_dir) {
    if (new_dir->IsBelow(*child)) return Errno(EINVAL);
    if (old_dir->IsBelow(*there)) return Errno(sides.exchange() ? EINVAL : ENOTEMPTY);
  }
  RefPtr<Inode> child_inode = child->inode(), there_inode = there->inode();
  if (child_inode == there_inode) return Ok();
  RETURN_IF_ERROR(CheckPermissions(context, sides, *child, *there));
  if (sides.exchange()) {
    RETURN_IF_ERROR(
        old_inode->Rename(*old_dir, *child, *new_dir, sides.to.last_name(), there.get(), sides.flags));
    Dentry::Exchange(*child, *there);
    NotifyMove(sides, *child, there.get(), nullptr);
    return Ok();
  }
  {
    std::optional<NestedDirectoryLock> replaced_lock;
    if (there_inode) replaced_lock.emplace(*there_inode);
    RETURN_IF_ERROR(old_inode->Rename(*old_dir, *child, *new_dir, sides.to.last_name(),
                                      there_inode ? there.get() : nullptr, sides.flags));
    child->MoveTo(*new_dir, sides.to.last_name());
  }
  MountTree::DetachFrom(*there);
  NotifyMove(sides, *child, nullptr, std::move(there_inode));
  return Ok();
}

}  // namespace

Result<void> CheckRenameFlags(uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) != 0)
    return Errno(EINVAL);
  if ((flags & RENAME_EXCHANGE) != 0 && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)) != 0)
    return Errno(EINVAL);
  return Ok();
}

Result<void> VfsCheckParent(const PathContext& context, const VfsPath& start, std::string_view path) {
  PathWalker walker(context, start, 0);
  RETURN_IF_ERROR(walker.Begin(path, false));
  return walker.WalkToParent();
}

Result<void> VfsRename(const PathContext& context, const VfsPath& old_start, std::string_view old_path,
                       const VfsPath& new_start, std::string_view new_path, uint32_t flags) {
  RETURN_IF_ERROR(CheckRenameFlags(flags));
  if ((flags & RENAME_WHITEOUT) != 0 && !context.creds->HasCapability(CAP_MKNOD)) return Errno(EPERM);
  PathWalker from(context, old_start, 0), to(context, new_start, 0);
  RETURN_IF_ERROR(from.Begin(old_path, false));
  RETURN_IF_ERROR(from.WalkToParent());
  RETURN_IF_ERROR(to.Begin(new_path, false));
  RETURN_IF_ERROR(to.WalkToParent());
  if (from.at().mount != to.at().mount) return Errno(EXDEV);
  if (from.last() != PathWalker::Last::kName) return Errno(EBUSY);
  if (to.last() != PathWalker::Last::kName) return Errno((flags & RENAME_NOREPLACE) != 0 ? EEXIST : EBUSY);
  RETURN_IF_ERROR(CheckWritableMount(from.at()));
  RenameSides sides{from, to, flags};
  const Dentry& old_dir = *from.at().dentry;
  const Dentry& new_dir = *to.at().dentry;
  if (&old_dir == &new_dir) {
    TwoDirectoryLocks locks(old_dir, new_dir);
    return RenameLocked(context, sides);
  }
  MutexLock rename_lock(old_dir.filesystem().rename_lock());
  TwoDirectoryLocks locks(old_dir, new_dir);
  return RenameLocked(context, sides);
}

}  // namespace runsc
