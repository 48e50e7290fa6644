// stat(2), statx(2), statfs(2), access(2) and readlink(2).
#ifndef SENTRY_SYSCALLS_SYS_STAT_H_
#define SENTRY_SYSCALLS_SYS_STAT_H_

#include <sys/stat.h>
#include <sys/statfs.h>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysStat(Task& task, UserPath path, UserPtr<struct stat> to);
Result<int64_t> SysLstat(Task& task, UserPath path, UserPtr<struct stat> to);
Result<int64_t> SysFstat(Task& task, Fd fd, UserPtr<struct stat> to);
Result<int64_t> SysNewfstatat(Task& task, DirFd dirfd, UserPath path, UserPtr<struct stat> to, AtFlags flags);
Result<int64_t> SysStatx(Task& task, DirFd dirfd, UserPath path, AtFlags flags, uint32_t mask,
                         UserPtr<struct statx> to);
Result<int64_t> SysStatfs(Task& task, UserPath path, UserPtr<struct statfs> to);
Result<int64_t> SysFstatfs(Task& task, Fd fd, UserPtr<struct statfs> to);
Result<int64_t> SysAccess(Task& task, UserPath path, AccessMode mode);
Result<int64_t> SysFaccessat(Task& task, DirFd dirfd, UserPath path, AccessMode mode);
Result<int64_t> SysFaccessat2(Task& task, DirFd dirfd, UserPath path, AccessMode mode, AtFlags flags);
Result<int64_t> SysReadlink(Task& task, UserPath path, UserAddr buffer, int size);
Result<int64_t> SysReadlinkat(Task& task, DirFd dirfd, UserPath path, UserAddr buffer, int size);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_STAT_H_
