// poll(2), select(2) and their relatives.
#ifndef SENTRY_SYSCALLS_SYS_POLL_H_
#define SENTRY_SYSCALLS_SYS_POLL_H_

#include <poll.h>
#include <sys/time.h>

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysPoll(Task& task, UserPtr<pollfd> fds, uint32_t count, int timeout_ms);
Result<int64_t> SysPpoll(Task& task, UserPtr<pollfd> fds, uint32_t count, UserPtr<timespec> timeout,
                         UserPtr<const uint64_t> mask, uint64_t mask_size);
Result<int64_t> SysSelect(Task& task, int count, UserPtr<uint64_t> read, UserPtr<uint64_t> write,
                          UserPtr<uint64_t> except, UserPtr<timeval> timeout);
Result<int64_t> SysPselect6(Task& task, int count, UserPtr<uint64_t> read, UserPtr<uint64_t> write,
                            UserPtr<uint64_t> except, UserPtr<timespec> timeout,
                            UserPtr<const uint64_t> mask);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_POLL_H_
