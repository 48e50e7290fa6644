// The monitor of a container: a process of the host that stands for it. Its number is the container's pid; a
// signal sent to it goes to the container's first process; it ends when that does, with its exit code
// (128+n after signal n), which it also leaves in the container's directory. It is the parent of the
// container's Sentry and Gofer, in the container's cgroup and network namespace, and neither outlives it.
//
// Engines' shims are subreapers: `create` has ended when they wait for the number in the pid file.
#ifndef RUNSC_LIFECYCLE_MONITOR_H_
#define RUNSC_LIFECYCLE_MONITOR_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "platform/base/unique_fd.h"
#include "runsc/container/process_identity.h"
#include "runsc/oci/spec.h"
#include "runsc/sandbox/sandbox.h"

namespace runsc {

struct MonitorOptions {
  const oci::Spec* spec = nullptr;
  std::string bundle, directory;  // absolute
  SandboxOptions sandbox;
  UniqueFd report;            // to the creator; see report.h
  UniqueFd listener;          // of the control socket
  UniqueFd console_socket;    // gets the terminal's master; invalid: the creator does
  uint32_t preserve_fds = 0;  // 3, 4, … go on to the container
  std::string hook_state;     // for createContainer hooks; "@PID@" stands for the monitor's number
  std::function<void(const std::string&)> warn;
};

// The body of the process, right after its fork; does not return.
[[noreturn]] void RunMonitor(MonitorOptions options);

// The processes of a container that the monitor wrote down, and the exit code that it left.
std::vector<ProcessIdentity> ReadMonitorChildren(const std::string& directory);
std::optional<int> ReadExitStatus(const std::string& directory);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_MONITOR_H_
