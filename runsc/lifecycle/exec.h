// ExecInContainer: a further process in a running container. A process of the host, its keeper, stands for
// it as the monitor does for the first one: signals sent to it go to the process in the container, it ends
// with its exit code, and if it is killed the process in the container is.
#ifndef RUNSC_LIFECYCLE_EXEC_H_
#define RUNSC_LIFECYCLE_EXEC_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "platform/base/unique_fd.h"
#include "runsc/container/state.h"
#include "runsc/oci/spec.h"

namespace runsc {

struct ExecOptions {
  std::string directory;  // the container's
  oci::Process process;
  oci::Linux container;        // the container's part of config.json
  std::string console_socket;  // "": the caller gets the terminal, if there is one
  uint32_t preserve_fds = 0;
};

struct ExecutedProcess {
  pid_t keeper = -1;
  UniqueFd terminal;  // the master, without console_socket
};
// Returns once the process runs. The message says why it does not.
absl::StatusOr<ExecutedProcess> ExecInContainer(const ContainerState& state, ExecOptions options);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_EXEC_H_
