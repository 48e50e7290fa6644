// seccomp(2), and what prctl(2) has of it.
#ifndef SENTRY_SYSCALLS_SYS_SECCOMP_H_
#define SENTRY_SYSCALLS_SYS_SECCOMP_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysSeccomp(Task& task, uint32_t operation, uint32_t flags, UserAddr arguments);
// prctl(PR_SET_SECCOMP): SECCOMP_MODE_* and the filter.
Result<int64_t> SetSeccompMode(Task& task, uint64_t mode, UserAddr filter);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_SECCOMP_H_
