// CompileSeccomp: linux.seccomp of config.json as a program for seccomp(2) in the guest. Only the guest's own
// architecture is in it: there is no other in a sandbox.
#ifndef RUNSC_OCI_SECCOMP_H_
#define RUNSC_OCI_SECCOMP_H_

#include <linux/filter.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "runsc/oci/spec.h"

namespace runsc::oci {

struct SeccompProgram {
  std::vector<sock_filter> filter;  // empty: everything is allowed
  uint32_t flags = 0;               // SECCOMP_FILTER_FLAG_LOG and so on, seccomp(2)
};

// System calls that nobody has heard of are left out, as runc does. Those newer than any that the profile
// names fail with ENOSYS and not with a default action of EPERM: programs try an older call after the former
// only.
absl::StatusOr<SeccompProgram> CompileSeccomp(const Seccomp& seccomp,
                                              const std::string& file = "config.json");

// What can be asked for, for `features`.
std::vector<std::string> SeccompActions();
std::vector<std::string> SeccompOperators();
std::vector<std::string> SeccompArchitectures();
std::vector<std::string> SeccompKnownFlags();
std::vector<std::string> SeccompSupportedFlags();

}  // namespace runsc::oci

#endif  // RUNSC_OCI_SECCOMP_H_
