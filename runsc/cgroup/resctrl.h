// ResctrlGroup: a container's part of a processor's caches and memory bandwidth (Intel RDT; linux.intelRdt of
// config.json): a class of service, which is a directory of the resctrl filesystem, and a directory in it
// whose counters are the container's alone.
//
// Linux counterpart: Documentation/arch/x86/resctrl.rst; runtime-spec, config-linux.md, "IntelRdt".
#ifndef RUNSC_CGROUP_RESCTRL_H_
#define RUNSC_CGROUP_RESCTRL_H_

#include <sys/types.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runsc/oci/spec.h"

namespace runsc {

// What is written down of it, before it is made.
struct ResctrlState {
  std::string group;  // the class's directory; "": the container is in no other than the rest of the host
  std::string made;   // a directory that goes with the container: the class's, or that of its counters; or ""
};

// Where resctrl is mounted; "" if it is not.
std::string FindResctrl(std::string_view mountinfo);
std::string FindResctrl();

// What the host can share out; false if `mount_point` is "".
bool HasCacheAllocation(const std::string& mount_point);
bool HasBandwidthAllocation(const std::string& mount_point);

class ResctrlGroup {
 public:
  // Refused, by name: what the host does not have (`mount_point` is "" if it has none of it), a class that is
  // there with other shares, one that has to be there and is not.
  static absl::StatusOr<ResctrlGroup> Plan(const oci::IntelRdt& rdt, const std::string& id,
                                           const std::string& mount_point);

  const ResctrlState& state() const { return state_; }
  // Makes what there is to make, and then gives it its shares.
  absl::Status Create() const;
  absl::Status Apply() const;
  // With all that it starts later.
  absl::Status Add(pid_t pid) const;

 private:
  std::string lines_;  // of the schemata file; "": they stay as they are
  std::string monitor_;
  ResctrlState state_;
};

// Other shares for a class of the container's own, as `update` has them.
absl::Status UpdateResctrl(const ResctrlState& state, const std::string& l3_cache_schema,
                           const std::string& mem_bw_schema);
absl::Status RemoveResctrl(const ResctrlState& state);

}  // namespace runsc

#endif  // RUNSC_CGROUP_RESCTRL_H_
