// Who may look into another process. Linux counterpart: __ptrace_may_access() with real credentials;
// ptrace(2).
#ifndef SENTRY_SYSCALLS_PTRACE_PERMISSION_H_
#define SENTRY_SYSCALLS_PTRACE_PERMISSION_H_

#include "sentry/kernel/task.h"

namespace runsc {

// The memory of `target`. EPERM; ESRCH: it has ended.
Result<RefPtr<MemoryManager>> MemoryToLookAt(Task& task, Task& target);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_PTRACE_PERMISSION_H_
