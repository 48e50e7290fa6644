// The Gofer's own confinement. Both functions run while the process has one thread.
//
// PrepareGoferRoots takes the files into a mount namespace of their own: each root
// becomes a detached clone of its mounts, which no path names and only its descriptor
// reaches, and the process's root becomes an empty read-only directory.
// LockDownGofer then takes away what serving does not need.
#ifndef GOFER_SERVER_SANDBOX_H_
#define GOFER_SERVER_SANDBOX_H_

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "platform/base/result.h"
#include "platform/base/unique_fd.h"
#include "platform/host/landlock.h"

namespace runsc::gofer {

struct HostRoot {
  std::string path;  // on the host: a directory, or a single file
  bool read_only = true;
  bool recursive = true;      // with what is mounted below it
  int tree = -1;              // what CloneRootTree made of it earlier
  int id_map = -1;            // a user namespace by which the ids of its files are mapped (mount_setattr(2))
  bool id_map_below = false;  // in what is mounted below it, too
};

struct PreparedRoots {
  std::vector<UniqueFd> roots;  // O_PATH, in the order given
  UniqueFd proc_fds;            // /proc/self/fd of this process
};

// A detached clone of the root's mounts, read-only if the root is; else `why`. One that is not recursive has
// to be made before the process enters a user namespace: what is mounted below cannot be taken away there
// (mount_namespaces(7), "locked").
Result<UniqueFd> CloneRootTree(const HostRoot& root, std::string& why);

// Needs CAP_SYS_ADMIN over the caller's user namespace and /proc. On failure `why` says which path and step.
Result<PreparedRoots> PrepareGoferRoots(std::span<const HostRoot> roots, std::string& why);

struct LockDownOptions {
  std::vector<int> keep_fds;  // all others are closed
  bool writable = false;      // some root may be written: keep the capabilities for that
  std::vector<LandlockRoot> roots;
  bool may_connect = false;  // to unix sockets of the host
  bool die_with_parent = false;
  std::function<bool()> change_label;  // of the process; false: it failed, and said why
};
// Raises RLIMIT_NOFILE as far as it can, drops capabilities, changes the label, closes descriptors, sets
// no_new_privs, and leaves nothing to open but what is beneath the roots. Returns how many descriptors the
// process may have. The seccomp filter comes after it.
Result<size_t> LockDownGofer(const LockDownOptions& options);

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_SANDBOX_H_
