// sendfile(2), splice(2), tee(2), vmsplice(2) and copy_file_range(2).
#ifndef SENTRY_SYSCALLS_SYS_SPLICE_H_
#define SENTRY_SYSCALLS_SYS_SPLICE_H_

#include <sys/uio.h>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysSendfile(Task& task, Fd out_fd, Fd in_fd, UserPtr<int64_t> offset, size_t count);
Result<int64_t> SysCopyFileRange(Task& task, Fd in_fd, UserPtr<int64_t> in_offset, Fd out_fd,
                                 UserPtr<int64_t> out_offset, size_t count, uint32_t flags);
Result<int64_t> SysSplice(Task& task, Fd in_fd, UserPtr<int64_t> in_offset, Fd out_fd,
                          UserPtr<int64_t> out_offset, size_t count, uint32_t flags);
Result<int64_t> SysTee(Task& task, Fd in_fd, Fd out_fd, size_t count, uint32_t flags);
Result<int64_t> SysVmsplice(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count, uint32_t flags);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_SPLICE_H_
