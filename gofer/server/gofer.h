// RunGofer: the whole life of a Gofer process after its start: take the roots, lock
// down, serve until every connection has ended. Called on the only thread.
#ifndef GOFER_SERVER_GOFER_H_
#define GOFER_SERVER_GOFER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gofer/protocol/messages.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"
#include "platform/host/security_label.h"

namespace runsc::gofer {

struct ServerContext;

struct GoferOptions {
  struct Root {
    // A path on the host; or, when the caller has set the namespaces up itself, an O_PATH
    // descriptor. All roots of one Gofer are given the same way.
    std::string path;
    UniqueFd fd;
    UniqueFd tree;  // of a path: what CloneRootTree made of it, or invalid
    bool read_only = true;
    // Limited where the root's mount is id-mapped: the host would let more be given to this process's ids.
    OwnerIds owners;
  };
  std::vector<Root> roots;        // by the index that Attach names
  std::vector<UniqueFd> sockets;  // SOCK_SEQPACKET, one a connection
  // Roots by path: a mount namespace with an empty root (see sandbox.h). Off only where
  // namespaces cannot be had; then openat2's checks alone confine.
  bool new_mount_namespace = true;
  bool lock_down = true;  // off in tests, which share their process
  bool die_with_parent = false;
  bool allow_fifos = false;
  bool allow_connect = false;
  SecurityLabel label;        // with lock_down
  std::vector<int> keep_fds;  // the log, what a sanitizer needs
  // Called with what failed before RunGofer returns 1; let go of before the first request. Null: the log.
  std::function<void(const std::string& why)> on_failure;
  // Installs the seccomp filter; the last step before the first request.
  std::function<Result<void>()> install_filter;
};

// Returns the exit status of the process: 0 once the connections have ended.
int RunGofer(GoferOptions options);

// The loop alone.
void ServeConnections(const ServerContext& context, std::vector<UniqueFd> sockets);

}  // namespace runsc::gofer

#endif  // GOFER_SERVER_GOFER_H_
