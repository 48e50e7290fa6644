#include "sentry/syscalls/sys_open.h"

#include <linux/close_range.h>

#include <algorithm>

#include "sentry/syscalls/blocking_io.h"
#include "sentry/syscalls/lease_command.h"
#include "sentry/syscalls/path_argument.h"

namespace runsc {

namespace {

constexpr uint64_t kLargeFile = 0100000;  // the kernel's O_LARGEFILE; glibc hides it
constexpr uint64_t kKnownFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK |
                                 O_DSYNC | O_SYNC | O_ASYNC | O_DIRECT | kLargeFile | O_DIRECTORY |
                                 O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE;
constexpr uint64_t kKnownResolve = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS |
                                   RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED;
constexpr uint64_t kTmpfileBit = O_TMPFILE & ~O_DIRECTORY;

Result<int64_t> DoOpen(Task& task, int dirfd, UserPath path, const OpenHow& how) {
  RETURN_IF_ERROR(CheckOpenFlags(how));
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, dirfd, path));
  // An absolute path begins at the directory as well (openat2(2)).
  if ((how.resolve & RESOLVE_IN_ROOT) != 0 && argument.text.front() == '/') {
    ASSIGN_OR_RETURN(argument.start,
                     dirfd == AT_FDCWD ? Result<VfsPath>(argument.context.cwd) : task.StartOf(dirfd));
  }
  LeaseWaitScope leases;
  ASSIGN_OR_RETURN(int fd, task.fd_table().Reserve(0, task.Limit(RLIMIT_NOFILE)));
  Result<RefPtr<FileDescription>> file = VfsOpen(argument.context, argument.start, argument.text, how);
  if (file.ok()) {
    Result<void> finished = BlockOnFile(task, **file, EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR,
                                        Deadline::Never(), [&] { return (*file)->FinishOpen(); });
    if (!finished.ok()) file = finished.error();
  }
  if (!file.ok()) {
    task.fd_table().Cancel(fd);
    return file.error();
  }
  task.fd_table().Install(fd, *std::move(file), (how.flags & O_CLOEXEC) != 0);
  return fd;
}

// open(2) and openat(2) ignore what they do not know (Linux: build_open_how()).
OpenHow LenientHow(int flags, uint32_t mode) {
  OpenHow how;
  how.flags = (static_cast<uint64_t>(static_cast<uint32_t>(flags)) & kKnownFlags) | kLargeFile;
  if ((how.flags & O_PATH) != 0) how.flags &= O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;
  bool makes = (how.flags & (O_CREAT | kTmpfileBit)) != 0;
  how.mode = makes ? mode & 07777 : 0;
  return how;
}

// Linux: build_open_flags() for openat2(2), which is strict.
Result<OpenHow> StrictHow(const open_how& raw) {
  if ((raw.flags & ~kKnownFlags) != 0 || (raw.resolve & ~kKnownResolve) != 0) return Errno(EINVAL);
  if ((raw.resolve & RESOLVE_BENEATH) != 0 && (raw.resolve & RESOLVE_IN_ROOT) != 0) return Errno(EINVAL);
  bool makes = (raw.flags & (O_CREAT | kTmpfileBit)) != 0;
  if (makes ? (raw.mode & ~uint64_t{07777}) != 0 : raw.mode != 0) return Errno(EINVAL);
  if ((raw.flags & O_PATH) != 0 &&
      (raw.flags & ~uint64_t{O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC}) != 0)
    return Errno(EINVAL);
  OpenHow how;
  how.flags = (raw.flags & O_PATH) != 0 ? raw.flags : raw.flags | kLargeFile;
  how.mode = raw.mode;
  how.resolve = raw.resolve;
  return how;
}

}  // namespace

Result<int64_t> SysOpen(Task& task, UserPath path, OpenFlags flags, FileMode mode) {
  return DoOpen(task, AT_FDCWD, path, LenientHow(flags, mode));
}

Result<int64_t> SysCreat(Task& task, UserPath path, FileMode mode) {
  return DoOpen(task, AT_FDCWD, path, LenientHow(O_CREAT | O_WRONLY | O_TRUNC, mode));
}

Result<int64_t> SysOpenat(Task& task, DirFd dirfd, UserPath path, OpenFlags flags, FileMode mode) {
  return DoOpen(task, dirfd, path, LenientHow(flags, mode));
}

Result<int64_t> SysOpenat2(Task& task, DirFd dirfd, UserPath path, UserPtr<const open_how> how, size_t size) {
  constexpr size_t kFirstSize = 24;
  if (size < kFirstSize) return Errno(EINVAL);
  if (size > kPageSize) return Errno(E2BIG);
  std::byte raw[kPageSize];
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const std::byte>(how.addr()), std::span(raw, size)));
  // A caller from the future: what we do not know has to be zero (Linux: copy_struct_from_user()).
  bool unknown = std::any_of(raw + std::min(size, sizeof(open_how)), raw + size,
                             [](std::byte value) { return value != std::byte{0}; });
  if (unknown) return Errno(E2BIG);
  open_how value{};
  memcpy(&value, raw, std::min(size, sizeof(value)));
  ASSIGN_OR_RETURN(OpenHow strict, StrictHow(value));
  return DoOpen(task, dirfd, path, strict);
}

Result<int64_t> SysClose(Task& task, Fd fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.fd_table().Remove(fd));
  Result<void> closed = task.fd_table().CloseFile(*file);
  // The descriptor is gone: close is never restarted.
  if (!closed.ok()) return closed.error().IsRestart() ? Errno(EINTR) : closed.error();
  return 0;
}

Result<int64_t> SysCloseRange(Task& task, uint32_t first, uint32_t last, uint32_t flags) {
  if ((flags & ~static_cast<uint32_t>(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) != 0 || first > last)
    return Errno(EINVAL);
  if ((flags & CLOSE_RANGE_UNSHARE) != 0) task.SetFDTable(task.fd_table().Fork());
  task.fd_table().CloseRange(first, last, (flags & CLOSE_RANGE_CLOEXEC) != 0);
  return 0;
}

Result<int64_t> SysDup(Task& task, Fd fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFileOrPath(fd));
  ASSIGN_OR_RETURN(int copy, task.AddFile(std::move(file), false));
  return copy;
}

namespace {

Result<int64_t> DuplicateTo(Task& task, int old_fd, int new_fd, bool close_on_exec) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFileOrPath(old_fd));
  if (new_fd < 0) return Errno(EBADF);
  ASSIGN_OR_RETURN(
      RefPtr<FileDescription> replaced,
      task.fd_table().Replace(new_fd, std::move(file), close_on_exec, task.Limit(RLIMIT_NOFILE)));
  // The error of closing what was there is lost (dup2(2), NOTES).
  if (replaced) (void)task.fd_table().CloseFile(*replaced);
  return new_fd;
}

}  // namespace

Result<int64_t> SysDup2(Task& task, Fd old_fd, Fd new_fd) {
  if (old_fd == new_fd) {
    RETURN_IF_ERROR(task.GetFileOrPath(old_fd));
    return new_fd.value;
  }
  return DuplicateTo(task, old_fd, new_fd, false);
}

Result<int64_t> SysDup3(Task& task, Fd old_fd, Fd new_fd, OpenFlags flags) {
  if ((flags & ~O_CLOEXEC) != 0 || old_fd == new_fd) return Errno(EINVAL);
  return DuplicateTo(task, old_fd, new_fd, (flags & O_CLOEXEC) != 0);
}

Result<int64_t> SysUmask(Task& task, FileMode mask) { return task.fs().ExchangeUmask(mask & 0777); }

}  // namespace runsc
