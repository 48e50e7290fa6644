// futex(2) and the registration of robust lists.
#ifndef SENTRY_SYSCALLS_SYS_FUTEX_H_
#define SENTRY_SYSCALLS_SYS_FUTEX_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysFutex(Task& task, UserPtr<uint32_t> word, FutexOperation operation, uint32_t value,
                         uint64_t timeout, UserPtr<uint32_t> word2, uint32_t value3);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_FUTEX_H_
