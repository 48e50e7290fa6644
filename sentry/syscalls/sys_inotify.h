// inotify(7).
#ifndef SENTRY_SYSCALLS_SYS_INOTIFY_H_
#define SENTRY_SYSCALLS_SYS_INOTIFY_H_

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysInotifyInit(Task& task);
Result<int64_t> SysInotifyInit1(Task& task, OpenFlags flags);
Result<int64_t> SysInotifyAddWatch(Task& task, Fd fd, UserPath path, uint32_t mask);
Result<int64_t> SysInotifyRmWatch(Task& task, Fd fd, int descriptor);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_INOTIFY_H_
