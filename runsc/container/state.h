// ContainerState: what the commands of runsc know of a container between one another, kept as JSON in
// its directory (state_directory.h); and the state as the runtime specification has it (runtime.md), for
// `state`, `list` and hooks.
#ifndef RUNSC_CONTAINER_STATE_H_
#define RUNSC_CONTAINER_STATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "runsc/cgroup/resctrl.h"
#include "runsc/container/process_identity.h"
#include "runsc/oci/spec.h"
#include "runsc/systemd/unit.h"

namespace runsc {

enum class ContainerStatus { kCreating, kCreated, kRunning, kPaused, kStopped };

std::string_view StatusName(ContainerStatus status);  // "creating", …

struct ContainerState {
  std::string id;
  std::string oci_version;  // of the bundle's config.json
  ContainerStatus status = ContainerStatus::kCreating;
  bool is_started = false;  // what a paused container is when it is resumed: running, or created
  // The process of the host that stands for the container: it ends when the container does.
  ProcessIdentity monitor;
  std::string bundle;   // absolute
  std::string rootfs;   // absolute
  int64_t created = 0;  // nanoseconds since 1970
  uint32_t owner = 0;   // the user who made it
  std::map<std::string, std::string> annotations;
  std::map<std::string, std::string> cgroup_paths;  // by controller; "" is the unified hierarchy's
  bool systemd_cgroup = false;
  std::optional<SystemdUnit> systemd_unit;  // that holds its processes, with --systemd-cgroup
  ResctrlState resctrl;                     // of Intel RDT; goes with it
  std::string platform;                     // what its Sentry runs guest code by; "" in a pod
  bool host_sockets = false;
  std::string sandbox_id;          // the container whose Sentry this one is in; its own id for the first
  std::string control_socket;      // file name in the container's directory
  std::optional<int> exit_status;  // as the shell has it: 128+n after signal n
  oci::Hooks hooks;

  // The status, but kStopped once the monitor is gone.
  ContainerStatus CurrentStatus() const;
};

// For the state file, and back.
std::string SerializeState(const ContainerState& state);
absl::StatusOr<ContainerState> ParseState(std::string_view text, const std::string& file);

// `runsc state`: the specification's members and runc's (rootfs, created, owner), indented.
std::string StateReport(const ContainerState& state);
// One line with what hooks get on stdin, in the status given.
std::string HookState(const ContainerState& state, ContainerStatus status);
// `runsc list -f json`: one line.
std::string StateListReport(const std::vector<ContainerState>& states);

// "2026-01-31T23:59:59.123456789Z", RFC 3339.
std::string FormatTime(int64_t nanoseconds);
// The user's name by /etc/passwd, or "#1000".
std::string UserName(uint32_t uid);

}  // namespace runsc

#endif  // RUNSC_CONTAINER_STATE_H_
