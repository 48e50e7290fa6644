// Cgroup: the control group of a container on the host, in whichever layout the machine has: version 1 (one
// directory a controller; also where version 2 is mounted beside it without controllers), or version 2.
// Linux counterparts: cgroups(7), Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst; the values of
// config.json are those of version 1 and are converted for version 2 as runc does.
//
// A limit that cannot be set is an error that names the file. Called by one thread.
#ifndef RUNSC_CGROUP_CGROUP_H_
#define RUNSC_CGROUP_CGROUP_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runsc/cgroup/layout.h"
#include "runsc/cgroup/stats.h"
#include "runsc/oci/spec.h"

namespace runsc {

class Cgroup {
 public:
  // By controller; "" is version 2's, kUnifiedBeside that of version 2 where the controllers are version 1's.
  using Paths = std::map<std::string, std::string>;
  static constexpr char kUnifiedBeside[] = "unified";

  virtual ~Cgroup() = default;
  const Paths& paths() const { return paths_; }

  // Makes the directories. Fails if there are processes in it already; leaves nothing behind if it fails.
  absl::Status Create() { return Make(std::nullopt); }
  // Makes what systemd, whose group it is, leaves out: hierarchies of version 1 and controllers of version 2
  // that it does not know. `member` is in it already; 0: nobody.
  absl::Status Complete(pid_t member) { return Make(member); }
  // Sets the limits that are given; others stay as they are.
  virtual absl::Status Apply(const oci::Resources& resources) = 0;
  // An error if a new limit of memory is not to be set because more is in use (checkBeforeUpdate).
  absl::Status CheckMemoryUsage(const oci::Resources& resources) const;
  absl::Status AddProcess(pid_t pid) const;  // 0: the calling process
  std::vector<pid_t> Processes() const;      // those of cgroups below it included
  // Waits until all processes have stopped.
  virtual absl::Status Freeze() = 0;
  virtual absl::Status Thaw() = 0;
  virtual CgroupStats Stats() const = 0;
  // How often the host killed a process of it for want of memory.
  virtual uint64_t OomKills() const = 0;
  // Kills all processes (but the caller) and waits until they are gone.
  absl::Status KillAll(std::chrono::milliseconds patience = std::chrono::seconds(10));
  // Kills what is in it and removes the directories, and those below.
  absl::Status Delete();

 protected:
  explicit Cgroup(Paths paths, std::map<std::string, std::string> tops)
      : paths_(std::move(paths)), tops_(std::move(tops)) {}
  // Called for each directory that Create made, or of a group that is completed, outermost first.
  virtual absl::Status Prepare(const std::string& directory) = 0;
  absl::Status Make(std::optional<pid_t> member);
  virtual void KillNow();
  virtual uint64_t MemoryUsage() const = 0;

  // Without those that are in two controllers' names.
  std::vector<std::string> Directories() const;

  Paths paths_;
  std::map<std::string, std::string> tops_;  // the mount point above each path
};

struct CgroupOptions {
  std::string
      cgroups_path;  // linux.cgroupsPath; "": a group named after the container below the caller's own
  std::string id;
  // Without the rights for it, and without cgroupsPath, there is a Cgroup that holds nothing.
  bool rootless = false;
};

// The cgroup that a new container is to have; nothing is made yet. An absolute cgroupsPath begins at the
// top of the hierarchies, a relative one at the caller's own group.
absl::StatusOr<std::unique_ptr<Cgroup>> NewCgroup(const CgroupLayout& layout, const CgroupOptions& options);
// One that systemd makes, or a part of it: it is at this path of each hierarchy.
std::unique_ptr<Cgroup> CgroupOfUnit(const CgroupLayout& layout, const std::string& control_group);
// One that was made before, by the paths it had.
std::unique_ptr<Cgroup> OpenCgroup(Cgroup::Paths paths);

// What the host has to be asked for so that a sandbox's guest has those limits: a guest's thread costs
// several of the host's, and the Sentry counts the guest's own.
oci::Resources HostLimits(oci::Resources resources);

}  // namespace runsc

#endif  // RUNSC_CGROUP_CGROUP_H_
