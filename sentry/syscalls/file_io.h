// Reading and writing open files for system calls: access mode, blocking, the file size
// limit, SIGPIPE, set-user-ID bits and inotify are dealt with here.
#ifndef SENTRY_SYSCALLS_FILE_IO_H_
#define SENTRY_SYSCALLS_FILE_IO_H_

#include <optional>

#include "sentry/kernel/task.h"

namespace runsc {

// At `offset`, or at the file's own. EBADF if it is not open for that. `non_blocking`
// adds to the file's O_NONBLOCK (RWF_NOWAIT, SPLICE_F_NONBLOCK). `append`: RWF_APPEND.
Result<size_t> ReadFile(Task& task, FileDescription& file, IoSequence& to,
                        std::optional<uint64_t> offset = std::nullopt, bool non_blocking = false);
Result<size_t> WriteFile(Task& task, FileDescription& file, IoSequence& from,
                         std::optional<uint64_t> offset = std::nullopt, bool non_blocking = false,
                         bool append = false);

// SIGXFSZ and EFBIG.
Errno FileTooLarge(Task& task);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_FILE_IO_H_
