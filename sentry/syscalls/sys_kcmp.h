// kcmp(2): whether two processes share a resource.
#ifndef SENTRY_SYSCALLS_SYS_KCMP_H_
#define SENTRY_SYSCALLS_SYS_KCMP_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysKcmp(Task& task, pid_t pid1, pid_t pid2, int type, uint64_t index1, uint64_t index2);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_KCMP_H_
