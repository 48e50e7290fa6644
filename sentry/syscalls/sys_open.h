// open(2), close(2), dup(2) and their families.
#ifndef SENTRY_SYSCALLS_SYS_OPEN_H_
#define SENTRY_SYSCALLS_SYS_OPEN_H_

#include <linux/openat2.h>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysOpen(Task& task, UserPath path, OpenFlags flags, FileMode mode);
Result<int64_t> SysCreat(Task& task, UserPath path, FileMode mode);
Result<int64_t> SysOpenat(Task& task, DirFd dirfd, UserPath path, OpenFlags flags, FileMode mode);
Result<int64_t> SysOpenat2(Task& task, DirFd dirfd, UserPath path, UserPtr<const open_how> how, size_t size);
Result<int64_t> SysClose(Task& task, Fd fd);
Result<int64_t> SysCloseRange(Task& task, uint32_t first, uint32_t last, uint32_t flags);
Result<int64_t> SysDup(Task& task, Fd fd);
Result<int64_t> SysDup2(Task& task, Fd old_fd, Fd new_fd);
Result<int64_t> SysDup3(Task& task, Fd old_fd, Fd new_fd, OpenFlags flags);
Result<int64_t> SysUmask(Task& task, FileMode mask);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_OPEN_H_
