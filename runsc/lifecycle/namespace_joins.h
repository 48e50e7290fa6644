// NamespaceJoins: whose namespaces a container is to have, and so in whose Sentry it is to be. Engines say
// the first by paths: /proc/PID/ns/pid, PID being the process that stands for another container, or for a
// process of exec in it. On the host that file is a namespace of the host, as no guest has any there; here
// the container that PID stands for is found, and the namespace of that container inside its Sentry is meant.
// Pods are told by annotations (pod_annotations.h), and what their paths leave open is the pod's.
#ifndef RUNSC_LIFECYCLE_NAMESPACE_JOINS_H_
#define RUNSC_LIFECYCLE_NAMESPACE_JOINS_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runsc/container/state_directory.h"
#include "runsc/oci/spec.h"
#include "sentry/boot/pod.h"

namespace runsc {

struct NamespaceJoins {
  std::string sandbox;  // the container in whose Sentry it is; "": it has one of its own
  bool is_pod = false;  // by annotations
  NamespaceOrigin pid, uts, ipc, time;
};

// An error names what is asked for and cannot be: "config.json: linux.namespaces[0].path: …".
// `own_for_hosts`: where the host's PID or IPC namespace is asked for the container gets one of its own, and
// `warn` is told; else that is an error.
absl::StatusOr<NamespaceJoins> FindNamespaceJoins(const StateDirectory& containers, const oci::Spec& spec,
                                                  bool own_for_hosts,
                                                  const std::function<void(const std::string&)>& warn);

// The container that a process of the host is of: its monitor, or anything in its control group.
std::optional<ContainerState> ContainerOfProcess(const StateDirectory& containers, pid_t pid);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_NAMESPACE_JOINS_H_
