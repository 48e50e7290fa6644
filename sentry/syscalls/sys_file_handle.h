// name_to_handle_at(2), open_by_handle_at(2).
#ifndef SENTRY_SYSCALLS_SYS_FILE_HANDLE_H_
#define SENTRY_SYSCALLS_SYS_FILE_HANDLE_H_

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

struct FileHandleHeader {  // struct file_handle, without the handle
  uint32_t bytes = 0;
  int32_t type = 0;
};

Result<int64_t> SysNameToHandleAt(Task& task, DirFd dirfd, UserPath path, UserPtr<FileHandleHeader> handle,
                                  UserPtr<int32_t> mount_id, AtFlags flags);
Result<int64_t> SysOpenByHandleAt(Task& task, DirFd mount_fd, UserPtr<const FileHandleHeader> handle,
                                  OpenFlags flags);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_FILE_HANDLE_H_
