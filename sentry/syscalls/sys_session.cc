#include "sentry/syscalls/sys_session.h"

#include <linux/membarrier.h>

#include "sentry/kernel/ptrace_access.h"

namespace runsc {
namespace {

constexpr uint64_t kRobustListHeadSize = 24;

// Others may ask for it.
std::atomic_ref<UserAddr> RobustListOf(Task& task) { return std::atomic_ref<UserAddr>(task.robust_list); }

Result<RefPtr<ThreadGroup>> FindProcess(Task& task, pid_t pid) {
  if (pid == 0) return RefPtr<ThreadGroup>(&task.thread_group());
  RefPtr<Task> target = task.pid_namespace().FindTask(pid);
  if (!target) return Errno(ESRCH);
  return RefPtr<ThreadGroup>(&target->thread_group());
}

}  // namespace

Result<int64_t> SysGetpid(Task& task) { return task.thread_group().pid(); }

Result<int64_t> SysGettid(Task& task) { return task.tid(); }

Result<int64_t> SysGetppid(Task& task) {
  RefPtr<ThreadGroup> parent = task.thread_group().parent();
  return parent ? task.pid_namespace().IdOf(*parent) : 0;
}

Result<int64_t> SysSetpgid(Task& task, pid_t pid, pid_t pgid) {
  // Negative numbers are of no process; a negative group is wrong by itself, also as the default.
  if (pgid < 0 || (pgid == 0 && pid < 0)) return Errno(EINVAL);
  if (pid < 0) return Errno(ESRCH);
  RETURN_IF_ERROR(task.thread_group().SetProcessGroup(pid, pgid));
  return 0;
}

Result<int64_t> SysGetpgid(Task& task, pid_t pid) {
  ASSIGN_OR_RETURN(RefPtr<ThreadGroup> process, FindProcess(task, pid));
  RefPtr<ProcessGroup> group = process->process_group();
  if (!group) return Errno(ESRCH);
  return task.pid_namespace().IdOf(*group);
}

Result<int64_t> SysGetpgrp(Task& task) { return SysGetpgid(task, 0); }

Result<int64_t> SysSetsid(Task& task) {
  ASSIGN_OR_RETURN(pid_t id, task.thread_group().CreateSession());
  return id;
}

Result<int64_t> SysGetsid(Task& task, pid_t pid) {
  ASSIGN_OR_RETURN(RefPtr<ThreadGroup> process, FindProcess(task, pid));
  RefPtr<Session> session = process->session();
  if (!session) return Errno(ESRCH);
  return task.pid_namespace().IdOf(*session);
}

Result<int64_t> SysSetTidAddress(Task& task, UserPtr<int32_t> address) {
  task.clear_child_tid = address;
  return task.tid();
}

Result<int64_t> SysSetRobustList(Task& task, UserAddr head, uint64_t size) {
  if (size != kRobustListHeadSize) return Errno(EINVAL);
  RobustListOf(task).store(head);
  return 0;
}

Result<int64_t> SysGetRobustList(Task& task, pid_t pid, UserPtr<uint64_t> head, UserPtr<uint64_t> size) {
  RefPtr<Task> target = pid == 0 ? RefPtr<Task>(&task) : task.pid_namespace().FindTask(pid);
  if (!target) return Errno(ESRCH);
  RETURN_IF_ERROR(CheckPtraceAccess(task, *target));
  RETURN_IF_ERROR(task.memory().Write(size, kRobustListHeadSize));
  RETURN_IF_ERROR(task.memory().Write(head, RobustListOf(*target).load().value()));
  return 0;
}

Result<int64_t> SysMembarrier(Task& task, int command, uint32_t flags, int) {
  constexpr int kGetRegistrations = 512;  // MEMBARRIER_CMD_GET_REGISTRATIONS of Linux 6.3
  constexpr int kRegistrations = MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED |
                                 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
                                 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE;
  if (flags != 0) return Errno(EINVAL);
  std::atomic<uint32_t>& registered = task.thread_group().membarrier_registered;
  auto barrier = [&](Task::BarrierScope scope, int needs) -> Result<int64_t> {
    if ((registered.load() & needs) != static_cast<uint32_t>(needs)) return Errno(EPERM);
    RETURN_IF_ERROR(task.MemoryBarrier(scope));
    return 0;
  };
  switch (command) {
    case MEMBARRIER_CMD_QUERY:
      return MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
             MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE | kRegistrations | kGetRegistrations;
    case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
      registered.fetch_or(command);
      return 0;
    case MEMBARRIER_CMD_GLOBAL:
      return barrier(Task::BarrierScope::kAll, 0);
    case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
      return barrier(Task::BarrierScope::kRegistered, 0);
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
      return barrier(Task::BarrierScope::kMemory, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE:
      // Who comes back into guest code has made a core-serialising instruction on the way.
      return barrier(Task::BarrierScope::kMemory, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE);
    case kGetRegistrations:
      return static_cast<int64_t>(registered.load());
    default:
      return Errno(EINVAL);
  }
}

}  // namespace runsc
