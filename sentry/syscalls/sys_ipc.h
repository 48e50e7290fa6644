// System V IPC: semaphores, shared memory and message queues. sysvipc(7).
#ifndef SENTRY_SYSCALLS_SYS_IPC_H_
#define SENTRY_SYSCALLS_SYS_IPC_H_

#include <sys/sem.h>

#include "sentry/ipc/ipc_namespace.h"
#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysSemget(Task& task, int key, int count, int flags);
Result<int64_t> SysSemop(Task& task, int id, UserPtr<const sembuf> operations, uint32_t count);
Result<int64_t> SysSemtimedop(Task& task, int id, UserPtr<const sembuf> operations, uint32_t count,
                              UserPtr<const timespec> timeout);
Result<int64_t> SysSemctl(Task& task, int id, int number, int command, uint64_t argument);

Result<int64_t> SysShmget(Task& task, int key, uint64_t size, int flags);
Result<int64_t> SysShmat(Task& task, int id, UserAddr addr, int flags);
Result<int64_t> SysShmdt(Task& task, UserAddr addr);
Result<int64_t> SysShmctl(Task& task, int id, int command, UserAddr argument);

Result<int64_t> SysMsgget(Task& task, int key, int flags);
Result<int64_t> SysMsgsnd(Task& task, int id, UserAddr message, uint64_t size, int flags);
Result<int64_t> SysMsgrcv(Task& task, int id, UserAddr message, uint64_t size, int64_t type, int flags);
Result<int64_t> SysMsgctl(Task& task, int id, int command, UserAddr argument);

inline IpcCaller IpcCallerOf(Task& task) {
  return {task.creds(), task.thread_group().root_pid(), *task.ipc()->user_ns()};
}
// How *_STAT commands name an object; `stat`, `stat_any`: the kind's commands.
inline IpcLookup IpcLookupOf(int command, int stat, int stat_any) {
  return command == stat       ? IpcLookup::kIndex
         : command == stat_any ? IpcLookup::kIndexUnchecked
                               : IpcLookup::kId;
}

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_IPC_H_
