// fcntl(2), flock(2) and ioctl(2).
#ifndef SENTRY_SYSCALLS_SYS_FCNTL_H_
#define SENTRY_SYSCALLS_SYS_FCNTL_H_

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

// fcntl(F_SETFL), and what ioctl(2) sets of it. EPERM (O_NOATIME).
Result<int64_t> SetStatusFlags(Task& task, int fd, FileDescription& file, int flags);

Result<int64_t> SysFcntl(Task& task, Fd fd, FcntlCommand command, uint64_t argument);
Result<int64_t> SysFlock(Task& task, Fd fd, int operation);
Result<int64_t> SysIoctl(Task& task, Fd fd, IoctlRequest request, uint64_t argument);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_FCNTL_H_
