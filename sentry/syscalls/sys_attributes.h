// chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2) and their families.
#ifndef SENTRY_SYSCALLS_SYS_ATTRIBUTES_H_
#define SENTRY_SYSCALLS_SYS_ATTRIBUTES_H_

#include <sys/time.h>
#include <utime.h>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysChmod(Task& task, UserPath path, FileMode mode);
Result<int64_t> SysFchmod(Task& task, Fd fd, FileMode mode);
Result<int64_t> SysFchmodat(Task& task, DirFd dirfd, UserPath path, FileMode mode);
Result<int64_t> SysFchmodat2(Task& task, DirFd dirfd, UserPath path, FileMode mode, AtFlags flags);
Result<int64_t> SysChown(Task& task, UserPath path, uint32_t uid, uint32_t gid);
Result<int64_t> SysLchown(Task& task, UserPath path, uint32_t uid, uint32_t gid);
Result<int64_t> SysFchown(Task& task, Fd fd, uint32_t uid, uint32_t gid);
Result<int64_t> SysFchownat(Task& task, DirFd dirfd, UserPath path, uint32_t uid, uint32_t gid,
                            AtFlags flags);
Result<int64_t> SysUtime(Task& task, UserPath path, UserPtr<const utimbuf> times);
Result<int64_t> SysUtimes(Task& task, UserPath path, UserPtr<const timeval> times);
Result<int64_t> SysFutimesat(Task& task, DirFd dirfd, UserPath path, UserPtr<const timeval> times);
Result<int64_t> SysUtimensat(Task& task, DirFd dirfd, UserPath path, UserPtr<const timespec> times,
                             AtFlags flags);
Result<int64_t> SysTruncate(Task& task, UserPath path, int64_t length);
Result<int64_t> SysFtruncate(Task& task, Fd fd, int64_t length);
Result<int64_t> SysFallocate(Task& task, Fd fd, int mode, int64_t offset, int64_t length);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_ATTRIBUTES_H_
