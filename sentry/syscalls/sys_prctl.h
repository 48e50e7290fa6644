// prctl(2), arch_prctl(2), personality(2).
#ifndef SENTRY_SYSCALLS_SYS_PRCTL_H_
#define SENTRY_SYSCALLS_SYS_PRCTL_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysPrctl(Task& task, PrctlOption option, uint64_t arg2, uint64_t arg3, uint64_t arg4,
                         uint64_t arg5);
Result<int64_t> SysArchPrctl(Task& task, int code, uint64_t address);
Result<int64_t> SysPersonality(Task& task, uint32_t persona);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_PRCTL_H_
