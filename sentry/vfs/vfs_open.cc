// open(2): linux/fs/namei.c's path_openat(), do_open() and may_open() in their order.
#include <linux/openat2.h>

#include "sentry/vfs/file_locks.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/operation.h"
#include "sentry/vfs/path_file.h"
#include "sentry/vfs/path_walker.h"
#include "sentry/vfs/permission.h"

namespace runsc {

namespace {

constexpr int kTmpfileBit = O_TMPFILE & ~O_DIRECTORY;

int AccessMask(int flags) {
  int mask = 0;
  switch (flags & O_ACCMODE) {
    case O_RDONLY:
      mask = R_OK;
      break;
    case O_WRONLY:
      mask = W_OK;
      break;
    default:
      mask = R_OK | W_OK;
  }
  if ((flags & O_TRUNC) != 0) mask |= W_OK;
  return mask;
}

bool IsDevice(const Inode& inode) { return inode.file_type() == S_IFCHR || inode.file_type() == S_IFBLK; }
bool WritesToFilesystem(const Inode& inode) {
  return inode.IsRegular() || inode.IsDirectory() || inode.IsSymlink();
}

Result<void> CheckMayOpen(const PathContext& context, const VfsPath& path, int flags) {
  Inode& inode = *path.dentry->borrow_inode();
  int mask = AccessMask(flags);
  if (inode.IsSymlink()) return Errno(ELOOP);
  if (inode.IsDirectory() && (mask & W_OK) != 0) return Errno(EISDIR);
  if (IsDevice(inode) &&
      (!inode.filesystem().allows_devices() || (path.mount && (path.mount->flags() & MS_NODEV) != 0)))
    return Errno(EACCES);
  if ((mask & W_OK) != 0 && WritesToFilesystem(inode)) RETURN_IF_ERROR(CheckWritableMount(path));
  RETURN_IF_ERROR(inode.CheckAccess(*context.creds, mask));
  if ((flags & O_NOATIME) != 0) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, inode.Attributes());
    if (!IsOwner(*context.creds, attributes)) return Errno(EPERM);
  }
  return Ok();
}

// Linux: get_write_access().
bool IsBeingExecuted(Inode& inode) {
  FileLocks* locks = inode.locks_if_any();
  return locks != nullptr && locks->denies_writing();
}

Result<RefPtr<FileDescription>> OpenInode(const PathContext& context, const VfsPath& path, int flags) {
  OpenOptions options;
  options.flags = flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC);
  options.creds = context.creds;
  RefPtr<Inode> inode = path.inode();
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, inode->Open(path, options));
  if (file->writable() && IsBeingExecuted(*inode)) return Errno(ETXTBSY);
  if ((flags & O_DIRECT) != 0 && !file->may_be_direct()) return Errno(EINVAL);
  RETURN_IF_ERROR(BreakLeases(*inode, (flags & O_ACCMODE) != O_RDONLY, (flags & O_NONBLOCK) != 0));
  InotifyNotify(*path.dentry, IN_OPEN);
  return file;
}

// An existing file, wherever the walk came from.
Result<RefPtr<FileDescription>> OpenExisting(const PathContext& context, const VfsPath& path, int flags) {
  RefPtr<Inode> inode = path.inode();
  if ((flags & O_PATH) != 0) {
    if ((flags & O_DIRECTORY) != 0 && !inode->IsDirectory()) return Errno(ENOTDIR);
    return RefPtr<FileDescription>(MakeRef<PathFile>(path, flags));
  }
  if ((flags & O_CREAT) != 0 && inode->IsDirectory()) return Errno(EISDIR);
  if ((flags & O_DIRECTORY) != 0 && !inode->IsDirectory()) return Errno(ENOTDIR);
  RETURN_IF_ERROR(CheckMayOpen(context, path, flags));
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, OpenInode(context, path, flags));
  if ((flags & O_TRUNC) != 0 && inode->IsRegular()) {
    AttributeChange change;
    change.size = 0;
    ASSIGN_OR_RETURN(InodeAttributes attributes, inode->Attributes());
    change.mode = ModeWithoutSetIds(*context.creds, attributes);
    RETURN_IF_ERROR(inode->SetAttributes(*path.dentry, change));
    InotifyNotify(*path.dentry, IN_MODIFY);
  }
  return file;
}

struct Created {
  RefPtr<Dentry> child;
  bool is_new = false;
};

// Finds the last component in its directory, or makes it.
Result<Created> FindOrCreate(const PathContext& context, const VfsPath& dir, std::string_view name,
                             const OpenHow& how) {
  // Without the directory's lock first: most such opens find their file.
  if ((how.flags & O_EXCL) == 0) {
    RefPtr<Dentry> cached = dir.dentry->FindChild(name);
    if (cached && !cached->IsNegative() && !dir.dentry->filesystem().needs_revalidation())
      return Created{std::move(cached), false};
  }
  RefPtr<Inode> inode = dir.inode();
  MutexLock lock(inode->directory_lock());
  bool makes = (how.flags & O_EXCL) != 0 && CheckWritableMount(dir).ok() &&
               CheckMayCreate(*context.creds, *dir.dentry, *inode).ok();
  IntentScope<const Inode*> intent(creates_new_in, makes ? inode.get() : nullptr);
  ASSIGN_OR_RETURN(RefPtr<Dentry> child, LookupChildLocked(*dir.dentry, *inode, name));
  if (!child->IsNegative()) {
    if ((how.flags & O_EXCL) != 0) return Errno(EEXIST);
    return Created{std::move(child), false};
  }
  RETURN_IF_ERROR(CheckWritableMount(dir));
  RETURN_IF_ERROR(CheckMayCreate(*context.creds, *dir.dentry, *inode));
  uint32_t mode = S_IFREG | (static_cast<uint32_t>(how.mode) & 07777);
  ASSIGN_OR_RETURN(CreateAttributes attributes, NewFileAttributes(context, *inode, mode));
  ASSIGN_OR_RETURN(RefPtr<Inode> made, inode->Create(*dir.dentry, name, attributes));
  child->Instantiate(std::move(made));
  return Created{std::move(child), true};
}

Result<RefPtr<FileDescription>> OpenCreate(const PathContext& context, PathWalker& walker,
                                           const OpenHow& how) {
  const int flags = static_cast<int>(how.flags);
  while (true) {
    if (walker.last() != PathWalker::Last::kName) {
      RETURN_IF_ERROR(walker.WalkLast(true));
      if ((flags & O_EXCL) != 0) return Errno(EEXIST);
      return OpenExisting(context, walker.at(), flags);
    }
    if (walker.trailing_slash()) return Errno(EISDIR);
    ASSIGN_OR_RETURN(Created found, FindOrCreate(context, walker.at(), walker.last_name(), how));
    if (found.is_new) {
      InotifyNotifyEntry(*walker.at().dentry->borrow_inode(), IN_CREATE, walker.last_name(), false);
      return OpenInode(context, VfsPath{walker.at().mount, found.child}, flags);
    }
    if (!found.child->borrow_inode()->IsSymlink()) {
      RETURN_IF_ERROR(walker.StepOnto(std::move(found.child)));
      return OpenExisting(context, walker.at(), flags);
    }
    if ((flags & O_NOFOLLOW) != 0) return Errno(ELOOP);
    RefPtr<Dentry> link = std::move(found.child);
    RETURN_IF_ERROR(walker.FollowLast(link));
  }
}

Result<RefPtr<FileDescription>> OpenUnnamed(const PathContext& context, PathWalker& walker,
                                            const OpenHow& how) {
  RETURN_IF_ERROR(walker.WalkLast((how.flags & O_NOFOLLOW) == 0));
  VfsPath dir = walker.TakePath();
  RefPtr<Inode> inode = dir.inode();
  if (!inode->IsDirectory()) return Errno(ENOTDIR);
  RETURN_IF_ERROR(CheckWritableMount(dir));
  RETURN_IF_ERROR(inode->CheckAccess(*context.creds, W_OK | X_OK));
  uint32_t mode = S_IFREG | (static_cast<uint32_t>(how.mode) & 07777);
  ASSIGN_OR_RETURN(CreateAttributes attributes, NewFileAttributes(context, *inode, mode));
  RefPtr<Inode> made;
  {
    MutexLock lock(inode->directory_lock());
    ASSIGN_OR_RETURN(made, inode->CreateUnnamed(*dir.dentry, attributes));
  }
  ASSIGN_OR_RETURN(InodeAttributes of_new, made->Attributes());
  RefPtr<Dentry> dentry = Dentry::Unlinked(*dir.dentry, std::move(made), "#" + std::to_string(of_new.ino));
  return OpenInode(context, VfsPath{dir.mount, std::move(dentry)}, static_cast<int>(how.flags));
}

}  // namespace

Result<void> CheckOpenFlags(const OpenHow& how) {
  const int flags = static_cast<int>(how.flags);
  if ((flags & kTmpfileBit) != 0 && (flags & O_PATH) == 0) {
    if ((flags & O_DIRECTORY) == 0 || (flags & O_CREAT) != 0) return Errno(EINVAL);
    if ((flags & O_ACCMODE) == O_RDONLY) return Errno(EINVAL);
  } else if ((flags & O_CREAT) != 0 && (flags & O_DIRECTORY) != 0 && (flags & O_PATH) == 0) {
    return Errno(EINVAL);
  }
  return Ok();
}

Result<RefPtr<FileDescription>> VfsOpen(const PathContext& context, const VfsPath& start,
                                        std::string_view path, const OpenHow& how) {
  const int flags = static_cast<int>(how.flags);
  RETURN_IF_ERROR(CheckOpenFlags(how));
  // Linux: build_open_flags(). Whatever is asked of a filesystem here counts as cached.
  if ((how.resolve & RESOLVE_CACHED) != 0 && (flags & (O_TRUNC | O_CREAT | kTmpfileBit)) != 0)
    return Errno(EAGAIN);
  // The names before the last one are asked for together with it.
  IntentScope<bool> intent(opens_for_reading,
                           (flags & (O_ACCMODE | O_DIRECTORY | O_PATH | O_CREAT)) == O_RDONLY);
  PathWalker walker(context, start, how.resolve);
  RETURN_IF_ERROR(walker.Begin(path, false));
  RETURN_IF_ERROR(walker.WalkToParent());
  if ((flags & O_PATH) != 0) {
    RETURN_IF_ERROR(walker.WalkLast((flags & O_NOFOLLOW) == 0));
    return OpenExisting(context, walker.at(), flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW));
  }
  if ((flags & kTmpfileBit) != 0) return OpenUnnamed(context, walker, how);
  if ((flags & O_CREAT) != 0) return OpenCreate(context, walker, how);
  RETURN_IF_ERROR(walker.WalkLast((flags & O_NOFOLLOW) == 0));
  return OpenExisting(context, walker.at(), flags);
}

Result<RefPtr<FileDescription>> VfsOpenPath(const PathContext& context, const VfsPath& path, int flags) {
  return OpenExisting(context, path, flags & ~(O_CREAT | O_EXCL));
}

}  // namespace runsc
