// POSIX message queues. mq_overview(7).
#ifndef SENTRY_SYSCALLS_SYS_MQUEUE_H_
#define SENTRY_SYSCALLS_SYS_MQUEUE_H_

#include <mqueue.h>
#include <signal.h>

#include "sentry/syscalls/table.h"

namespace runsc {

// `name` is without the slash that mq_open(3) wants.
Result<int64_t> SysMqOpen(Task& task, UserPath name, OpenFlags flags, FileMode mode,
                          UserPtr<const mq_attr> attributes);
Result<int64_t> SysMqUnlink(Task& task, UserPath name);
Result<int64_t> SysMqTimedsend(Task& task, Fd fd, UserAddr message, uint64_t size, uint32_t priority,
                               UserPtr<const timespec> timeout);
Result<int64_t> SysMqTimedreceive(Task& task, Fd fd, UserAddr message, uint64_t size,
                                  UserPtr<uint32_t> priority, UserPtr<const timespec> timeout);
Result<int64_t> SysMqNotify(Task& task, Fd fd, UserPtr<const sigevent> event);
Result<int64_t> SysMqGetsetattr(Task& task, Fd fd, UserPtr<const mq_attr> new_attributes,
                                UserPtr<mq_attr> old_attributes);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_MQUEUE_H_
