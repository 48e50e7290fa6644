// EnterRootView: gives the calling process a mount namespace in which "/" is a container's root filesystem.
//
// An engine that copies files into a container, or looks at it, enters the mount namespace of the process
// that the container's state names (`podman cp`, nsenter(1)). It must find the container's files there, and
// not the host's: what it writes to "/etc/passwd" is meant for the container.
#ifndef RUNSC_CONTAINER_ROOT_VIEW_H_
#define RUNSC_CONTAINER_ROOT_VIEW_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace runsc {

struct RootView {
  struct Bind {
    std::string source;       // on the host, absolute
    std::string destination;  // in the container, absolute
    bool read_only = false;
  };
  std::string root;  // absolute
  std::vector<Bind> binds;
};

// Needs CAP_SYS_ADMIN: PermissionDenied without. After any error the process is where it was, or in a copy of
// that mount namespace. A bind mount whose place is not there, or of another type, is left out: symbolic
// links in the root filesystem are resolved within it. Called while the process has one thread.
absl::Status EnterRootView(const RootView& view);

}  // namespace runsc

#endif  // RUNSC_CONTAINER_ROOT_VIEW_H_
