// The host system calls that the Gofer may make once it serves, each with its reason.
// Everything else ends the process.
#ifndef GOFER_SERVER_SECCOMP_RULES_H_
#define GOFER_SERVER_SECCOMP_RULES_H_

#include <linux/filter.h>

#include <span>
#include <vector>

#include "platform/base/result.h"
#include "platform/seccomp/rules.h"

namespace runsc {

// "Gofer" and "GoferConnect".
std::vector<SeccompPolicy> GoferSeccompPolicies();

namespace gofer {

// The calls that it may make.
std::span<const sock_filter> GoferFilter(bool allow_connect);
// For GoferOptions::install_filter. Violations are reported on `report_fd`.
Result<void> InstallGoferFilter(int report_fd, bool allow_connect);

}  // namespace gofer
}  // namespace runsc

#endif  // GOFER_SERVER_SECCOMP_RULES_H_
