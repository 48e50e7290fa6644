// System V semaphores.
#include <algorithm>

#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/sys_ipc.h"
#include "sentry/syscalls/time_argument.h"

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

namespace runsc {
namespace {

Result<int64_t> Operate(Task& task, int id, UserPtr<const sembuf> user_operations, uint32_t count,
                        Deadline deadline) {
  RefPtr<IpcNamespace> ipc = task.ipc();
  SemaphoreSets& sets = ipc->semaphores();
  if (count > static_cast<uint32_t>(sets.limits.operations.load())) return Errno(E2BIG);
  if (count < 1 || id < 0) return Errno(EINVAL);
  std::vector<sembuf> operations(count);
  RETURN_IF_ERROR(task.memory().ReadArray(user_operations, std::span(operations)));
  const bool undoes = std::any_of(operations.begin(), operations.end(),
                                  [](const sembuf& one) { return (one.sem_flg & SEM_UNDO) != 0; });
  TaskWaiter waiter(task);
  const IpcCaller caller = IpcCallerOf(task);
  SemaphoreOperation operation(waiter, std::move(operations), undoes ? &task.semaphore_undo() : nullptr,
                               caller.pid);
  ASSIGN_OR_RETURN(bool done, sets.Operate(id, caller, operation));
  if (done) return 0;
  Result<void> slept;
  while (slept.ok() && !operation.done()) slept = task.Block(deadline);
  Result<void> finished = sets.Finish(operation);
  if (finished.is(EAGAIN) && slept.is(ERESTARTSYS)) return Errno(EINTR);  // never restarted: signal(7)
  RETURN_IF_ERROR(finished);
  return 0;
}

Result<int64_t> WriteStatus(Task& task, int command, IpcStatus<semid_ds> status, uint64_t to) {
  status.description.sem_perm = VisibleIpcPerm(status.description.sem_perm, *task.creds().user_ns);
  RETURN_IF_ERROR(task.memory().Write(UserPtr<semid_ds>(to), status.description));
  return command == IPC_STAT ? 0 : status.id;
}

Result<int64_t> SetAll(Task& task, SemaphoreSets& sets, int id, const IpcCaller& caller, uint64_t from) {
  ASSIGN_OR_RETURN(size_t count, sets.CountToSet(id, caller));
  std::vector<uint16_t> values(count);
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const uint16_t>(from), std::span(values)));
  RETURN_IF_ERROR(sets.SetAll(id, values, caller));
  return 0;
}

}  // namespace

Result<int64_t> SysSemget(Task& task, int key, int count, int flags) {
  ASSIGN_OR_RETURN(int id, task.ipc()->semaphores().Get(key, count, flags, IpcCallerOf(task)));
  return id;
}

Result<int64_t> SysSemop(Task& task, int id, UserPtr<const sembuf> operations, uint32_t count) {
  return Operate(task, id, operations, count, Deadline::Never());
}

Result<int64_t> SysSemtimedop(Task& task, int id, UserPtr<const sembuf> operations, uint32_t count,
                              UserPtr<const timespec> timeout) {
  ASSIGN_OR_RETURN(std::optional<int64_t> time, ReadTimespec(task, timeout));
  return Operate(task, id, operations, count, AfterOrNever(time));
}

Result<int64_t> SysSemctl(Task& task, int id, int number, int command, uint64_t argument) {
  if (id < 0) return Errno(EINVAL);
  RefPtr<IpcNamespace> ipc = task.ipc();
  SemaphoreSets& sets = ipc->semaphores();
  const IpcCaller caller = IpcCallerOf(task);
  MemoryManager& memory = task.memory();
  switch (command) {
    case IPC_INFO:
    case SEM_INFO: {
      auto [info, highest] = sets.Info(command == SEM_INFO);
      RETURN_IF_ERROR(memory.Write(UserPtr<seminfo>(argument), info));
      return highest;
    }
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY: {
      ASSIGN_OR_RETURN(auto status, sets.Stat(id, IpcLookupOf(command, SEM_STAT, SEM_STAT_ANY), caller));
      return WriteStatus(task, command, status, argument);
    }
    case GETVAL:
    case GETNCNT:
    case GETZCNT: {
      ASSIGN_OR_RETURN(int value, sets.GetValue(id, number, command, caller));
      return value;
    }
    case GETPID: {
      ASSIGN_OR_RETURN(int pid, sets.GetValue(id, number, command, caller));
      return task.pid_namespace().FromRoot(pid);
    }
    case GETALL: {
      ASSIGN_OR_RETURN(std::vector<uint16_t> values, sets.GetAll(id, caller));
      RETURN_IF_ERROR(memory.WriteArray(UserPtr<uint16_t>(argument), std::span<const uint16_t>(values)));
      return 0;
    }
    case SETALL:
      return SetAll(task, sets, id, caller, argument);
    case SETVAL:
      RETURN_IF_ERROR(sets.SetValue(id, number, static_cast<int>(argument), caller));
      return 0;
    case IPC_SET: {
      ASSIGN_OR_RETURN(semid_ds wanted, memory.Read(UserPtr<const semid_ds>(argument)));
      RETURN_IF_ERROR(sets.Set(id, wanted.sem_perm, caller));
      return 0;
    }
    case IPC_RMID:
      RETURN_IF_ERROR(sets.Remove(id, caller));
      return 0;
    default:
      return Errno(EINVAL);
  }
}

}  // namespace runsc
