// JoinPod: makes a container in a Sentry that runs already, in place of one of its own (sentry/boot/pod.h).
#ifndef RUNSC_SANDBOX_POD_MEMBER_H_
#define RUNSC_SANDBOX_POD_MEMBER_H_

#include <string>

#include "runsc/sandbox/sandbox.h"

namespace runsc {

// `options.container->pod` is there, and the Gofer runs. The channel is then as one to a Sentry of its own.
// Returns what went wrong, or "".
std::string JoinPod(SandboxOptions& options, UniqueFd& channel);

}  // namespace runsc

#endif  // RUNSC_SANDBOX_POD_MEMBER_H_
