// From config.json to what a sandbox is started with. What names files of the host (the root filesystem,
// sources of bind mounts) is resolved here; what is inside the container is resolved by the Sentry.
#ifndef RUNSC_LIFECYCLE_SANDBOX_CONFIG_H_
#define RUNSC_LIFECYCLE_SANDBOX_CONFIG_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runsc/oci/spec.h"
#include "runsc/sandbox/sandbox.h"
#include "sentry/control/messages.h"

namespace runsc {

struct SandboxConfig {
  std::string platform, network;  // of the global flags; "": the default
  bool overlay = false;           // writes to the root filesystem stay in the sandbox's memory
  bool own_for_hosts = false;     // its own PID and IPC namespace where it was to have the host's
};

// Of the limits that config.json or `update` gives, those that the Sentry enforces or shows.
ControlMessage::Limits LimitsInside(const oci::Resources& resources);

// Everything but streams, descriptors and the callbacks. `bundle` is absolute.
absl::StatusOr<SandboxOptions> MakeSandboxOptions(const oci::Spec& spec, const std::string& bundle,
                                                  const SandboxConfig& config);

// The process of config.json or of exec; what is not given is the caller's (limits) or Linux's default.
// `container` is its container's part of config.json: seccomp and personality are its processes'.
absl::StatusOr<ProcessSpec> MakeProcessSpec(const oci::Process& process, const oci::Linux& container);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_SANDBOX_CONFIG_H_
