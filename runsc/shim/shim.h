// containerd's runtime v2 shim for runsc: a process that stays with the containers of a pod (or with one),
// serves containerd's requests about them on a unix socket, and is the parent of what stands for them on the
// host. Its program is runsc by another name. Linux counterpart: none; containerd's runtime/v2/README.md.
#ifndef RUNSC_SHIM_SHIM_H_
#define RUNSC_SHIM_SHIM_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace runsc::shim {

struct ShimOptions {
  std::string name_space, id;
  std::string address;        // of containerd's socket
  std::string bundle;         // "": the working directory
  std::string ttrpc_address;  // of containerd's socket for events; "": they are told to nobody
  bool debug = false;
};

// Makes sure that there is a shim for the container: the one of its pod, or a new one, which is a child of
// this process that stays. Returns its address in the parent only.
absl::StatusOr<std::string> StartShim(const ShimOptions& options);

// Takes away what a shim that died has left of a container, and returns containerd's DeleteResponse, encoded.
absl::StatusOr<std::string> DeleteLeftovers(const ShimOptions& options);

// What `-info` prints: containerd's RuntimeInfo, encoded.
std::string InfoAnswer(const std::string& version);

// The answer of `start`: the address alone, or, for a containerd that says in MAX_SHIM_VERSION
// (`max_version`) that it knows more, as JSON.
std::string StartAnswer(const std::string& address, const char* max_version);

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_SHIM_H_
