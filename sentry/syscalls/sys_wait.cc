#include <sys/wait.h>

#include <climits>
#include <cstring>

#include "sentry/fsimpl/pidfd.h"
#include "sentry/kernel/wait_request.h"
#include "sentry/syscalls/resource_usage.h"
#include "sentry/syscalls/sys_process.h"

namespace runsc {
namespace {

constexpr int kWaitFlags = __WNOTHREAD | static_cast<int>(__WCLONE) | __WALL;

int ExitStatus(int status) { return (status & 0xff) << 8; }

Result<void> WriteUsage(Task& task, UserPtr<struct rusage> to, const CpuUsage& usage) {
  if (!to) return Ok();
  return task.memory().Write(to, ResourceUsageOf(usage, usage.peak_resident));
}

}  // namespace

Result<int64_t> SysExit(Task& task, int status) {
  task.PrepareExit(ExitStatus(status));
  return 0;
}

Result<int64_t> SysExitGroup(Task& task, int status) {
  task.PrepareGroupExit(ExitStatus(status));
  return 0;
}

Result<int64_t> SysWait4(Task& task, pid_t pid, UserPtr<int32_t> status, WaitOptions options,
                         UserPtr<struct rusage> usage) {
  if ((options & ~(WNOHANG | WUNTRACED | WCONTINUED | kWaitFlags)) != 0) return Errno(EINVAL);
  if (pid == INT_MIN) return Errno(ESRCH);
  WaitRequest request;
  request.options = options | WEXITED;
  if (pid > 0) {
    request.which = WaitRequest::Which::kProcess;
    request.id = pid;
  } else if (pid != -1) {
    request.which = WaitRequest::Which::kProcessGroup;
    request.id = -pid;
  }
  ASSIGN_OR_RETURN(WaitedChild child, task.Wait(request));
  if (child.pid == 0) return 0;
  if (status) RETURN_IF_ERROR(task.memory().Write(status, int32_t{child.status}));
  RETURN_IF_ERROR(WriteUsage(task, usage, child.usage));
  return child.pid;
}

namespace {

Result<WaitedChild> WaitForId(Task& task, int which, pid_t id, WaitOptions options) {
  constexpr int kWhat = WEXITED | WSTOPPED | WCONTINUED;
  if ((options & ~(WNOHANG | WNOWAIT | kWhat | kWaitFlags)) != 0) return Errno(EINVAL);
  if ((options & kWhat) == 0) return Errno(EINVAL);
  WaitRequest request;
  request.options = options;
  request.id = id;
  bool poll_only = false;
  switch (which) {
    case P_ALL:
      break;
    case P_PID:
      if (id <= 0) return Errno(EINVAL);
      request.which = WaitRequest::Which::kProcess;
      break;
    case P_PGID:
      if (id < 0) return Errno(EINVAL);
      request.which = WaitRequest::Which::kProcessGroup;
      break;
    case P_PIDFD: {
      if (id < 0) return Errno(EINVAL);
      ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(id));
      ASSIGN_OR_RETURN(request.process, ProcessOfPidfd(*file));
      request.which = WaitRequest::Which::kProcess;
      poll_only = file->non_blocking() && (options & WNOHANG) == 0;
      if (poll_only) request.options |= WNOHANG;
      break;
    }
    default:
      return Errno(EINVAL);
  }
  ASSIGN_OR_RETURN(WaitedChild child, task.Wait(request));
  if (child.pid == 0 && poll_only) return Errno(EAGAIN);
  return child;
}

}  // namespace

Result<int64_t> SysWaitid(Task& task, int which, pid_t id, UserPtr<siginfo_t> info, WaitOptions options,
                          UserPtr<struct rusage> usage) {
  Result<WaitedChild> waited = WaitForId(task, which, id, options);
  const WaitedChild child = waited.ok() ? *waited : WaitedChild{};
  if (!waited.ok() && waited.error().IsRestart()) return waited.error();
  // Also when the call has failed: where `info` cannot be written, EFAULT is what is said.
  if (info) {
    siginfo_t result;
    memset(&result, 0, sizeof(result));
    if (child.pid != 0) {
      result.si_signo = SIGCHLD;
      result.si_code = child.code;
      result.si_pid = child.pid;
      result.si_uid = task.creds().user_ns->VisibleUid(child.uid);
      result.si_status = child.code == CLD_KILLED      ? child.status & 0x7f
                         : child.code == CLD_CONTINUED ? SIGCONT
                         : child.code == CLD_TRAPPED   ? child.status >> 8
                                                       : child.status >> 8 & 0xff;
    }
    // Only these fields are written, as Linux does.
    RETURN_IF_ERROR(task.memory().WriteArray(
        UserPtr<std::byte>(info.addr()),
        std::as_bytes(std::span(&result, 1)).first(offsetof(siginfo_t, si_status) + sizeof(int))));
  }
  if (!waited.ok()) return waited.error();
  if (child.pid != 0) RETURN_IF_ERROR(WriteUsage(task, usage, child.usage));
  return 0;
}

}  // namespace runsc
