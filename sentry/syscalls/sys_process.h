// System calls on the life of processes: clone(2), execve(2), exit(2), wait4(2) and their families.
#ifndef SENTRY_SYSCALLS_SYS_PROCESS_H_
#define SENTRY_SYSCALLS_SYS_PROCESS_H_

#include <sys/resource.h>

#include "sentry/syscalls/table.h"

namespace runsc {

struct CloneArguments {  // struct clone_args of clone3(2)
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  uint64_t set_tid, set_tid_size, cgroup;
};

Result<int64_t> SysClone(Task& task, CloneFlags flags, UserAddr stack, UserPtr<int32_t> parent_tid,
                         UserPtr<int32_t> child_tid, uint64_t tls);
Result<int64_t> SysClone3(Task& task, UserPtr<const CloneArguments> arguments, uint64_t size);
Result<int64_t> SysFork(Task& task);
Result<int64_t> SysVfork(Task& task);
Result<int64_t> SysUnshare(Task& task, CloneFlags flags);
Result<int64_t> SysSetns(Task& task, Fd fd, CloneFlags type);

Result<int64_t> SysExecve(Task& task, UserPath path, UserPtr<const uint64_t> argv,
                          UserPtr<const uint64_t> envp);
Result<int64_t> SysExecveat(Task& task, DirFd dirfd, UserPath path, UserPtr<const uint64_t> argv,
                            UserPtr<const uint64_t> envp, AtFlags flags);

Result<int64_t> SysExit(Task& task, int status);
Result<int64_t> SysExitGroup(Task& task, int status);
Result<int64_t> SysWait4(Task& task, pid_t pid, UserPtr<int32_t> status, WaitOptions options,
                         UserPtr<struct rusage> usage);
Result<int64_t> SysWaitid(Task& task, int which, pid_t id, UserPtr<siginfo_t> info, WaitOptions options,
                          UserPtr<struct rusage> usage);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_PROCESS_H_
