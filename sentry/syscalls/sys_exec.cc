#include <fcntl.h>
#include <fmt/format.h>

#include "sentry/kernel/executable.h"
#include "sentry/loader/initial_stack.h"
#include "sentry/syscalls/lease_command.h"
#include "sentry/syscalls/sys_process.h"

namespace runsc {
namespace {

// A null-terminated vector of strings. `budget` shrinks by what they take on the new stack.
Result<std::vector<std::string>> ReadVector(Task& task, UserPtr<const uint64_t> vector, uint64_t& budget) {
  std::vector<std::string> strings;
  if (!vector) return strings;
  for (uint64_t i = 0;; ++i) {
    ASSIGN_OR_RETURN(uint64_t address, task.memory().Read(vector.At(i)));
    if (address == 0) return strings;
    ASSIGN_OR_RETURN(std::string string,
                     task.memory().ReadString(UserAddr(address), kMaxArgumentLength, E2BIG));
    uint64_t cost = string.size() + 1 + sizeof(uint64_t);
    if (cost > budget) return Errno(E2BIG);
    budget -= cost;
    strings.push_back(std::move(string));
  }
}

Result<int64_t> Exec(Task& task, int dirfd, UserPath user_path, UserPtr<const uint64_t> argv,
                     UserPtr<const uint64_t> envp, int flags) {
  constexpr int kCheckOnly = 0x10000;  // AT_EXECVE_CHECK of Linux 6.14
  if ((flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | kCheckOnly)) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(std::string path, task.ReadPath(user_path));
  bool by_descriptor = path.empty() && (flags & AT_EMPTY_PATH) != 0;
  if (path.empty() && !by_descriptor) return Errno(ENOENT);
  LoadRequest request;
  request.filename = path;
  VfsPath start;
  if (path.empty() || path.front() != '/') {
    ASSIGN_OR_RETURN(start, task.StartOf(dirfd));
    if (dirfd != AT_FDCWD) {
      request.filename = fmt::format("/dev/fd/{}", dirfd);
      if (!by_descriptor) request.filename += "/" + path;
      ASSIGN_OR_RETURN(request.close_on_exec_file, task.fd_table().GetCloseOnExec(dirfd));
    }
  } else {
    start = task.fs().Get().cwd;
  }
  WalkOptions walk;
  walk.follow_final = (flags & AT_SYMLINK_NOFOLLOW) == 0;
  walk.allow_empty = by_descriptor;
  request.paths = task.path_context();
  {
    LeaseWaitScope leases;
    ASSIGN_OR_RETURN(request.file, OpenExecutable(request.paths, start, path, walk));
  }

  uint64_t budget = ArgumentLimit(task.Limit(RLIMIT_STACK));
  ASSIGN_OR_RETURN(request.argv, ReadVector(task, argv, budget));
  ASSIGN_OR_RETURN(request.envp, ReadVector(task, envp, budget));
  // A program always has an argv[0].
  if (request.argv.empty()) request.argv.emplace_back();
  if ((flags & kCheckOnly) != 0) return 0;
  RETURN_IF_ERROR(task.Execve(std::move(request)));
  return 0;
}

}  // namespace

Result<int64_t> SysExecve(Task& task, UserPath path, UserPtr<const uint64_t> argv,
                          UserPtr<const uint64_t> envp) {
  return Exec(task, AT_FDCWD, path, argv, envp, 0);
}

Result<int64_t> SysExecveat(Task& task, DirFd dirfd, UserPath path, UserPtr<const uint64_t> argv,
                            UserPtr<const uint64_t> envp, AtFlags flags) {
  return Exec(task, dirfd, path, argv, envp, flags);
}

}  // namespace runsc
