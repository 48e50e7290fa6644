// The limits of config.json as files of version 1 of control groups.
#include <fmt/format.h>

#include "runsc/cgroup/cgroup_v1.h"
#include "runsc/cgroup/files.h"

namespace runsc {
namespace {

template <typename T>
bool Given(const std::optional<T>& value) {
  return value.value_or(0) != 0;
}

std::string Number(const auto& value) { return std::to_string(*value); }

// A quota that is too much for the old period, or a period too short for the old quota, is refused: so which
// of the two goes first depends.
void ApplyCpuQuota(const oci::CpuResources& cpu, LimitWriter& set) {
  if (!set.ok()) return;
  bool period_later = false;
  if (Given(cpu.period)) {
    std::string directory = set.Directory("cpu", "cpu.period");
    if (!set.ok()) return;
    absl::Status status = cgroup_files::Write(directory + "/cpu.cfs_period_us", Number(cpu.period));
    period_later = absl::IsInvalidArgument(status) && Given(cpu.quota);
    if (!status.ok() && !period_later) set.Fail(status);
  }
  if (Given(cpu.quota)) set.Set("cpu", "cpu.cfs_quota_us", Number(cpu.quota), "cpu.quota");
  if (period_later) set.Set("cpu", "cpu.cfs_period_us", Number(cpu.period), "cpu.period");
}

void ApplyCpu(const oci::CpuResources& cpu, LimitWriter& set) {
  if (Given(cpu.shares)) set.Set("cpu", "cpu.shares", Number(cpu.shares), "cpu.shares");
  ApplyCpuQuota(cpu, set);
  if (cpu.burst.has_value()) set.Set("cpu", "cpu.cfs_burst_us", Number(cpu.burst), "cpu.burst");
  if (Given(cpu.realtime_period))
    set.Set("cpu", "cpu.rt_period_us", Number(cpu.realtime_period), "cpu.realtimePeriod");
  if (Given(cpu.realtime_runtime))
    set.Set("cpu", "cpu.rt_runtime_us", Number(cpu.realtime_runtime), "cpu.realtimeRuntime");
  if (cpu.idle.has_value()) set.Set("cpu", "cpu.idle", Number(cpu.idle), "cpu.idle");
  if (!cpu.cpus.empty()) set.Set("cpuset", "cpuset.cpus", cpu.cpus, "cpu.cpus");
  if (!cpu.mems.empty()) set.Set("cpuset", "cpuset.mems", cpu.mems, "cpu.mems");
}

void ApplyThrottle(const std::vector<oci::ThrottleDevice>& devices, const char* file, const char* field,
                   LimitWriter& set) {
  for (const oci::ThrottleDevice& device : devices)
    set.Set("blkio", file, fmt::format("{}:{} {}", device.major, device.minor, device.rate), field);
}

void ApplyBlockIo(const oci::BlockIoResources& block_io, const std::string& directory, LimitWriter& set) {
  // Which of the two is there depends on the scheduler of the disks.
  bool bfq = !directory.empty() && cgroup_files::Exists(directory + "/blkio.bfq.weight");
  std::string weight_file = bfq ? "blkio.bfq.weight" : "blkio.weight";
  if (Given(block_io.weight)) set.Set("blkio", weight_file, Number(block_io.weight), "blockIO.weight");
  if (Given(block_io.leaf_weight))
    set.Set("blkio", "blkio.leaf_weight", Number(block_io.leaf_weight), "blockIO.leafWeight");
  for (const oci::WeightDevice& device : block_io.weight_devices) {
    auto line = [&](uint16_t weight) { return fmt::format("{}:{} {}", device.major, device.minor, weight); };
    if (device.weight.has_value())
      set.Set("blkio", weight_file + "_device", line(*device.weight), "blockIO.weightDevice");
    if (device.leaf_weight.has_value())
      set.Set("blkio", "blkio.leaf_weight_device", line(*device.leaf_weight), "blockIO.weightDevice");
  }
  ApplyThrottle(block_io.read_bps, "blkio.throttle.read_bps_device", "blockIO.throttleReadBpsDevice", set);
  ApplyThrottle(block_io.write_bps, "blkio.throttle.write_bps_device", "blockIO.throttleWriteBpsDevice", set);
  ApplyThrottle(block_io.read_iops, "blkio.throttle.read_iops_device", "blockIO.throttleReadIOPSDevice", set);
  ApplyThrottle(block_io.write_iops, "blkio.throttle.write_iops_device", "blockIO.throttleWriteIOPSDevice",
                set);
}

std::string DeviceLine(const oci::DeviceRule& rule) {
  auto number = [](const std::optional<int64_t>& value) {
    return value.value_or(-1) < 0 ? std::string("*") : std::to_string(*value);
  };
  return fmt::format("{} {}:{} {}", rule.type, number(rule.major), number(rule.minor),
                     rule.access.empty() ? "rwm" : rule.access);
}

}  // namespace

void CgroupV1::ApplyMemory(const oci::MemoryResources& memory, LimitWriter& set) {
  bool has_limit = Given(memory.limit);
  std::optional<int64_t> swap = memory.swap;
  std::string directory = paths_.contains("memory") ? paths_.at("memory") : "";
  // No limit of memory implies none of memory and swap.
  if (memory.limit.value_or(0) == -1 && !Given(swap) &&
      cgroup_files::Exists(directory + "/memory.memsw.limit_in_bytes"))
    swap = -1;
  auto set_limit = [&] {
    if (has_limit) set.Set("memory", "memory.limit_in_bytes", Number(memory.limit), "memory.limit");
  };
  auto set_swap = [&] {
    if (Given(swap)) set.Set("memory", "memory.memsw.limit_in_bytes", Number(swap), "memory.swap");
  };
  // The limit of both must never be below that of memory alone.
  uint64_t current = cgroup_files::ReadNumber(directory + "/memory.limit_in_bytes");
  bool swap_first = has_limit && Given(swap) && (*swap == -1 || current < static_cast<uint64_t>(*swap));
  if (swap_first) set_swap();
  set_limit();
  if (!swap_first) set_swap();
  if (Given(memory.reservation))
    set.Set("memory", "memory.soft_limit_in_bytes", Number(memory.reservation), "memory.reservation");
  if (Given(memory.kernel)) set.Refuse("memory.kernel", "Linux has no such limit any more");
  if (Given(memory.kernel_tcp))
    set.Set("memory", "memory.kmem.tcp.limit_in_bytes", Number(memory.kernel_tcp), "memory.kernelTCP");
  if (memory.swappiness.has_value())
    set.Set("memory", "memory.swappiness", Number(memory.swappiness), "memory.swappiness");
  if (memory.disable_oom_killer.value_or(false))
    set.Set("memory", "memory.oom_control", "1", "memory.disableOOMKiller");
}

// Those that every container may use, whatever the rules: null, zero, full, random, urandom, tty, ptmx,
// pts/*; and making nodes of any.
void CgroupV1::ApplyDevices(const std::vector<oci::DeviceRule>& rules, LimitWriter& set) {
  if (rules.empty() || !paths_.contains("devices")) return;
  for (const oci::DeviceRule& rule : rules)
    set.Set("devices", rule.allow ? "devices.allow" : "devices.deny", DeviceLine(rule), "devices");
  constexpr const char* kAlways[] = {"c *:* m",   "b *:* m",   "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm",
                                     "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm"};
  for (const char* line : kAlways) set.Set("devices", "devices.allow", line, "devices");
}

absl::Status CgroupV1::Apply(const oci::Resources& resources) {
  LimitWriter set(paths_);
  set.Fail(CheckMemoryUsage(resources));
  ApplyDevices(resources.devices, set);
  if (resources.memory.has_value()) ApplyMemory(*resources.memory, set);
  if (resources.cpu.has_value()) ApplyCpu(*resources.cpu, set);
  if (Given(resources.pids_limit))
    set.Set("pids", "pids.max", *resources.pids_limit > 0 ? Number(resources.pids_limit) : "max",
            "pids.limit");
  if (resources.block_io.has_value())
    ApplyBlockIo(*resources.block_io, paths_.contains("blkio") ? paths_.at("blkio") : "", set);
  for (const oci::HugepageLimit& limit : resources.hugepage_limits)
    set.Set("hugetlb", fmt::format("hugetlb.{}.limit_in_bytes", limit.page_size), std::to_string(limit.limit),
            "hugepageLimits");
  if (resources.network.has_value()) {
    if (resources.network->class_id.has_value())
      set.Set("net_cls", "net_cls.classid", Number(resources.network->class_id), "network.classID");
    for (const oci::NetworkPriority& priority : resources.network->priorities)
      set.Set("net_prio", "net_prio.ifpriomap", fmt::format("{} {}", priority.name, priority.priority),
              "network.priorities");
  }
  for (const auto& [device, limit] : resources.rdma) {
    if (limit.hca_handles.has_value())
      set.Set("rdma", "rdma.max", fmt::format("{} hca_handle={}", device, *limit.hca_handles), "rdma");
    if (limit.hca_objects.has_value())
      set.Set("rdma", "rdma.max", fmt::format("{} hca_object={}", device, *limit.hca_objects), "rdma");
  }
  if (!resources.unified.empty())
    set.Refuse("unified", "needs version 2 of cgroups, and this machine has version 1");
  return set.status();
}

}  // namespace runsc
