// BootSentry: from a process that its caller has put into fresh namespaces to a running
// guest, and to the end of it. Order: confine (empty root, no capabilities, only the
// descriptors listed here), platform, seccomp filter, then threads, then guest code.
//
// Called on the only thread of the process; does not return before the sandbox ends.
#ifndef SENTRY_BOOT_BOOT_H_
#define SENTRY_BOOT_BOOT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/base/log.h"
#include "platform/base/unique_fd.h"
#include "sentry/fsimpl/cgroup.h"
#include "sentry/kernel/resource_limits.h"

namespace runsc {

// The name of the fastest platform that this machine has.
std::string DefaultPlatform();

struct BootOptions {
  struct Volume {
    uint32_t gofer_root = 0;  // index among the Gofer's roots; 0 is the root filesystem
    std::string destination;  // absolute path in the sandbox
    bool read_only = false;
  };

  std::string platform = DefaultPlatform();
  UniqueFd gofer_socket;
  UniqueFd channel;                         // see channel.h
  std::array<int, 3> stdio = {-1, -1, -1};  // host descriptors for the guest's 0, 1, 2; -1: closed
  int log_fd = -1;
  LogLevel log_level = LogLevel::kInfo;
  bool strace = false;
  bool root_overlay = true;  // writes to the root stay in the sandbox's memory
  bool root_read_only = false;
  std::vector<Volume> volumes;
  bool host_network = false;
  uint64_t memory_limit = 0;         // bytes; 0: as much as the host has
  CgroupLimits limits_inside;        // what /sys/fs/cgroup shows; of these, tasks are limited here
  uint64_t host_tasks = UINT64_MAX;  // how many threads the host allows

  std::string hostname = "runsc";
  std::vector<std::string> arguments;  // the command; the first one is looked up in PATH
  std::vector<std::string> environment;
  std::string working_directory = "/";
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;
  uint64_t capabilities = 0;
  uint32_t umask = 022;
  uint64_t ignored_signals = 0;  // what the command inherits; bit n-1 for signal n
  uint64_t blocked_signals = 0;
  bool ordinary_init = false;  // InitOptions::is_ordinary
  std::array<ResourceLimit, ResourceLimits::kCount> limits = ResourceLimits().GetAll();

  // The ids to become before the confinement; unset: stay. In the process's user namespace.
  std::optional<uint32_t> host_uid, host_gid;
  bool own_mount_namespace = true;
  bool seccomp = true;  // off only to find out what the policy lacks
};

// The exit code of the process; the guest's own status goes through the channel.
int BootSentry(BootOptions options);

}  // namespace runsc

#endif  // SENTRY_BOOT_BOOT_H_
