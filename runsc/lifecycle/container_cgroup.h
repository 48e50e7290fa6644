// ContainerCgroup: the control group of a container, made by runsc itself (the "cgroupfs" driver) or by
// systemd
// (--systemd-cgroup); and what the commands do to it later, by the state alone.
//
// systemd's units are never empty, so that its group comes to be with the container's monitor, ours before.
// The state is written down before each step that would leave something behind.
#ifndef RUNSC_LIFECYCLE_CONTAINER_CGROUP_H_
#define RUNSC_LIFECYCLE_CONTAINER_CGROUP_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "runsc/cgroup/cgroup.h"
#include "runsc/container/state.h"
#include "runsc/oci/spec.h"
#include "runsc/systemd/manager.h"
#include "runsc/systemd/properties.h"

namespace runsc {

struct ContainerCgroupOptions {
  bool systemd = false;
  bool rootless = false;
  std::function<absl::Status()> save;  // the state, with what has been entered in it
  std::function<void(const std::string&)> warn;
};

// While a container is created. `spec` and `state` stay the caller's.
class ContainerCgroup {
 public:
  ContainerCgroup(const oci::Spec& spec, ContainerState& state, ContainerCgroupOptions options);

  // Before there is a process.
  absl::Status Prepare();
  // The monitor becomes its first process, and it is limited.
  absl::Status Add(pid_t monitor);
  // Takes away what has been made of it, processes included.
  void Undo();

 private:
  absl::Status PrepareUnit();
  absl::Status StartUnit(pid_t monitor);
  absl::Status MakeDirectories();

  const oci::Spec& spec_;
  ContainerState& state_;
  const ContainerCgroupOptions options_;
  CgroupLayout layout_;
  oci::Resources limits_;  // of the host
  std::unique_ptr<Cgroup> cgroup_;
  bool made_ = false;
  std::optional<SystemdManager> systemd_;
  SystemdTarget target_;
  SystemdProperties annotated_;
};

// Limits as config.json has them; those not given stay.
absl::Status UpdateContainerCgroup(const ContainerState& state, const oci::Resources& resources);
// A further process of the container, as far as that can be done.
void JoinContainerCgroup(const ContainerState& state, pid_t pid);
// Ends what is in it, and removes it.
absl::Status RemoveContainerCgroup(const ContainerState& state);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_CONTAINER_CGROUP_H_
