// The host system calls that the Sentry may make once guest code runs, each with its
// reason. Everything else ends the process.
#ifndef SENTRY_BOOT_SECCOMP_RULES_H_
#define SENTRY_BOOT_SECCOMP_RULES_H_

#include <vector>

#include "platform/seccomp/rules.h"

namespace runsc {

// "SentryPtrace" and "SentrySystrap", each also with "HostSockets" behind it for all but --network=off.
std::vector<SeccompPolicy> SentrySeccompPolicies();

}  // namespace runsc

#endif  // SENTRY_BOOT_SECCOMP_RULES_H_
