// memfd_create(2).
#ifndef SENTRY_SYSCALLS_SYS_MEMFD_H_
#define SENTRY_SYSCALLS_SYS_MEMFD_H_

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysMemfdCreate(Task& task, UserCString name, uint32_t flags);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_MEMFD_H_
