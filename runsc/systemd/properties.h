// What a container's config.json is as properties of a unit; systemd.resource-control(5),
// org.freedesktop.systemd1(5).
//
// systemd has to know of limits, although they are set in the control group's files too: what it does not
// know it sets back when it next looks at the unit (`systemctl daemon-reload`).
#ifndef RUNSC_SYSTEMD_PROPERTIES_H_
#define RUNSC_SYSTEMD_PROPERTIES_H_

#include <sys/types.h>

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "runsc/oci/spec.h"
#include "runsc/systemd/manager.h"
#include "runsc/systemd/unit.h"

namespace runsc {

struct SystemdTarget {
  bool unified = false;  // version 2 of control groups
  int version = 0;       // systemd's; some properties are younger than what we can meet
};

// Of a unit that is to hold the process.
SystemdProperties UnitProperties(const SystemdUnit& unit, pid_t pid, const SystemdTarget& target);

// Limits that systemd knows by name. What a limit must not be is left to who writes it into the files.
absl::StatusOr<SystemdProperties> LimitProperties(const oci::Resources& resources,
                                                  const SystemdTarget& target);

inline constexpr const char* kSystemdPropertyPrefix = "org.systemd.property.";
// Annotations "org.systemd.property.NAME", whose values are GVariant's text, as runc takes them: NAMESec is
// given in seconds and set as NAMEUSec. Those that would take the unit from our hands are refused.
absl::StatusOr<SystemdProperties> AnnotatedProperties(const std::map<std::string, std::string>& annotations);

}  // namespace runsc

#endif  // RUNSC_SYSTEMD_PROPERTIES_H_
