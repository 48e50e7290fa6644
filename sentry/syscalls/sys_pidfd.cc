#include "sentry/syscalls/sys_pidfd.h"

#include "sentry/fsimpl/pidfd.h"
#include "sentry/fsimpl/proc.h"
#include "sentry/kernel/ptrace_access.h"
#include "sentry/syscalls/signal_permission.h"

namespace runsc {

Result<int64_t> SysPidfdOpen(Task& task, pid_t pid, uint32_t flags) {
  if ((flags & ~uint32_t{O_NONBLOCK}) != 0 || pid <= 0) return Errno(EINVAL);
  RefPtr<Task> found = task.pid_namespace().FindTask(pid);
  if (!found) return Errno(ESRCH);
  RefPtr<ThreadGroup> process(&found->thread_group());
  if (process->leader() != found) return Errno(EINVAL);
  ASSIGN_OR_RETURN(int fd, task.AddFile(MakePidfd(std::move(process), static_cast<int>(flags)), true));
  return fd;
}

Result<int64_t> SysPidfdSendSignal(Task& task, Fd fd, SignalNumber signal, UserPtr<const siginfo_t> user_info,
                                   uint32_t flags) {
  // PIDFD_SIGNAL_THREAD, _THREAD_GROUP and _PROCESS_GROUP of Linux 6.9: at most one of them.
  constexpr uint32_t kThread = 1, kThreadGroup = 2, kProcessGroup = 4;
  if (flags != 0 && flags != kThread && flags != kThreadGroup && flags != kProcessGroup) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  Result<RefPtr<ThreadGroup>> found = ProcessOfPidfd(*file);
  if (!found.ok()) found = ProcessOfProcDirectory(*file);
  RETURN_IF_ERROR(found);
  RefPtr<ThreadGroup> process = std::move(found).value();
  PidNamespace& own = task.pid_namespace();
  if (own.IdOf(*process) == 0) return Errno(EINVAL);  // not in this or a descendant namespace
  siginfo_t info = SenderInfo(task, *process, signal, SI_USER);
  if (user_info) {
    ASSIGN_OR_RETURN(info, task.memory().Read(user_info));
    if (info.si_signo != signal) return Errno(EINVAL);
    if (process != &task.thread_group() && (info.si_code >= 0 || info.si_code == SI_TKILL))
      return Errno(EPERM);
  }
  if (flags == kProcessGroup) {
    RefPtr<ProcessGroup> group = process->process_group();
    if (!group) return Errno(ESRCH);
    Result<void> sent = Errno(ESRCH);
    bool any = false;
    for (const RefPtr<ThreadGroup>& member : group->Members()) {
      sent = CheckSignalPermission(task, *member, signal);
      if (sent.ok() && signal != 0) sent = SendSignalFrom(task, *member, info);
      any |= sent.ok();
    }
    if (!any) return sent.error();
    return 0;
  }
  RETURN_IF_ERROR(CheckSignalPermission(task, *process, signal));
  if (process->IsZombie()) return Errno(ESRCH);
  if (signal == 0) return 0;
  RefPtr<Task> thread = flags == kThread ? process->leader() : nullptr;
  RETURN_IF_ERROR(thread ? thread->SendSignal(info) : SendSignalFrom(task, *process, info));
  return 0;
}

Result<int64_t> SysPidfdGetfd(Task& task, Fd fd, int target, uint32_t flags) {
  if (flags != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  ASSIGN_OR_RETURN(RefPtr<ThreadGroup> process, ProcessOfPidfd(*file));
  RefPtr<Task> leader = process->leader();
  RefPtr<FDTable> table = leader ? leader->GetFDTable() : nullptr;
  if (!table) return Errno(ESRCH);
  RETURN_IF_ERROR(CheckPtraceAccess(task, *leader));
  ASSIGN_OR_RETURN(RefPtr<FileDescription> wanted, table->Get(target));
  ASSIGN_OR_RETURN(int result, task.AddFile(std::move(wanted), true));
  return result;
}

}  // namespace runsc
