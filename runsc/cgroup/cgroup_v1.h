// CgroupV1: one directory a controller.
#ifndef RUNSC_CGROUP_CGROUP_V1_H_
#define RUNSC_CGROUP_CGROUP_V1_H_

#include "runsc/cgroup/cgroup.h"
#include "runsc/cgroup/limit_writer.h"

namespace runsc {

class CgroupV1 : public Cgroup {
 public:
  CgroupV1(Paths paths, std::map<std::string, std::string> tops)
      : Cgroup(std::move(paths), std::move(tops)) {}

  absl::Status Apply(const oci::Resources& resources) override;
  absl::Status Freeze() override;
  absl::Status Thaw() override;
  CgroupStats Stats() const override;
  uint64_t OomKills() const override;

 protected:
  uint64_t MemoryUsage() const override;
  // A new group of the cpuset controller is unusable until it has processors and memory nodes: its parent's.
  absl::Status Prepare(const std::string& directory) override;

 private:
  std::string Find(const std::string& controller, const char* file) const;  // the path; "" without controller
  void ApplyMemory(const oci::MemoryResources& memory, LimitWriter& set);
  void ApplyDevices(const std::vector<oci::DeviceRule>& rules, LimitWriter& set);
};

}  // namespace runsc

#endif  // RUNSC_CGROUP_CGROUP_V1_H_
