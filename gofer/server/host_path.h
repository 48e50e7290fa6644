// The host calls by which the Gofer reaches files: one component beneath a directory
// that it holds, never through a symlink, and reopening of what it holds.
//
// To open what an O_PATH descriptor means, the Gofer goes through /proc/self/fd, of
// which it keeps a descriptor from before its root became empty. Opening parent and
// name once more would be a race with whoever may rename in that directory.
#ifndef GOFER_SERVER_HOST_PATH_H_
#define GOFER_SERVER_HOST_PATH_H_

#include <sys/stat.h>

#include <string>

#include "gofer/protocol/messages.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"

namespace runsc::gofer {

// EINVAL, ENAMETOOLONG or OK: whether it may be used as a component.
Result<void> CheckName(const std::string& name);

// O_PATH of `name` in the directory; of a symlink itself.
Result<UniqueFd> OpenPath(int directory, const std::string& name);
// openat2(2) beneath the directory with more flags; never follows.
Result<UniqueFd> OpenBeneath(int directory, const char* name, uint64_t flags, uint64_t mode);
// Opens the file of an O_PATH descriptor anew. `proc_fds`: a descriptor of /proc/self/fd.
Result<UniqueFd> Reopen(int proc_fds, int path, int flags);
// /proc/self/fd of this process. ENOENT where no proc is mounted.
Result<UniqueFd> OpenProcFds();

struct PathStatus {
  Attributes attributes;
  bool mount_root = false;
};
// The attributes of `name` in `fd`, or with an empty name of `fd` itself.
Result<PathStatus> Stat(int fd, const std::string& name);
// Whether `fd` lies on proc, sysfs, cgroupfs or another of the kernel's own interfaces.
bool IsKernelInterface(int fd);
// Whether every change of what is stored where `fd` lies goes through this host's kernel, which then can tell
// of it: not so on network filesystems, FUSE, or what a hypervisor shares.
bool ChangesOnlyHere(int fd);

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_HOST_PATH_H_
