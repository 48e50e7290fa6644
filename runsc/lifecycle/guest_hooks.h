// RunStartContainerHooks: the hooks that run in the container's own namespaces, which are the Sentry's: each
// is a process of the guest, before the container's first one is let go (runtime-spec, config.md,
// "StartContainer Hooks"). Its program is one of the container's files; user, capabilities and working
// directory are those of the container's process, as runc has it, and the state is on its stdin.
#ifndef RUNSC_LIFECYCLE_GUEST_HOOKS_H_
#define RUNSC_LIFECYCLE_GUEST_HOOKS_H_

#include <string>

#include "absl/status/status.h"
#include "runsc/container/state.h"
#include "runsc/oci/spec.h"

namespace runsc {

// Those of state.hooks, one after the other; stops at the first that fails. `directory` is the container's,
// `spec` its config.json.
absl::Status RunStartContainerHooks(const std::string& directory, const ContainerState& state,
                                    const oci::Spec& spec);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_GUEST_HOOKS_H_
