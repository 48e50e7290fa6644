// What config.json and `exec` ask for in security labels (platform/host/security_label.h), and what of it
// this host has. A label is of Gofer and Sentry, that is of whatever of a container is on the host.
#ifndef RUNSC_LIFECYCLE_LABEL_H_
#define RUNSC_LIFECYCLE_LABEL_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/host/security_label.h"

namespace runsc {

// FailedPrecondition if this host has no such labels. Of what a `mount_label` is for, filesystems that are
// mounted for the container, there is nothing on the host: they are in the Sentry's memory, which has the
// Sentry's label.
absl::Status CheckLabel(const SecurityLabel& label, const std::string& mount_label);

// Whether a process of exec that is to have the label `wanted` can run in a sandbox that has the label
// `sandbox`. A warning, or nothing; FailedPrecondition if it cannot.
absl::StatusOr<std::string> CompareLabels(const SecurityLabel& wanted, const SecurityLabel& sandbox);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_LABEL_H_
