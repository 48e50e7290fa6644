// Identities of processes and threads: getpid(2), setsid(2), set_tid_address(2) and others.
#ifndef SENTRY_SYSCALLS_SYS_SESSION_H_
#define SENTRY_SYSCALLS_SYS_SESSION_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysGetpid(Task& task);
Result<int64_t> SysGetppid(Task& task);
Result<int64_t> SysGettid(Task& task);
Result<int64_t> SysSetpgid(Task& task, pid_t pid, pid_t pgid);
Result<int64_t> SysGetpgid(Task& task, pid_t pid);
Result<int64_t> SysGetpgrp(Task& task);
Result<int64_t> SysSetsid(Task& task);
Result<int64_t> SysGetsid(Task& task, pid_t pid);

Result<int64_t> SysSetTidAddress(Task& task, UserPtr<int32_t> address);
Result<int64_t> SysSetRobustList(Task& task, UserAddr head, uint64_t size);
Result<int64_t> SysGetRobustList(Task& task, pid_t pid, UserPtr<uint64_t> head, UserPtr<uint64_t> size);
Result<int64_t> SysMembarrier(Task& task, int command, uint32_t flags, int cpu);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_SESSION_H_
