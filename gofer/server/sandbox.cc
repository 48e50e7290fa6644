#include "gofer/server/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "gofer/server/host_path.h"
#include "platform/base/log.h"

namespace runsc::gofer {
namespace {

Errno Failed(const char* step, const std::string& path) {
  Errno error = HostErrno();
  LOG_ERROR("gofer: {} of {} failed: {}", step, path, error.message());
  return error;
}

Result<UniqueFd> CloneTree(const HostRoot& root) {
  UniqueFd tree(static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, root.path.c_str(),
                                         OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)));
  if (!tree) return Failed("open_tree", root.path);
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (root.read_only ? MOUNT_ATTR_RDONLY : 0);
  attributes.propagation = MS_PRIVATE;
  // The descriptor's own access checks stand without this; it is the second fence.
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
              sizeof(attributes)) < 0)
    return Failed("mount_setattr", root.path);
  return tree;
}

// Makes an empty read-only tmpfs the root of this process, and lets go of the old one.
Result<void> EnterEmptyRoot() {
  // Any directory does as the place; /proc is the one that is known to exist.
  const char* place = "/proc";
  if (mount("runsc", place, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
            "size=4k,nr_inodes=2,mode=555") < 0)
    return Failed("mount of a tmpfs on", place);
  if (chdir(place) < 0) return Failed("chdir", place);
  if (syscall(SYS_pivot_root, ".", ".") == 0) {
    if (umount2(".", MNT_DETACH) < 0) return Failed("umount", "the old root");
  } else if (errno == EINVAL) {
    // The root is the initial ramfs, which cannot be pivoted away from.
    if (mount(".", "/", nullptr, MS_MOVE, nullptr) < 0) return Failed("move", place);
    if (chroot(".") < 0) return Failed("chroot", place);
  } else {
    return Failed("pivot_root", place);
  }
  if (chdir("/") < 0) return Failed("chdir", "/");
  return Ok();
}

void CloseAllBut(std::vector<int> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned from = 0;
  for (int fd : keep) {
    if (fd < 0) continue;
    unsigned kept = static_cast<unsigned>(fd);
    if (kept > from) syscall(SYS_close_range, from, kept - 1, 0);
    from = std::max(from, kept + 1);
  }
  syscall(SYS_close_range, from, ~0U, 0);
}

size_t RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 1024;
  rlimit wanted{1 << 20, 1 << 20};
  if (limit.rlim_max >= wanted.rlim_max) wanted = {limit.rlim_max, limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) return std::min<size_t>(wanted.rlim_cur, 1 << 20);
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

Result<void> KeepCapabilities(uint64_t keep) {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    // EPERM: the process may not, and then has nothing to give to anyone either.
    if ((keep >> capability & 1) == 0) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) < 0) return HostErrno();
  for (int half = 0; half < 2; ++half) {
    data[half].permitted &= static_cast<uint32_t>(keep >> (32 * half));
    data[half].effective = data[half].permitted;
    data[half].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data) < 0) return HostErrno();
  return Ok();
}

}  // namespace

Result<PreparedRoots> PrepareGoferRoots(std::span<const HostRoot> roots) {
  if (unshare(CLONE_NEWNS) < 0) return Failed("unshare", "the mount namespace");
  if (mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) return Failed("making private", "/");
  PreparedRoots prepared;
  for (const HostRoot& root : roots) {
    ASSIGN_OR_RETURN(UniqueFd tree, CloneTree(root));
    prepared.roots.push_back(std::move(tree));
  }
  ASSIGN_OR_RETURN(prepared.proc_fds, OpenProcFds());
  RETURN_IF_ERROR(EnterEmptyRoot());
  return prepared;
}

Result<size_t> LockDownGofer(const LockDownOptions& options) {
  CloseAllBut(options.keep_fds);
  size_t files = RaiseFileLimit();
  umask(0);
  if (options.die_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return HostErrno();
  uint64_t keep = uint64_t{1} << CAP_DAC_OVERRIDE | uint64_t{1} << CAP_DAC_READ_SEARCH;
  if (options.writable)
    keep |= uint64_t{1} << CAP_CHOWN | uint64_t{1} << CAP_FOWNER | uint64_t{1} << CAP_FSETID;
  RETURN_IF_ERROR(KeepCapabilities(keep));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return HostErrno();
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return HostErrno();
  return files;
}

}  // namespace runsc::gofer
