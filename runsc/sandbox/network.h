// What --network=NAME means for a sandbox.
//
//   none  internet sockets of the host's kernel, in a network namespace of the Sentry's own that has a
//   loopback
//         interface and nothing else. A server inside can be reached inside.
//   host  the same in the network namespace of the caller, which for a container is the container's.
//   off   no internet sockets: nine host calls less that the Sentry may make.
//
// Threading: none; processes with one thread call these.
#ifndef RUNSC_SANDBOX_NETWORK_H_
#define RUNSC_SANDBOX_NETWORK_H_

#include <string_view>

#include "sentry/boot/boot.h"

namespace runsc {

// `name`: as above; "" is what `by_default` says.
void ChooseNetwork(std::string_view name, std::string_view by_default, BootOptions& options);

// In a new network namespace, as its root.
void BringLoopbackUp();
// So that the Sentry, which has no privilege in it, may bind to every port and send echo requests (icmp(7));
// what the guest may is its to decide.
void AllowPortsAndPing();

}  // namespace runsc

#endif  // RUNSC_SANDBOX_NETWORK_H_
