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
  if (pgid < 0) return Errno(EINVAL);
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
  if (flags != 0) return Errno(EINVAL);
  switch (command) {
    case MEMBARRIER_CMD_QUERY:
      return MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
      task.thread_group().membarrier_registered.store(true);
      return 0;
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
      if (!task.thread_group().membarrier_registered.load()) return Errno(EPERM);
      RETURN_IF_ERROR(task.MemoryBarrier());
      return 0;
    default:
      return Errno(EINVAL);
  }
}

}  // namespace runsc
