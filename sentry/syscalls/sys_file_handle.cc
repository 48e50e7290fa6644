#include "sentry/syscalls/sys_file_handle.h"

#include "sentry/syscalls/path_argument.h"

namespace runsc {

// No filesystem here has handles, as overlayfs without nfs_export: what is wrong with the arguments is said
// all the same, as programs try the call to learn what a place can do.
Result<int64_t> SysNameToHandleAt(Task& task, DirFd dirfd, UserPath path, UserPtr<FileHandleHeader> handle,
                                  UserPtr<int32_t> mount_id, AtFlags flags) {
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0) return Errno(EINVAL);
  WalkOptions options;
  options.follow_final = (flags & AT_SYMLINK_FOLLOW) != 0;
  options.allow_empty = (flags & AT_EMPTY_PATH) != 0;
  RETURN_IF_ERROR(WalkArgument(task, dirfd, path, options));
  return Errno(EOPNOTSUPP);
}

Result<int64_t> SysOpenByHandleAt(Task& task, DirFd mount_fd, UserPtr<const FileHandleHeader> handle,
                                  OpenFlags flags) {
  constexpr uint32_t kMaxHandle = 128;  // MAX_HANDLE_SZ
  ASSIGN_OR_RETURN(FileHandleHeader header, task.memory().Read(handle));
  if (header.bytes == 0 || header.bytes > kMaxHandle) return Errno(EINVAL);
  if (mount_fd != AT_FDCWD) RETURN_IF_ERROR(task.GetFileOrPath(mount_fd));
  if (!task.creds().HasCapability(CAP_DAC_READ_SEARCH)) return Errno(EPERM);
  return Errno(ESTALE);
}

}  // namespace runsc
