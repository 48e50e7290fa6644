#include "sentry/syscalls/sys_attributes.h"

#include <linux/falloc.h>

#include "sentry/syscalls/file_io.h"
#include "sentry/syscalls/lease_command.h"
#include "sentry/syscalls/path_argument.h"
#include "sentry/vfs/inotify.h"

namespace runsc {

namespace {

Result<int64_t> Done(Result<void> result) {
  if (!result.ok()) return result.error();
  return 0;
}

struct Times {
  std::optional<TimeChange> access, modify;
  bool valid = true;  // else EINVAL, once the file is found
};
constexpr TimeChange kNow{true, {}};

Result<Times> DecodeTimes(Task& task, UserPtr<const timespec> from) {
  if (from.is_null()) return Times{kNow, kNow, true};
  timespec raw[2];
  RETURN_IF_ERROR(task.memory().ReadArray(from, std::span(raw)));
  Times times;
  auto decode = [&](const timespec& value, std::optional<TimeChange>* change) {
    if (value.tv_nsec == UTIME_OMIT) return;
    *change = value.tv_nsec == UTIME_NOW ? kNow : TimeChange{false, value};
    if (value.tv_nsec != UTIME_NOW && (value.tv_nsec < 0 || value.tv_nsec > 999'999'999)) times.valid = false;
  };
  decode(raw[0], &times.access);
  decode(raw[1], &times.modify);
  return times;
}

Result<Times> DecodeTimevals(Task& task, UserPtr<const timeval> from) {
  if (from.is_null()) return Times{kNow, kNow, true};
  timeval raw[2];
  RETURN_IF_ERROR(task.memory().ReadArray(from, std::span(raw)));
  for (const timeval& value : raw) {
    if (value.tv_usec < 0 || value.tv_usec > 999'999) return Errno(EINVAL);
  }
  return Times{TimeChange{false, timespec{raw[0].tv_sec, raw[0].tv_usec * 1000}},
               TimeChange{false, timespec{raw[1].tv_sec, raw[1].tv_usec * 1000}}, true};
}

Result<int64_t> SetTimes(Task& task, int dirfd, UserPath path, const Times& times) {
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, dirfd, path));
  ASSIGN_OR_RETURN(VfsPath found, Walk(argument.context, argument.start, argument.text));
  return Done(VfsUtimens(argument.context, found, times.access, times.modify));
}

}  // namespace

Result<int64_t> SysChmod(Task& task, UserPath path, FileMode mode) {
  return SysFchmodat(task, DirFd{AT_FDCWD}, path, mode);
}

Result<int64_t> SysFchmod(Task& task, Fd fd, FileMode mode) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  return Done(VfsChmod(task.path_context(), file->path(), mode));
}

Result<int64_t> SysFchmodat(Task& task, DirFd dirfd, UserPath path, FileMode mode) {
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, dirfd, path));
  return Done(VfsChmod(task.path_context(), found, mode));
}

Result<int64_t> SysFchmodat2(Task& task, DirFd dirfd, UserPath path, FileMode mode, AtFlags flags) {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, dirfd, path, WalkOptionsFor(flags)));
  return Done(VfsChmod(task.path_context(), found, mode));
}

Result<int64_t> SysChown(Task& task, UserPath path, uint32_t uid, uint32_t gid) {
  return SysFchownat(task, DirFd{AT_FDCWD}, path, uid, gid, AtFlags{0});
}

Result<int64_t> SysLchown(Task& task, UserPath path, uint32_t uid, uint32_t gid) {
  return SysFchownat(task, DirFd{AT_FDCWD}, path, uid, gid, AtFlags{AT_SYMLINK_NOFOLLOW});
}

Result<int64_t> SysFchown(Task& task, Fd fd, uint32_t uid, uint32_t gid) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  return Done(VfsChown(task.path_context(), file->path(), uid, gid));
}

Result<int64_t> SysFchownat(Task& task, DirFd dirfd, UserPath path, uint32_t uid, uint32_t gid,
                            AtFlags flags) {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, dirfd, path, WalkOptionsFor(flags)));
  return Done(VfsChown(task.path_context(), found, uid, gid));
}

Result<int64_t> SysUtime(Task& task, UserPath path, UserPtr<const utimbuf> times) {
  if (times.is_null()) return SetTimes(task, AT_FDCWD, path, Times{kNow, kNow, true});
  ASSIGN_OR_RETURN(utimbuf raw, task.memory().Read(times));
  return SetTimes(
      task, AT_FDCWD, path,
      Times{TimeChange{false, timespec{raw.actime, 0}}, TimeChange{false, timespec{raw.modtime, 0}}, true});
}

Result<int64_t> SysUtimes(Task& task, UserPath path, UserPtr<const timeval> times) {
  return SysFutimesat(task, DirFd{AT_FDCWD}, path, times);
}

Result<int64_t> SysFutimesat(Task& task, DirFd dirfd, UserPath path, UserPtr<const timeval> times) {
  ASSIGN_OR_RETURN(Times decoded, DecodeTimevals(task, times));
  if (!path.is_null()) return SetTimes(task, dirfd, path, decoded);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(dirfd));
  return Done(VfsUtimens(task.path_context(), file->path(), decoded.access, decoded.modify));
}

Result<int64_t> SysUtimensat(Task& task, DirFd dirfd, UserPath path, UserPtr<const timespec> times,
                             AtFlags flags) {
  ASSIGN_OR_RETURN(Times decoded, DecodeTimes(task, times));
  // Nothing to do: not even the path is looked at (Linux: sys_utimensat()).
  if (!decoded.access && !decoded.modify) return 0;
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return Errno(EINVAL);
  if (path.is_null() && dirfd != AT_FDCWD) {
    if (flags != 0) return Errno(EINVAL);
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(dirfd));
    if (!decoded.valid) return Errno(EINVAL);
    return Done(VfsUtimens(task.path_context(), file->path(), decoded.access, decoded.modify));
  }
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, dirfd, path, WalkOptionsFor(flags)));
  if (!decoded.valid) return Errno(EINVAL);
  return Done(VfsUtimens(task.path_context(), found, decoded.access, decoded.modify));
}

Result<int64_t> SysTruncate(Task& task, UserPath path, int64_t length) {
  if (length < 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, AT_FDCWD, path));
  LeaseWaitScope leases;
  Result<void> done = VfsTruncate(task.path_context(), found, static_cast<uint64_t>(length));
  if (done.is(EFBIG) && static_cast<uint64_t>(length) > task.Limit(RLIMIT_FSIZE)) return FileTooLarge(task);
  return Done(done);
}

Result<int64_t> SysFtruncate(Task& task, Fd fd, int64_t length) {
  if (length < 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (!file->inode()->IsRegular() || !file->writable()) return Errno(EINVAL);
  ASSIGN_OR_RETURN(InodeAttributes attributes, file->Attributes());
  uint64_t size = static_cast<uint64_t>(length);
  if (size > attributes.size && size > task.Limit(RLIMIT_FSIZE)) return FileTooLarge(task);
  AttributeChange change;
  change.size = size;
  RETURN_IF_ERROR(file->SetAttributes(change));
  InotifyNotify(*file->dentry(), IN_MODIFY);
  return 0;
}

Result<int64_t> SysFallocate(Task& task, Fd fd, int mode, int64_t offset, int64_t length) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (offset < 0 || length <= 0) return Errno(EINVAL);
  constexpr int kKnown = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE |
                         FALLOC_FL_ZERO_RANGE | FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE;
  if ((mode & ~kKnown) != 0) return Errno(EOPNOTSUPP);
  bool punch = (mode & FALLOC_FL_PUNCH_HOLE) != 0;
  if (punch && ((mode & FALLOC_FL_ZERO_RANGE) != 0 || (mode & FALLOC_FL_KEEP_SIZE) == 0))
    return Errno(EOPNOTSUPP);
  if (!file->writable()) return Errno(EBADF);
  RefPtr<Inode> inode = file->inode();
  if (inode->file_type() == S_IFIFO) return Errno(ESPIPE);
  if (inode->IsDirectory()) return Errno(EISDIR);
  if (!inode->IsRegular()) return Errno(ENODEV);
  int64_t end = 0;
  if (__builtin_add_overflow(offset, length, &end)) return Errno(EFBIG);
  if ((mode & FALLOC_FL_KEEP_SIZE) == 0 && static_cast<uint64_t>(end) > task.Limit(RLIMIT_FSIZE))
    return FileTooLarge(task);
  RETURN_IF_ERROR(file->Allocate(mode, static_cast<uint64_t>(offset), static_cast<uint64_t>(length)));
  InotifyNotify(*file->dentry(), IN_MODIFY);
  return 0;
}

}  // namespace runsc
