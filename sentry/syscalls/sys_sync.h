// sync(2), fsync(2), and the hints of posix_fadvise(2) and readahead(2).
#ifndef SENTRY_SYSCALLS_SYS_SYNC_H_
#define SENTRY_SYSCALLS_SYS_SYNC_H_

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysSync(Task& task);
Result<int64_t> SysFsync(Task& task, Fd fd);
Result<int64_t> SysFdatasync(Task& task, Fd fd);
Result<int64_t> SysSyncfs(Task& task, Fd fd);
Result<int64_t> SysSyncFileRange(Task& task, Fd fd, int64_t offset, int64_t length, uint32_t flags);
Result<int64_t> SysFadvise64(Task& task, Fd fd, int64_t offset, int64_t length, int advice);
Result<int64_t> SysReadahead(Task& task, Fd fd, int64_t offset, size_t count);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_SYNC_H_
