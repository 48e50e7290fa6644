#include <sched.h>
#include <sys/wait.h>

#include <cstring>

#include "sentry/fsimpl/pidfd.h"
#include "sentry/ipc/ipc_namespace.h"
#include "sentry/kernel/namespace_handle.h"
#include "sentry/kernel/ptrace_access.h"
#include "sentry/syscalls/sys_process.h"

namespace runsc {
namespace {

constexpr uint64_t kCloneClearSighand = 0x100000000;
constexpr uint64_t kCloneIntoCgroup = 0x200000000;
constexpr uint64_t kSignalMask = 0xff;  // CSIGNAL

Result<void> CheckCgroupDirectory(Task& task, int fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFileOrPath(fd));
  const bool is_cgroup = file->inode()->IsDirectory() && file->inode()->filesystem().type_name() == "cgroup2";
  return is_cgroup ? Ok() : Result<void>(Errno(EBADF));
}

Result<int64_t> CloneTask(Task& task, const CloneOptions& options) {
  ASSIGN_OR_RETURN(pid_t pid, task.Clone(options));
  return pid;
}

}  // namespace

Result<int64_t> SysClone(Task& task, CloneFlags flags, UserAddr stack, UserPtr<int32_t> parent_tid,
                         UserPtr<int32_t> child_tid, uint64_t tls) {
  constexpr uint64_t kLegacyFlags = 0xffffffff;
  CloneOptions options;
  options.flags = flags & kLegacyFlags & ~kSignalMask;
  options.exit_signal = static_cast<int>(flags & kSignalMask);
  options.stack = stack.value();
  options.tls = tls;
  options.parent_tid = parent_tid;
  options.child_tid = child_tid;
  // clone(2) returns the descriptor where the parent's id would go.
  options.pidfd = parent_tid;
  constexpr uint64_t kBoth = CLONE_PIDFD | CLONE_PARENT_SETTID;
  if ((options.flags & kBoth) == kBoth) return Errno(EINVAL);
  return CloneTask(task, options);
}

Result<int64_t> SysClone3(Task& task, UserPtr<const CloneArguments> arguments, uint64_t size) {
  constexpr uint64_t kFirstSize = 64;
  if (size > kPageSize) return Errno(E2BIG);
  if (size < kFirstSize) return Errno(EINVAL);
  CloneArguments a{};
  size_t known = std::min<size_t>(size, sizeof(a));
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const std::byte>(arguments.addr()),
                                          std::as_writable_bytes(std::span(&a, 1)).first(known)));
  if (size > known) {
    std::vector<std::byte> rest(size - known);
    RETURN_IF_ERROR(
        task.memory().ReadArray(UserPtr<const std::byte>(arguments.addr() + known), std::span(rest)));
    for (std::byte b : rest) {
      if (b != std::byte{0}) return Errno(E2BIG);
    }
  }
  // The order of copy_clone_args_from_user() and clone3_args_valid().
  constexpr uint64_t kMaxPidLevels = 32, kCgroupSize = 88;
  if (a.set_tid_size > kMaxPidLevels || (a.set_tid == 0) != (a.set_tid_size == 0)) return Errno(EINVAL);
  if (a.exit_signal > kSignalMax) return Errno(EINVAL);
  if ((a.flags & kCloneIntoCgroup) != 0 && (a.cgroup > INT_MAX || size < kCgroupSize)) return Errno(EINVAL);
  CloneOptions options;
  options.set_tid.resize(a.set_tid_size);
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const pid_t>(a.set_tid), std::span(options.set_tid)));
  constexpr uint64_t kUnknown = ~(uint64_t{0xffffffff} | kCloneClearSighand | kCloneIntoCgroup);
  constexpr uint64_t kDetached = CLONE_DETACHED;
  if ((a.flags & (kUnknown | kDetached | (kSignalMask & ~uint64_t{0x80}))) != 0) return Errno(EINVAL);
  if ((a.flags & (CLONE_THREAD | CLONE_PARENT)) != 0 && a.exit_signal != 0) return Errno(EINVAL);
  if ((a.stack == 0) != (a.stack_size == 0)) return Errno(EINVAL);
  uint64_t stack_top = 0;
  constexpr uint64_t kUserEnd = (uint64_t{1} << 47) - kPageSize;  // Linux: TASK_SIZE_MAX
  if (__builtin_add_overflow(a.stack, a.stack_size, &stack_top) || stack_top > kUserEnd) return Errno(EINVAL);
  // A descriptor of a cgroup would be a directory of /sys/fs/cgroup; one can be in its only cgroup already.
  if ((a.flags & kCloneIntoCgroup) != 0)
    RETURN_IF_ERROR(CheckCgroupDirectory(task, static_cast<int>(a.cgroup)));
  if ((a.flags & CLONE_SETTLS) != 0 && a.tls >= kUserEnd) return Errno(EPERM);
  options.flags = a.flags & ~kCloneIntoCgroup;
  options.exit_signal = static_cast<int>(a.exit_signal);
  options.stack = stack_top;
  options.tls = a.tls;
  options.parent_tid = UserPtr<int32_t>(a.parent_tid);
  options.child_tid = UserPtr<int32_t>(a.child_tid);
  options.pidfd = UserPtr<int32_t>(a.pidfd);
  return CloneTask(task, options);
}

Result<int64_t> SysFork(Task& task) {
  CloneOptions options;
  options.exit_signal = SIGCHLD;
  return CloneTask(task, options);
}

Result<int64_t> SysVfork(Task& task) {
  CloneOptions options;
  options.flags = CLONE_VFORK | CLONE_VM;
  options.exit_signal = SIGCHLD;
  return CloneTask(task, options);
}

Result<int64_t> SysUnshare(Task& task, CloneFlags flags) {
  RETURN_IF_ERROR(task.Unshare(flags));
  return 0;
}

namespace {

// setns(2) with a pidfd: namespaces of the process, all of them or none. Linux: validate_nsset().
Result<int64_t> EnterNamespacesOf(Task& task, ThreadGroup& process, uint64_t types) {
  constexpr uint64_t kKnown = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                              CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWTIME;
  if (types == 0 || (types & ~kKnown) != 0) return Errno(EINVAL);
  RefPtr<Task> target = process.leader();
  if (!target) return Errno(ESRCH);
  RETURN_IF_ERROR(CheckPtraceAccess(task, *target));
  RefPtr<const Credentials> creds = target->GetCreds();
  RefPtr<FsContext> fs = target->GetFs();
  if (!creds || !fs || !target->ipc()) return Errno(ESRCH);  // it has ended
  // The user namespace first, whose capabilities the others need.
  const NamespaceHandle all[] = {
      {CLONE_NEWUSER, creds->user_ns},
      {CLONE_NEWNS, fs->Get().mounts},
      {CLONE_NEWUTS, target->uts()},
      {CLONE_NEWIPC, target->ipc()},
      {CLONE_NEWPID, RefPtr<PidNamespace>(&process.pid_namespace())},
      {CLONE_NEWCGROUP, target->cgroup_namespace()},
      {CLONE_NEWNET, nullptr},  // there is one
      {CLONE_NEWTIME, target->GetTimeNamespace()},
  };
  std::vector<NamespaceHandle> wanted;
  for (const NamespaceHandle& handle : all) {
    if ((types & static_cast<uint64_t>(handle.type)) != 0) wanted.push_back(handle);
  }
  RETURN_IF_ERROR(task.EnterNamespaces(wanted));
  return 0;
}

}  // namespace

Result<int64_t> SysSetns(Task& task, Fd fd, CloneFlags type) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (Result<RefPtr<ThreadGroup>> process = ProcessOfPidfd(*file); process.ok())
    return EnterNamespacesOf(task, **process, type);
  auto* space = dynamic_cast<NamespaceFile*>(file.get());
  if (space == nullptr || (type != 0 && type != static_cast<uint64_t>(space->handle().type)))
    return Errno(EINVAL);
  RETURN_IF_ERROR(task.EnterNamespaces(std::span(&space->handle(), 1)));
  return 0;
}

}  // namespace runsc
