// Which containers share a sandbox: containerd's CRI plugin and CRI-O say it in annotations. A pod's first
// container, the "sandbox", has a Sentry of its own; the others are made in that one.
#ifndef RUNSC_LIFECYCLE_POD_ANNOTATIONS_H_
#define RUNSC_LIFECYCLE_POD_ANNOTATIONS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runsc/container/state_directory.h"
#include "runsc/oci/spec.h"

namespace runsc {

// The names of all annotations that are looked at here.
std::vector<std::string> PodAnnotations();
// The id of the container in whose Sentry this one is to be; nothing for one with a Sentry of its own. An
// error names the annotation that is missing or wrong.
absl::StatusOr<std::optional<std::string>> PodOf(const oci::Spec& spec);
// Whether it is the first container of a pod, as containerd and CRI-O make one.
bool IsSandboxOfPod(const oci::Spec& spec);
// The same as PodOf, looked up among the containers that are there. Podman writes CRI-O's annotations with
// the pod's id, which is no container's: the pod's infra container is meant, and without one each container
// has a Sentry of its own.
absl::StatusOr<std::optional<std::string>> FindPod(const StateDirectory& containers, const oci::Spec& spec);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_POD_ANNOTATIONS_H_
