#include "sentry/syscalls/sys_seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "sentry/fsimpl/seccomp_file.h"
#include "sentry/kernel/seccomp_state.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace runsc {
namespace {

constexpr uint32_t kKnownFlags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG |
                                 SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_NEW_LISTENER |
                                 SECCOMP_FILTER_FLAG_TSYNC_ESRCH | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

struct UserProgram {  // struct sock_fprog
  uint16_t length;
  uint16_t unused[3];
  uint64_t instructions;
};
static_assert(sizeof(UserProgram) == sizeof(sock_fprog));

Result<SeccompProgram> ReadProgram(Task& task, UserAddr from) {
  ASSIGN_OR_RETURN(UserProgram program, task.memory().Read(UserPtr<const UserProgram>(from)));
  if (program.length == 0 || program.length > BPF_MAXINSNS) return Errno(EINVAL);
  if (!task.HasNoNewPrivs() && !task.creds().HasOwnCapability(CAP_SYS_ADMIN)) return Errno(EACCES);
  std::vector<sock_filter> instructions(program.length);
  RETURN_IF_ERROR(
      task.memory().ReadArray(UserPtr<const sock_filter>(program.instructions), std::span(instructions)));
  return SeccompProgram::Create(std::move(instructions));
}

Result<int64_t> SetFilter(Task& task, uint32_t flags, UserAddr from) {
  const auto has = [flags](uint64_t flag) { return (flags & flag) != 0; };
  if ((flags & ~kKnownFlags) != 0) return Errno(EINVAL);
  const bool listens = has(SECCOMP_FILTER_FLAG_NEW_LISTENER);
  // Both would want the result.
  if (has(SECCOMP_FILTER_FLAG_TSYNC) && listens && !has(SECCOMP_FILTER_FLAG_TSYNC_ESRCH))
    return Errno(EINVAL);
  if (has(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) && !listens) return Errno(EINVAL);
  ASSIGN_OR_RETURN(SeccompProgram program, ReadProgram(task, from));
  SeccompState::InstallOptions options{flags, nullptr};
  if (!listens) {
    ASSIGN_OR_RETURN(pid_t unrelated, task.seccomp().Install(std::move(program), options));
    return unrelated;
  }

  ASSIGN_OR_RETURN(int fd, task.fd_table().Reserve(0, task.Limit(RLIMIT_NOFILE)));
  options.listener = MakeRef<SeccompListener>(has(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
  auto file = MakeRef<SeccompFile>(options.listener);
  Result<pid_t> installed = task.seccomp().Install(std::move(program), options);
  if (!installed.ok()) {
    task.fd_table().Cancel(fd);
    return installed.error();
  }
  task.fd_table().Install(fd, std::move(file), true);
  return fd;
}

Result<int64_t> ActionAvailable(Task& task, UserPtr<const uint32_t> from) {
  ASSIGN_OR_RETURN(uint32_t action, task.memory().Read(from));
  switch (action) {
    case SECCOMP_RET_KILL_PROCESS:
    case SECCOMP_RET_KILL_THREAD:
    case SECCOMP_RET_TRAP:
    case SECCOMP_RET_ERRNO:
    case SECCOMP_RET_USER_NOTIF:
    case SECCOMP_RET_TRACE:
    case SECCOMP_RET_LOG:
    case SECCOMP_RET_ALLOW:
      return 0;
    default:
      return Errno(EOPNOTSUPP);
  }
}

Result<int64_t> NotificationSizes(Task& task, UserPtr<seccomp_notif_sizes> to) {
  seccomp_notif_sizes sizes{sizeof(seccomp_notif), sizeof(seccomp_notif_resp), sizeof(seccomp_data)};
  RETURN_IF_ERROR(task.memory().Write(to, sizes));
  return 0;
}

Result<int64_t> SetStrict(Task& task) {
  RETURN_IF_ERROR(task.seccomp().SetStrict());
  return 0;
}

}  // namespace

Result<int64_t> SysSeccomp(Task& task, uint32_t operation, uint32_t flags, UserAddr arguments) {
  switch (operation) {
    case SECCOMP_SET_MODE_STRICT:
      if (flags != 0 || !arguments.is_null()) return Errno(EINVAL);
      return SetStrict(task);
    case SECCOMP_SET_MODE_FILTER:
      return SetFilter(task, flags, arguments);
    case SECCOMP_GET_ACTION_AVAIL:
      if (flags != 0) return Errno(EINVAL);
      return ActionAvailable(task, UserPtr<const uint32_t>(arguments));
    case SECCOMP_GET_NOTIF_SIZES:
      if (flags != 0) return Errno(EINVAL);
      return NotificationSizes(task, UserPtr<seccomp_notif_sizes>(arguments));
    default:
      return Errno(EINVAL);
  }
}

Result<int64_t> SetSeccompMode(Task& task, uint64_t mode, UserAddr filter) {
  if (mode == SECCOMP_MODE_STRICT) return SetStrict(task);
  if (mode == SECCOMP_MODE_FILTER) return SetFilter(task, 0, filter);
  return Errno(EINVAL);
}

}  // namespace runsc
