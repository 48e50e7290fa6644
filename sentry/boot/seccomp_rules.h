// The host system calls that the Sentry may make once guest code runs, each with its
// reason. Everything else ends the process.
#ifndef SENTRY_BOOT_SECCOMP_RULES_H_
#define SENTRY_BOOT_SECCOMP_RULES_H_

#include <vector>

#include "platform/seccomp/rules.h"

namespace runsc {

// "SentryPtrace" and "SentrySystrap", each also with "HostNetwork" behind it for --network=host.
std::vector<SeccompPolicy> SentrySeccompPolicies();

}  // namespace runsc

#endif  // SENTRY_BOOT_SECCOMP_RULES_H_
