#include "platform/host/clone_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace runsc {
namespace {

Result<void> WriteFile(const std::string& path, std::string_view text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return HostErrno();
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return HostErrno();
  return Ok();
}

Result<std::string> ReadFile(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return HostErrno();
  std::string text(4096, '\0');
  ssize_t n = ::read(fd.get(), text.data(), text.size());
  if (n < 0) return HostErrno();
  text.resize(static_cast<size_t>(n));
  return text;
}

// "inside outside count" lines of this namespace's map as "inside inside count".
Result<std::string> IdentityOf(const char* map) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(map));
  std::string identity;
  unsigned inside = 0, outside = 0, count = 0;
  int used = 0;
  for (const char* at = text.c_str(); std::sscanf(at, "%u %u %u%n", &inside, &outside, &count, &used) == 3;
       at += used) {
    identity += fmt::format("{} {} {}\n", inside, inside, count);
  }
  return identity;
}

std::string Lines(std::span<const IdMapping> mappings) {
  std::string lines;
  for (const IdMapping& mapping : mappings)
    lines += fmt::format("{} {} {}\n", mapping.inside, mapping.outside, mapping.count);
  return lines;
}

}  // namespace

Result<pid_t> CloneProcess(uint64_t namespace_flags) {
  // The C library caches the thread's id; the kernel corrects it in the child, as for fork(3).
  int* cached_tid = nullptr;
  if (::prctl(PR_GET_TID_ADDRESS, &cached_tid, 0, 0, 0) != 0) cached_tid = nullptr;
  clone_args args{};
  args.flags = namespace_flags;
  args.exit_signal = SIGCHLD;
  if (cached_tid != nullptr) {
    args.flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    args.child_tid = reinterpret_cast<uint64_t>(cached_tid);
  }
  long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0) return HostErrno();
  return static_cast<pid_t>(pid);
}

Result<void> WriteIdMappings(pid_t child, IdMapping user, IdMapping group) {
  return WriteIdMappings(child, std::span(&user, 1), std::span(&group, 1));
}

Result<void> WriteIdMappings(pid_t child, std::span<const IdMapping> users,
                             std::span<const IdMapping> groups) {
  std::string folder = fmt::format("/proc/{}/", child);
  if (::geteuid() != 0) {
    // The kernel demands it of who has no CAP_SETGID here.
    RETURN_IF_ERROR(WriteFile(folder + "setgroups", "deny"));
  }
  RETURN_IF_ERROR(WriteFile(folder + "gid_map", Lines(groups)));
  return WriteFile(folder + "uid_map", Lines(users));
}

Result<UniqueFd> MakeUserNamespace(std::span<const IdMapping> users, std::span<const IdMapping> groups) {
  ASSIGN_OR_RETURN(pid_t holder, CloneProcess(CLONE_NEWUSER));
  if (holder == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    while (true) ::pause();
  }
  UniqueFd made;
  Result<void> mapped = WriteIdMappings(holder, users, groups);
  if (mapped.ok()) {
    made.reset(::open(fmt::format("/proc/{}/ns/user", holder).c_str(), O_RDONLY | O_CLOEXEC));
    if (!made) mapped = HostErrno();
  }
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  if (!mapped.ok()) return mapped.error();
  return made;
}

Result<void> WriteIdentityMappings(pid_t child) {
  std::string folder = fmt::format("/proc/{}/", child);
  ASSIGN_OR_RETURN(std::string groups, IdentityOf("/proc/self/gid_map"));
  RETURN_IF_ERROR(WriteFile(folder + "gid_map", groups));
  ASSIGN_OR_RETURN(std::string users, IdentityOf("/proc/self/uid_map"));
  return WriteFile(folder + "uid_map", users);
}

}  // namespace runsc
