// read(2), write(2) and their family.
#ifndef SENTRY_SYSCALLS_SYS_READ_WRITE_H_
#define SENTRY_SYSCALLS_SYS_READ_WRITE_H_

#include <sys/uio.h>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysRead(Task& task, Fd fd, UserBuffer buffer, size_t count);
Result<int64_t> SysWrite(Task& task, Fd fd, ConstUserBuffer buffer, size_t count);
Result<int64_t> SysPread64(Task& task, Fd fd, UserBuffer buffer, size_t count, int64_t offset);
Result<int64_t> SysPwrite64(Task& task, Fd fd, ConstUserBuffer buffer, size_t count, int64_t offset);
Result<int64_t> SysReadv(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count);
Result<int64_t> SysWritev(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count);
Result<int64_t> SysPreadv(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count, int64_t offset);
Result<int64_t> SysPwritev(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count, int64_t offset);
// The fifth register is the offset's high half, which 64-bit callers leave 0.
Result<int64_t> SysPreadv2(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count, int64_t offset,
                           uint64_t high, int flags);
Result<int64_t> SysPwritev2(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count, int64_t offset,
                            uint64_t high, int flags);
Result<int64_t> SysLseek(Task& task, Fd fd, int64_t offset, Whence whence);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_READ_WRITE_H_
