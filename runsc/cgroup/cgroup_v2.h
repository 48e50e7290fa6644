// CgroupV2: one directory with all controllers.
#ifndef RUNSC_CGROUP_CGROUP_V2_H_
#define RUNSC_CGROUP_CGROUP_V2_H_

#include "runsc/cgroup/cgroup.h"
#include "runsc/cgroup/limit_writer.h"

namespace runsc {

class CgroupV2 : public Cgroup {
 public:
  CgroupV2(Paths paths, std::map<std::string, std::string> tops)
      : Cgroup(std::move(paths), std::move(tops)) {}

  // linux.resources.devices needs no doing here: no process of a sandbox opens a device node of a container
  // (the Gofer refuses them), and there is no controller for it but a program.
  absl::Status Apply(const oci::Resources& resources) override;
  absl::Status Freeze() override;
  absl::Status Thaw() override;
  CgroupStats Stats() const override;
  uint64_t OomKills() const override;

 protected:
  // Switches on in the parent what controllers it has.
  absl::Status Prepare(const std::string& directory) override;
  void KillNow() override;
  uint64_t MemoryUsage() const override;

 private:
  std::string File(const char* name) const;
  absl::Status SetFrozen(bool frozen);
};

// Values of version 1 as those of version 2.
uint64_t CpuWeight(uint64_t shares);       // 2…262144 as 1…10000
uint64_t IoWeight(uint64_t blkio_weight);  // 10…1000 as 1…10000

}  // namespace runsc

#endif  // RUNSC_CGROUP_CGROUP_V2_H_
