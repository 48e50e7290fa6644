// Making of pipes and of files that stand for events: pipe(2), eventfd(2), signalfd(2), timerfd_create(2).
#ifndef SENTRY_SYSCALLS_SYS_EVENT_FILES_H_
#define SENTRY_SYSCALLS_SYS_EVENT_FILES_H_

#include <time.h>

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysPipe(Task& task, UserPtr<int32_t> fds);
Result<int64_t> SysPipe2(Task& task, UserPtr<int32_t> fds, OpenFlags flags);
Result<int64_t> SysEventfd(Task& task, uint32_t initial);
Result<int64_t> SysEventfd2(Task& task, uint32_t initial, int flags);
Result<int64_t> SysSignalfd(Task& task, Fd fd, UserPtr<const uint64_t> mask, uint64_t size);
Result<int64_t> SysSignalfd4(Task& task, Fd fd, UserPtr<const uint64_t> mask, uint64_t size, int flags);
Result<int64_t> SysTimerfdCreate(Task& task, ClockId clock, int flags);
Result<int64_t> SysTimerfdSettime(Task& task, Fd fd, int flags, UserPtr<const itimerspec> from,
                                  UserPtr<itimerspec> old);
Result<int64_t> SysTimerfdGettime(Task& task, Fd fd, UserPtr<itimerspec> to);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_EVENT_FILES_H_
