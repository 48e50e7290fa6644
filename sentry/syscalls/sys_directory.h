// Entries of directories and the working directory: mkdir(2), link(2), rename(2), getdents(2), chdir(2), …
#ifndef SENTRY_SYSCALLS_SYS_DIRECTORY_H_
#define SENTRY_SYSCALLS_SYS_DIRECTORY_H_

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysMkdir(Task& task, UserPath path, FileMode mode);
Result<int64_t> SysMkdirat(Task& task, DirFd dirfd, UserPath path, FileMode mode);
Result<int64_t> SysRmdir(Task& task, UserPath path);
Result<int64_t> SysMknod(Task& task, UserPath path, FileMode mode, uint32_t device);
Result<int64_t> SysMknodat(Task& task, DirFd dirfd, UserPath path, FileMode mode, uint32_t device);
Result<int64_t> SysLink(Task& task, UserPath old_path, UserPath new_path);
Result<int64_t> SysLinkat(Task& task, DirFd old_dirfd, UserPath old_path, DirFd new_dirfd, UserPath new_path,
                          AtFlags flags);
Result<int64_t> SysSymlink(Task& task, UserPath target, UserPath path);
Result<int64_t> SysSymlinkat(Task& task, UserPath target, DirFd dirfd, UserPath path);
Result<int64_t> SysUnlink(Task& task, UserPath path);
Result<int64_t> SysUnlinkat(Task& task, DirFd dirfd, UserPath path, AtFlags flags);
Result<int64_t> SysRename(Task& task, UserPath old_path, UserPath new_path);
Result<int64_t> SysRenameat(Task& task, DirFd old_dirfd, UserPath old_path, DirFd new_dirfd,
                            UserPath new_path);
Result<int64_t> SysRenameat2(Task& task, DirFd old_dirfd, UserPath old_path, DirFd new_dirfd,
                             UserPath new_path, uint32_t flags);
Result<int64_t> SysGetdents(Task& task, Fd fd, UserAddr buffer, uint32_t size);
Result<int64_t> SysGetdents64(Task& task, Fd fd, UserAddr buffer, uint32_t size);
Result<int64_t> SysGetcwd(Task& task, UserAddr buffer, uint64_t size);
Result<int64_t> SysChdir(Task& task, UserPath path);
Result<int64_t> SysFchdir(Task& task, Fd fd);
Result<int64_t> SysChroot(Task& task, UserPath path);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_DIRECTORY_H_
