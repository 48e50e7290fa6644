#include "runsc/container/root_view.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/base/unique_fd.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

absl::Status Failed(const std::string& what) {
  std::string message = fmt::format("{}: {}", what, ErrorText(errno));
  return errno == EPERM ? absl::PermissionDeniedError(message) : absl::FailedPreconditionError(message);
}

UniqueFd OpenInRoot(int root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
}

bool IsDirectory(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

void AddBind(int root, const RootView::Bind& bind) {
  UniqueFd place = OpenInRoot(root, bind.destination);
  UniqueFd source(::open(bind.source.c_str(), O_PATH | O_CLOEXEC));
  if (!place || !source || IsDirectory(place.get()) != IsDirectory(source.get())) return;
  std::string from = fmt::format("/proc/self/fd/{}", source.get());
  std::string to = fmt::format("/proc/self/fd/{}", place.get());
  if (::mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0 || !bind.read_only) return;
  // The descriptor is of what lies beneath the mount: once more, for the mount itself.
  UniqueFd mounted = OpenInRoot(root, bind.destination);
  to = fmt::format("/proc/self/fd/{}", mounted.get());
  if (::mount(nullptr, to.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0)
    ::umount2(to.c_str(), MNT_DETACH);
}

}  // namespace

absl::Status EnterRootView(const RootView& view) {
  if (::unshare(CLONE_NEWNS) != 0) return Failed("cannot make a mount namespace");
  // The host's unmounts go on to reach it; nothing of it reaches the host.
  if (::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0)
    return Failed("cannot part from the host's mounts");
  const char* root = view.root.c_str();
  if (::mount(root, root, nullptr, MS_BIND | MS_REC, nullptr) != 0) return Failed(view.root);
  UniqueFd directory(::open(root, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return Failed(view.root);
  for (const RootView::Bind& bind : view.binds) AddBind(directory.get(), bind);
  // The old root ends up over the new one, and goes from there: pivot_root(2), "pivot_root(".", ".")".
  if (::fchdir(directory.get()) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0) return Failed(view.root);
  if (::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) return Failed(view.root);
  return absl::OkStatus();
}

}  // namespace runsc
