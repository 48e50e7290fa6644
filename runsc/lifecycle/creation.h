// The life of a container as the commands see it: create, start, and the end with everything that is to go.
// Each leaves a state that the next command can deal with, wherever it is killed.
#ifndef RUNSC_LIFECYCLE_CREATION_H_
#define RUNSC_LIFECYCLE_CREATION_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "platform/base/unique_fd.h"
#include "runsc/container/state_directory.h"
#include "runsc/lifecycle/sandbox_config.h"

namespace runsc {

using Warning = std::function<void(const std::string&)>;

struct CreateOptions {
  std::string id, bundle;
  std::string pid_file;        // "": none
  std::string console_socket;  // "": none
  uint32_t preserve_fds = 0;
  bool keeps_terminal = false;  // the caller is the terminal's other side
  SandboxConfig sandbox;
  bool systemd_cgroup = false;
  bool rootless = false;
  int log_fd = -1;
  bool debug = false, strace = false;
  Warning warn;
};

struct CreatedContainer {
  ContainerDirectory directory;  // locked
  ContainerState state;
  UniqueFd terminal;  // the master, with keeps_terminal
};

// Nothing is left behind if it fails.
absl::StatusOr<CreatedContainer> CreateContainer(const StateDirectory& containers,
                                                 const CreateOptions& options);

// FailedPrecondition if it is not created. A poststart hook that fails ends the container.
absl::Status StartContainer(ContainerDirectory& directory, ContainerState& state);

// Takes everything away: processes, cgroup, poststop hooks, the directory. Failed hooks are told only.
absl::Status DestroyContainer(ContainerDirectory& directory, const ContainerState& state,
                              const Warning& warn);

// The pid file is there wholly or not at all.
absl::Status WritePidFile(const std::string& path, pid_t pid);

// Ends the monitor and waits until no process of the container is there.
absl::Status KillContainer(const ContainerDirectory& directory, const ContainerState& state);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_CREATION_H_
