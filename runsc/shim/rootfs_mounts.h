// The root filesystem of a container, which its shim mounts for it: what containerd's snapshotters ask for,
// mount(2)s one over the other at BUNDLE/rootfs.
#ifndef RUNSC_SHIM_ROOTFS_MOUNTS_H_
#define RUNSC_SHIM_ROOTFS_MOUNTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace runsc::shim {

struct RootfsMount {
  std::string type, source;
  std::string target;  // beneath the root filesystem; "": itself
  std::vector<std::string> options;
};

// The options of mount(8) that are flags of mount(2), and the rest for the filesystem.
struct MountArguments {
  unsigned long flags = 0;
  std::string data;
};
MountArguments ToMountArguments(const std::vector<std::string>& options);

// An overlay of many layers has more to say than mount(2) takes (one page). Paths that begin with
// `*directory` afterwards do so relative to it: the caller changes to it for the mount. "": nothing was
// gained.
std::string ShortenOverlay(const std::string& data, std::string* directory);

// None stays if one fails.
absl::Status MountRootfs(const std::string& rootfs, const std::vector<RootfsMount>& mounts);
// All that is mounted there; Ok if nothing is, or it is not there.
absl::Status UnmountRootfs(const std::string& rootfs);

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_ROOTFS_MOUNTS_H_
