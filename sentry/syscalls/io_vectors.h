// The buffers of one I/O system call as an IoSequence.
#ifndef SENTRY_SYSCALLS_IO_VECTORS_H_
#define SENTRY_SYSCALLS_IO_VECTORS_H_

#include <sys/uio.h>

#include "sentry/kernel/task.h"

namespace runsc {

// What one call moves at most (Linux: MAX_RW_COUNT).
inline constexpr size_t kMaxTransfer = 0x7ffff000;

IoSequence MakeIoSequence(Task& task, UserAddr buffer, size_t length);
// readv(2)'s vectors: EINVAL for more than IOV_MAX or a length above SSIZE_MAX; EFAULT.
Result<IoSequence> ReadIoVectors(Task& task, UserPtr<const iovec> vectors, uint64_t count);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_IO_VECTORS_H_
