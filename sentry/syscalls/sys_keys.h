// Keyrings: add_key(2), request_key(2), keyctl(2). keyrings(7).
#ifndef SENTRY_SYSCALLS_SYS_KEYS_H_
#define SENTRY_SYSCALLS_SYS_KEYS_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysAddKey(Task& task, UserCString type, UserCString description, ConstUserBuffer payload,
                          uint64_t length, int32_t keyring);
Result<int64_t> SysRequestKey(Task& task, UserCString type, UserCString description, UserCString callout,
                              int32_t destination);
Result<int64_t> SysKeyctl(Task& task, int operation, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_KEYS_H_
