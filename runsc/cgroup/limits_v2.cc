// The limits of config.json, which are version 1's, as files of version 2 of control groups.
#include <fmt/format.h>

#include "runsc/cgroup/cgroup_v2.h"
#include "runsc/cgroup/files.h"

namespace runsc {
namespace {

template <typename T>
bool Given(const std::optional<T>& value) {
  return value.value_or(0) != 0;
}

std::string NumberOrMax(int64_t value) { return value < 0 ? "max" : std::to_string(value); }

void ApplyMemory(const oci::MemoryResources& memory, const std::string& directory, LimitWriter& set) {
  // config.json's swap is memory and swap together; here swap is counted alone.
  if (Given(memory.swap)) {
    int64_t limit = memory.limit.value_or(0);
    if (*memory.swap < 0) {
      set.Set("memory", "memory.swap.max", "max", "memory.swap");
    } else if (limit <= 0) {
      set.Refuse("memory.swap", "needs memory.limit with version 2 of cgroups");
    } else if (*memory.swap < limit) {
      set.Refuse("memory.swap", fmt::format("must not be less than memory.limit ({})", limit));
    } else {
      set.Set("memory", "memory.swap.max", std::to_string(*memory.swap - limit), "memory.swap");
    }
  } else if (memory.limit.value_or(0) == -1 && cgroup_files::Exists(directory + "/memory.swap.max")) {
    set.Set("memory", "memory.swap.max", "max", "memory.swap");
  }
  if (Given(memory.limit)) set.Set("memory", "memory.max", NumberOrMax(*memory.limit), "memory.limit");
  if (Given(memory.reservation))
    set.Set("memory", "memory.low", NumberOrMax(*memory.reservation), "memory.reservation");
  constexpr const char* kNone = "version 2 of cgroups has no such limit";
  if (Given(memory.kernel)) set.Refuse("memory.kernel", kNone);
  if (Given(memory.kernel_tcp)) set.Refuse("memory.kernelTCP", kNone);
  if (memory.swappiness.has_value()) set.Refuse("memory.swappiness", kNone);
  if (memory.disable_oom_killer.value_or(false)) set.Refuse("memory.disableOOMKiller", kNone);
}

void ApplyCpu(const oci::CpuResources& cpu, LimitWriter& set) {
  if (Given(cpu.shares)) set.Set("cpu", "cpu.weight", std::to_string(CpuWeight(*cpu.shares)), "cpu.shares");
  if (Given(cpu.quota) || Given(cpu.period)) {
    std::string line = cpu.quota.value_or(0) > 0 ? std::to_string(*cpu.quota) : "max";
    if (Given(cpu.period)) line += " " + std::to_string(*cpu.period);
    set.Set("cpu", "cpu.max", line, "cpu.quota");
  }
  if (cpu.burst.has_value()) set.Set("cpu", "cpu.max.burst", std::to_string(*cpu.burst), "cpu.burst");
  if (Given(cpu.realtime_runtime) || Given(cpu.realtime_period))
    set.Refuse("cpu.realtimeRuntime", "version 2 of cgroups has no such limit");
  if (cpu.idle.has_value()) set.Set("cpu", "cpu.idle", std::to_string(*cpu.idle), "cpu.idle");
  if (!cpu.cpus.empty()) set.Set("cpuset", "cpuset.cpus", cpu.cpus, "cpu.cpus");
  if (!cpu.mems.empty()) set.Set("cpuset", "cpuset.mems", cpu.mems, "cpu.mems");
}

void ApplyIo(const oci::BlockIoResources& block_io, const std::string& directory, LimitWriter& set) {
  bool bfq = cgroup_files::Exists(directory + "/io.bfq.weight");
  auto weight = [&](uint64_t value) { return bfq ? value : IoWeight(value); };
  std::string file = bfq ? "io.bfq.weight" : "io.weight";
  if (Given(block_io.weight)) set.Set("io", file, std::to_string(weight(*block_io.weight)), "blockIO.weight");
  if (Given(block_io.leaf_weight))
    set.Refuse("blockIO.leafWeight", "version 2 of cgroups has no such weight");
  for (const oci::WeightDevice& device : block_io.weight_devices) {
    if (device.weight.has_value())
      set.Set("io", file, fmt::format("{}:{} {}", device.major, device.minor, weight(*device.weight)),
              "blockIO.weightDevice");
    if (device.leaf_weight.has_value())
      set.Refuse("blockIO.weightDevice", "version 2 of cgroups has no leaf weight");
  }
  auto throttle = [&](const std::vector<oci::ThrottleDevice>& devices, const char* key, const char* field) {
    for (const oci::ThrottleDevice& device : devices)
      set.Set("io", "io.max", fmt::format("{}:{} {}={}", device.major, device.minor, key, device.rate),
              field);
  };
  throttle(block_io.read_bps, "rbps", "blockIO.throttleReadBpsDevice");
  throttle(block_io.write_bps, "wbps", "blockIO.throttleWriteBpsDevice");
  throttle(block_io.read_iops, "riops", "blockIO.throttleReadIOPSDevice");
  throttle(block_io.write_iops, "wiops", "blockIO.throttleWriteIOPSDevice");
}

}  // namespace

absl::Status CgroupV2::Apply(const oci::Resources& resources) {
  LimitWriter set(paths_);
  set.Fail(CheckMemoryUsage(resources));
  std::string directory = paths_.contains("") ? paths_.at("") : "";
  if (resources.memory.has_value()) ApplyMemory(*resources.memory, directory, set);
  if (resources.cpu.has_value()) ApplyCpu(*resources.cpu, set);
  if (Given(resources.pids_limit))
    set.Set("pids", "pids.max", NumberOrMax(*resources.pids_limit), "pids.limit");
  if (resources.block_io.has_value()) ApplyIo(*resources.block_io, directory, set);
  for (const oci::HugepageLimit& limit : resources.hugepage_limits)
    set.Set("hugetlb", fmt::format("hugetlb.{}.max", limit.page_size), std::to_string(limit.limit),
            "hugepageLimits");
  if (resources.network.has_value() &&
      (Given(resources.network->class_id) || !resources.network->priorities.empty()))
    set.Refuse("network", "version 2 of cgroups has no such controller");
  for (const auto& [device, limit] : resources.rdma) {
    if (limit.hca_handles.has_value())
      set.Set("rdma", "rdma.max", fmt::format("{} hca_handle={}", device, *limit.hca_handles), "rdma");
    if (limit.hca_objects.has_value())
      set.Set("rdma", "rdma.max", fmt::format("{} hca_object={}", device, *limit.hca_objects), "rdma");
  }
  for (const auto& [file, value] : resources.unified) {
    if (file.find('/') != std::string::npos || file == "cgroup.procs" || file.starts_with(".")) {
      set.Refuse("unified", fmt::format("'{}' is no limit", file));
    } else {
      set.Set("", file, value, "unified");
    }
  }
  return set.status();
}

}  // namespace runsc
