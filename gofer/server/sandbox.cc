#include "gofer/server/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
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
#include <cerrno>
#include <csignal>

#include "gofer/server/host_path.h"
#include "platform/host/confinement.h"

namespace runsc::gofer {
namespace {

Errno Failed(const char* step, const std::string& path, std::string& why) {
  Errno error = HostErrno();
  why = fmt::format("{} {}: {}{}", step, path, error.message(), AdviceOnMounts(error));
  return error;
}

Result<void> MapIds(const HostRoot& root, int tree, std::string& why) {
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(root.id_map);
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | (root.id_map_below ? AT_RECURSIVE : 0u),
              &attributes, sizeof(attributes)) == 0)
    return Ok();
  Errno error = HostErrno();
  why = fmt::format("failed to set MOUNT_ATTR_IDMAP on {}: {}{}", root.path, error.message(),
                    error == EINVAL  ? " (its filesystem may have no id-mapped mounts)"
                    : error == EPERM ? " (that needs CAP_SYS_ADMIN where its filesystem was mounted)"
                                     : "");
  return error;
}

}  // namespace

Result<UniqueFd> CloneRootTree(const HostRoot& root, std::string& why) {
  UniqueFd tree(
      static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, root.path.c_str(),
                               OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (root.recursive ? AT_RECURSIVE : 0u))));
  if (!tree) return Failed("open_tree", root.path, why);
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (root.read_only ? MOUNT_ATTR_RDONLY : 0);
  attributes.propagation = MS_PRIVATE;
  // The descriptor's own access checks stand without this; it is the second fence.
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
              sizeof(attributes)) < 0)
    return Failed("mount_setattr", root.path, why);
  if (root.id_map >= 0) RETURN_IF_ERROR(MapIds(root, tree.get(), why));
  return tree;
}

Result<PreparedRoots> PrepareGoferRoots(std::span<const HostRoot> roots, std::string& why) {
  if (unshare(CLONE_NEWNS) < 0) return Failed("unshare", "of the mount namespace", why);
  if (mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
    return Failed("making mounts private", "beneath /", why);
  PreparedRoots prepared;
  for (const HostRoot& root : roots) {
    if (root.tree >= 0) {
      prepared.roots.emplace_back(root.tree);
      continue;
    }
    ASSIGN_OR_RETURN(UniqueFd tree, CloneRootTree(root, why));
    prepared.roots.push_back(std::move(tree));
  }
  ASSIGN_OR_RETURN(prepared.proc_fds, OpenProcFds());
  if (auto entered = EnterEmptyRoot(); !entered.ok()) {
    why = fmt::format("entering an empty root: {}{}", entered.error().message(),
                      AdviceOnMounts(entered.error()));
    return entered.error();
  }
  return prepared;
}

Result<size_t> LockDownGofer(const LockDownOptions& options) {
  size_t files = RaiseFileLimit();
  umask(0);
  uint64_t keep = uint64_t{1} << CAP_DAC_OVERRIDE | uint64_t{1} << CAP_DAC_READ_SEARCH;
  if (options.writable)
    keep |= uint64_t{1} << CAP_CHOWN | uint64_t{1} << CAP_FOWNER | uint64_t{1} << CAP_FSETID;
  RETURN_IF_ERROR(KeepCapabilities(keep));
  // A profile need not let a process do any of what it has done so far.
  if (options.change_label && !options.change_label()) return Errno(EACCES);
  CloseAllFdsBut(options.keep_fds);
  RETURN_IF_ERROR(SetNoNewPrivileges());
  RETURN_IF_ERROR(RestrictByLandlock({.roots = options.roots, .may_connect_unix = options.may_connect}));
  // After the capabilities: a change of them clears it.
  if (options.die_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return HostErrno();
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return HostErrno();
  return files;
}

}  // namespace runsc::gofer
