// The memory of another process, for who may look into it (ptrace_access.h). Linux counterpart:
// mm_access().
#ifndef SENTRY_SYSCALLS_PTRACE_PERMISSION_H_
#define SENTRY_SYSCALLS_PTRACE_PERMISSION_H_

#include "sentry/kernel/task.h"

namespace runsc {

// The memory of `target`. EPERM; ESRCH: it has ended.
Result<RefPtr<MemoryManager>> MemoryToLookAt(Task& task, Task& target);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_PTRACE_PERMISSION_H_
