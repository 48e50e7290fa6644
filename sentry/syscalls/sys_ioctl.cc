// ioctl(2): the requests that every file serves; the rest is the file's.
#include <linux/fs.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "sentry/syscalls/async_command.h"
#include "sentry/syscalls/namespace_command.h"
#include "sentry/syscalls/sys_fcntl.h"

namespace runsc {

namespace {

Result<int64_t> ChangeFlag(Task& task, int fd, FileDescription& file, int flag, uint64_t argument) {
  ASSIGN_OR_RETURN(int on, task.memory().Read(UserPtr<const int>(argument)));
  return SetStatusFlags(task, fd, file, on != 0 ? file.flags() | flag : file.flags() & ~flag);
}

// FIOASYNC. ENOTTY for what never signals, unless nothing is to change (Linux: ioctl_fioasync).
Result<int64_t> ChangeAsync(Task& task, int fd, FileDescription& file, uint64_t argument) {
  ASSIGN_OR_RETURN(int on, task.memory().Read(UserPtr<const int>(argument)));
  if (on != 0 && !CanSignalReadiness(file)) return Errno(ENOTTY);
  return ChangeFlag(task, fd, file, O_ASYNC, argument);
}

// FIOSETOWN and its relatives.
Result<int64_t> SocketOwner(Task& task, int fd, FileDescription& file, bool set, UserPtr<int> argument) {
  if (set) {
    ASSIGN_OR_RETURN(int owner, task.memory().Read(argument));
    return AsyncCommand(task, fd, file, F_SETOWN, static_cast<uint64_t>(static_cast<int64_t>(owner)));
  }
  ASSIGN_OR_RETURN(int64_t owner, AsyncCommand(task, fd, file, F_GETOWN, 0));
  RETURN_IF_ERROR(task.memory().Write(argument, static_cast<int>(owner)));
  return 0;
}

// Bytes between the offset and the end of a regular file.
Result<int64_t> BytesLeft(Task& task, FileDescription& file, uint64_t argument) {
  ASSIGN_OR_RETURN(InodeAttributes attributes, file.Attributes());
  ASSIGN_OR_RETURN(int64_t offset, file.Seek(0, SEEK_CUR));
  int64_t left = static_cast<int64_t>(attributes.size) - offset;
  int value = static_cast<int>(std::clamp<int64_t>(left, INT32_MIN, INT32_MAX));
  RETURN_IF_ERROR(task.memory().Write(UserPtr<int>(argument), value));
  return 0;
}

// FICLONE, on filesystems that share no extents (ioctl_ficlonerange(2)).
Result<int64_t> Clone(Task& task, FileDescription& to, int from_fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> from, task.GetFile(from_fd));
  if (&from->inode()->filesystem() != &to.inode()->filesystem()) return Errno(EXDEV);
  if (from->inode()->IsDirectory() || to.inode()->IsDirectory()) return Errno(EISDIR);
  if (!from->inode()->IsRegular() || !to.inode()->IsRegular()) return Errno(EINVAL);
  if (!from->readable() || !to.writable() || (to.flags() & O_APPEND) != 0) return Errno(EBADF);
  return Errno(EOPNOTSUPP);
}

Result<int64_t> SetCloseOnExec(Task& task, int fd, bool value) {
  RETURN_IF_ERROR(task.fd_table().SetCloseOnExec(fd, value));
  return 0;
}

}  // namespace

Result<int64_t> SysIoctl(Task& task, Fd fd, IoctlRequest request, uint64_t argument) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  bool regular = file->inode()->IsRegular();
  switch (request) {
    case FIOCLEX:
      return SetCloseOnExec(task, fd, true);
    case FIONCLEX:
      return SetCloseOnExec(task, fd, false);
    case FIONBIO:
      return ChangeFlag(task, fd, *file, O_NONBLOCK, argument);
    case FIOASYNC:
      return ChangeAsync(task, fd, *file, argument);
    case FIOSETOWN:
    case SIOCSPGRP:
    case FIOGETOWN:
    case SIOCGPGRP:
      if (file->inode()->file_type() != S_IFSOCK) break;
      return SocketOwner(task, fd, *file, request == FIOSETOWN || request == SIOCSPGRP,
                         UserPtr<int>(argument));
    case FIONREAD:
      if (regular) {
        Result<int64_t> done = file->Ioctl(task.memory(), request, argument);
        return done.is(ENOTTY) ? BytesLeft(task, *file, argument) : done;
      }
      break;
    case FIGETBSZ: {
      ASSIGN_OR_RETURN(InodeAttributes attributes, file->Attributes());
      RETURN_IF_ERROR(task.memory().Write(UserPtr<int>(argument), static_cast<int>(attributes.block_size)));
      return 0;
    }
    case FIOQSIZE: {
      if (!regular && !file->inode()->IsDirectory() && !file->inode()->IsSymlink()) break;
      ASSIGN_OR_RETURN(InodeAttributes attributes, file->Attributes());
      RETURN_IF_ERROR(
          task.memory().Write(UserPtr<int64_t>(argument), static_cast<int64_t>(attributes.blocks * 512)));
      return 0;
    }
    case FIBMAP:
      if (!regular) break;
      return Errno(task.creds().HasCapability(CAP_SYS_RAWIO) ? EINVAL : EPERM);
    case FICLONE:
      return Clone(task, *file, static_cast<int>(argument));
    default:
      break;
  }
  const auto* space = _IOC_TYPE(request) == NSIO ? dynamic_cast<const NamespaceFile*>(file.get()) : nullptr;
  if (space != nullptr) return NamespaceCommand(task, space->handle(), request, UserAddr(argument));
  return file->Ioctl(task.memory(), request, argument);
}

}  // namespace runsc
