// BootSentry: from a process that its caller has put into fresh namespaces to a running
// guest, and to the end of it. Order: confine (empty root, no capabilities, only the
// descriptors listed here), platform, seccomp filter, then threads, then guest code.
//
// Called on the only thread of the process; does not return before the sandbox ends.
#ifndef SENTRY_BOOT_BOOT_H_
#define SENTRY_BOOT_BOOT_H_

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/base/log.h"
#include "platform/base/unique_fd.h"
#include "platform/host/security_label.h"
#include "sentry/control/process_spec.h"
#include "sentry/fsimpl/cgroup.h"

namespace runsc {

// The host calls that a Sentry of that kind may make.
std::span<const sock_filter> SentryFilter(std::string_view platform, bool host_sockets);

// The name of the fastest platform that this machine has.
std::string DefaultPlatform();

// Of config.json: linux.timeOffsets.
struct TimeOffsetsSpec {
  int64_t monotonic_seconds = 0, boottime_seconds = 0;
  uint32_t monotonic_nanoseconds = 0, boottime_nanoseconds = 0;

  template <typename Coder>
  void Fields(Coder& coder) {
    coder(monotonic_seconds, boottime_seconds, monotonic_nanoseconds, boottime_nanoseconds);
  }
};

struct BootOptions {
  struct Volume {
    uint32_t gofer_root = 0;  // index among the Gofer's roots; 0 is the root filesystem
    std::string destination;  // absolute path in the sandbox
    bool read_only = false;
  };
  // A mount of a container, in the order of config.json.
  struct MountSpec {
    std::string destination;             // absolute path in the sandbox; symlinks stay inside of it
    std::string type;                    // a filesystem type; "" with a root of the Gofer
    std::string source;                  // what /proc/mounts shows
    std::optional<uint32_t> gofer_root;  // index among the Gofer's roots: a bind mount
    uint64_t flags = 0;                  // MS_*
    uint64_t propagation = 0;            // MS_SHARED and so on, with MS_REC; 0: as the mount comes to be
    std::string data;
    bool copy_up = false;  // of a tmpfs: what is in the image there is in it too
  };
  struct DeviceSpec {
    std::string path;
    uint32_t mode = 0;  // with its type
    uint64_t device = 0;
    uint32_t uid = 0, gid = 0;
  };
  // The rest of a container's file tree; without it, the one that a command finds (`runsc do`).
  struct ContainerTree {
    std::vector<MountSpec> mounts;
    std::vector<DeviceSpec> devices;
    std::vector<std::string> masked_paths, read_only_paths;
    std::vector<std::pair<std::string, std::string>> sysctls;  // "kernel.shmmax": value
  };

  std::string platform = DefaultPlatform();
  UniqueFd gofer_socket;
  UniqueFd channel;                         // see channel.h
  std::array<int, 3> stdio = {-1, -1, -1};  // host descriptors for the guest's 0, 1, 2; -1: closed
  std::vector<int> more_files;              // the guest's 3, 4, …
  int log_fd = -1;
  LogLevel log_level = LogLevel::kInfo;
  bool strace = false;
  bool root_overlay = true;  // writes to the root stay in the sandbox's memory
  bool root_read_only = false;
  uint64_t root_propagation = 0;  // of a container, as in MountSpec
  std::vector<Volume> volumes;
  bool host_sockets = false;         // internet sockets, which are the host's
  bool own_network = true;           // not the caller's network namespace
  uint64_t memory_limit = 0;         // bytes; 0: as much as the host has
  uint64_t host_memory = 0;          // bytes; found out at boot
  CgroupLimits limits_inside;        // what /sys/fs/cgroup shows; of these, tasks are limited here
  uint64_t host_tasks = UINT64_MAX;  // how many threads the host allows

  std::string container_id;      // "": of a command
  TimeOffsetsSpec time_offsets;  // all zero: the machine's clocks
  std::string hostname = "runsc";
  std::string domainname = "(none)";
  ProcessSpec process;
  std::optional<ContainerTree> container;
  bool ordinary_init = false;  // InitOptions::is_ordinary
  // The command waits for ControlMessage::kStart, and control connections are served.
  bool controlled = false;

  // The ids to become before the confinement; unset: stay. In the process's user namespace.
  std::optional<uint32_t> host_uid, host_gid;
  SecurityLabel label;  // of this process and of all that it makes
  bool own_mount_namespace = true;
  bool seccomp = true;  // off only to find out what the policy lacks
};

// The exit code of the process; the guest's own status goes through the channel.
int BootSentry(BootOptions options);

}  // namespace runsc

#endif  // SENTRY_BOOT_BOOT_H_
