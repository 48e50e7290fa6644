// SystemdUnit: the unit of systemd in whose control group a container's processes are, a scope as a rule;
// systemd.scope(5), systemd.slice(5). Where the group is, is systemd's to say ("a-b.slice" is below
// "a.slice").
#ifndef RUNSC_SYSTEMD_UNIT_H_
#define RUNSC_SYSTEMD_UNIT_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace runsc {

struct SystemdUnit {
  std::string name;   // "cri-containerd-ID.scope"
  std::string slice;  // what it is in: "system.slice"; "-.slice" is the root
  // Tells ours from others' by that name, for whoever has to clean up.
  std::string description;
  bool user = false;  // of the caller's own systemd, not the machine's

  bool is_slice() const { return name.ends_with(".slice"); }
  bool operator==(const SystemdUnit& other) const = default;
};

// Of linux.cgroupsPath, which is "SLICE:PREFIX:NAME": PREFIX-NAME.scope, or the slice NAME if it ends so. An
// empty SLICE is system.slice, or user.slice for a user's; with an empty path the unit is named after the
// container.
absl::StatusOr<SystemdUnit> ParseSystemdUnit(const std::string& cgroups_path, const std::string& id,
                                             bool user);
// Whether a path is of that form: that of a group made by the other driver is not.
bool IsSystemdPath(std::string_view cgroups_path);

absl::Status CheckSlice(std::string_view slice);

}  // namespace runsc

#endif  // RUNSC_SYSTEMD_UNIT_H_
