#include "sentry/boot/confine.h"

#include <fmt/format.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

#include "platform/host/confinement.h"
#include "platform/host/landlock.h"
#include "platform/host/security_label.h"

namespace runsc {
namespace {

std::string Failed(const char* step, Errno error) {
  return fmt::format("{}: {}{}", step, error.message(), AdviceOnMounts(error));
}

}  // namespace

std::string ConfineSentry(const BootOptions& options, const std::vector<int>& more_fds) {
  LabelChange label;
  if (std::string wrong = label.Prepare(options.label); !wrong.empty()) return wrong;
  if (options.own_mount_namespace) {
    if (auto entered = EnterEmptyRoot(); !entered.ok())
      return Failed("entering an empty root", entered.error());
  }
  if (options.host_gid) {
    if (::setgroups(0, nullptr) != 0) return Failed("setgroups", HostErrno());
    if (::setresgid(*options.host_gid, *options.host_gid, *options.host_gid) != 0)
      return Failed("setresgid", HostErrno());
  }
  if (options.host_uid) {
    // Without this the change of user would take the capability to drop the others with it.
    ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (::setresuid(*options.host_uid, *options.host_uid, *options.host_uid) != 0)
      return Failed("setresuid", HostErrno());
  }
  if (auto dropped = KeepCapabilities(0); !dropped.ok())
    return Failed("dropping capabilities", dropped.error());
  // A profile need not let a process do any of what it has done so far.
  if (std::string wrong = label.Commit(); !wrong.empty()) return wrong;
  if (auto set = SetNoNewPrivileges(); !set.ok()) return Failed("no_new_privs", set.error());

  auto landlocked = RestrictByLandlock({.may_use_network = options.host_sockets});
  if (!landlocked.ok()) return Failed("Landlock", landlocked.error());

  std::vector<int> keep = {options.gofer_socket.get(), options.channel.get(), options.log_fd, STDERR_FILENO};
  keep.insert(keep.end(), options.stdio.begin(), options.stdio.end());
  keep.insert(keep.end(), options.more_files.begin(), options.more_files.end());
  keep.insert(keep.end(), more_fds.begin(), more_fds.end());
  CloseAllFdsBut(keep);
  RaiseFileLimit();
  rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);

  // A change of user or capabilities clears both of these. The stubs that the platform
  // makes next inherit that they may be traced; the Sentry gives it up after that.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  return "";
}

}  // namespace runsc
