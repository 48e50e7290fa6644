// Advice on another process's memory, by pidfd.
#ifndef SENTRY_SYSCALLS_SYS_PROCESS_MEMORY_H_
#define SENTRY_SYSCALLS_SYS_PROCESS_MEMORY_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysProcessMadvise(Task& task, Fd pidfd, UserPtr<const iovec> vectors, uint64_t count,
                                  MadviseAdvice advice, uint32_t flags);
Result<int64_t> SysProcessMrelease(Task& task, Fd pidfd, uint32_t flags);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_PROCESS_MEMORY_H_
