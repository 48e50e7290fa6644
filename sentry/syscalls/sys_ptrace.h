// ptrace(2).
#ifndef SENTRY_SYSCALLS_SYS_PTRACE_H_
#define SENTRY_SYSCALLS_SYS_PTRACE_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysPtrace(Task& task, int64_t request, int64_t pid, UserAddr address, uint64_t data);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_PTRACE_H_
