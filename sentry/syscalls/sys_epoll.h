// epoll(7).
#ifndef SENTRY_SYSCALLS_SYS_EPOLL_H_
#define SENTRY_SYSCALLS_SYS_EPOLL_H_

#include <sys/epoll.h>

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysEpollCreate(Task& task, int size);
Result<int64_t> SysEpollCreate1(Task& task, int flags);
Result<int64_t> SysEpollCtl(Task& task, Fd epoll, EpollOperation operation, Fd fd,
                            UserPtr<const epoll_event> event);
Result<int64_t> SysEpollWait(Task& task, Fd epoll, UserPtr<epoll_event> events, int max, int timeout_ms);
Result<int64_t> SysEpollPwait(Task& task, Fd epoll, UserPtr<epoll_event> events, int max, int timeout_ms,
                              UserPtr<const uint64_t> mask, uint64_t mask_size);
Result<int64_t> SysEpollPwait2(Task& task, Fd epoll, UserPtr<epoll_event> events, int max,
                               UserPtr<const timespec> timeout, UserPtr<const uint64_t> mask,
                               uint64_t mask_size);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_EPOLL_H_
