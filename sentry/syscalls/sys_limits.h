// Resource limits and usage: getrlimit(2), prlimit(2), getrusage(2), times(2).
#ifndef SENTRY_SYSCALLS_SYS_LIMITS_H_
#define SENTRY_SYSCALLS_SYS_LIMITS_H_

#include <sys/resource.h>
#include <sys/times.h>

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysGetrlimit(Task& task, Resource resource, UserPtr<ResourceLimit> limit);
Result<int64_t> SysSetrlimit(Task& task, Resource resource, UserPtr<const ResourceLimit> limit);
Result<int64_t> SysPrlimit64(Task& task, pid_t pid, Resource resource, UserPtr<const ResourceLimit> limit,
                             UserPtr<ResourceLimit> old);
Result<int64_t> SysGetrusage(Task& task, int who, UserPtr<struct rusage> usage);
Result<int64_t> SysTimes(Task& task, UserPtr<struct tms> times);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_LIMITS_H_
