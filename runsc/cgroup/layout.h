// CgroupLayout: which hierarchies of control groups this machine has mounted, and where in them this process
// is; cgroups(7). Found from /proc/self/mountinfo and /proc/self/cgroup.
#ifndef RUNSC_CGROUP_LAYOUT_H_
#define RUNSC_CGROUP_LAYOUT_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace runsc {

struct CgroupLayout {
  struct Hierarchy {
    std::string mount_point;  // "/sys/fs/cgroup/memory"
    std::string own;          // this process's cgroup below it: "/", "/user.slice"
    std::string root = "/";   // what is mounted there, if it is not all of the hierarchy
  };
  // Version 1, by controller ("memory", "cpu", "name=systemd"); those mounted together have the same mount
  // point.
  std::map<std::string, Hierarchy> v1;
  // Version 2; no mount point if it is not mounted.
  Hierarchy v2;

  // Version 2 alone. Where there are both, the controllers are version 1's (the hybrid layout).
  bool is_unified() const { return v1.empty() && !v2.mount_point.empty(); }
  bool is_absent() const { return v1.empty() && v2.mount_point.empty(); }
};

// `path` of a hierarchy as it is seen below a mount whose root is `root`.
std::string BelowMountRoot(const std::string& root, std::string path);

CgroupLayout ParseCgroupLayout(std::string_view mountinfo, std::string_view own_cgroups);
absl::StatusOr<CgroupLayout> FindCgroupLayout();

}  // namespace runsc

#endif  // RUNSC_CGROUP_LAYOUT_H_
