#include "runsc/lifecycle/sandbox_config.h"

#include <fmt/format.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "runsc/oci/json_reader.h"
#include "runsc/oci/mount_options.h"
#include "runsc/oci/seccomp.h"
#include "runsc/sandbox/network.h"

namespace runsc {
namespace {

constexpr char kFile[] = "config.json";

absl::Status Wrong(const std::string& field, const std::string& why) {
  return absl::InvalidArgumentError(fmt::format("{}: {}: {}", kFile, field, why));
}

absl::StatusOr<std::string> RealPath(const std::string& path, const std::string& field) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return Wrong(field, fmt::format("{}: {}", path, ErrorText(errno)));
  std::string result = real;
  ::free(real);
  return result;
}

class Builder {
 public:
  Builder(const oci::Spec& spec, const std::string& bundle, const SandboxConfig& config)
      : spec_(spec), bundle_(bundle), config_(config) {}

  absl::StatusOr<SandboxOptions> Build() {
    if (!config_.platform.empty()) options_.boot.platform = config_.platform;
    options_.boot.container.emplace();
    options_.container.emplace();
    if (absl::Status status = AddRoot(); !status.ok()) return status;
    for (size_t i = 0; i < spec_.mounts.size(); ++i) {
      if (absl::Status status = AddMount(spec_.mounts[i], fmt::format("mounts[{}]", i)); !status.ok())
        return status;
    }
    BootOptions::ContainerTree& tree = *options_.boot.container;
    for (const oci::Device& device : spec_.linux.devices) tree.devices.push_back(MakeDevice(device));
    options_.boot.root_propagation = oci::DecodePropagation(spec_.linux.rootfs_propagation);
    tree.masked_paths = spec_.linux.masked_paths;
    tree.read_only_paths = spec_.linux.readonly_paths;
    if (absl::Status status = AddSysctls(); !status.ok()) return status;
    AddNames();
    AddLimits();
    AddMappings();
    AddTimeOffsets();
    absl::StatusOr<ProcessSpec> process = MakeProcessSpec(*spec_.process, spec_.linux);
    if (!process.ok()) return process.status();
    options_.boot.process = *std::move(process);
    options_.boot.controlled = true;
    ChooseNetwork(config_.network, "host", options_.boot);
    return std::move(options_);
  }

 private:
  absl::Status AddRoot() {
    absl::StatusOr<std::string> path = RealPath(oci::RootPath(spec_, bundle_), "root.path");
    if (!path.ok()) return path.status();
    struct stat status {};
    if (::stat(path->c_str(), &status) != 0)
      return Wrong("root.path", fmt::format("{}: {}", *path, ErrorText(errno)));
    if (!S_ISDIR(status.st_mode)) return Wrong("root.path", fmt::format("{}: is not a directory", *path));
    options_.boot.root_overlay = config_.overlay;
    options_.boot.root_read_only = spec_.root.readonly;
    options_.roots.push_back({*path, config_.overlay});
    return absl::OkStatus();
  }

  absl::Status AddMount(const oci::Mount& mount, const std::string& field) {
    oci::MountOptions decoded = oci::DecodeMountOptions(mount);
    BootOptions::MountSpec spec;
    spec.destination = mount.destination.starts_with("/") ? mount.destination : "/" + mount.destination;
    spec.source = mount.source;
    spec.flags = decoded.EffectiveFlags() & ~uint64_t{MS_BIND | MS_REC};
    spec.propagation = decoded.propagation;
    spec.data = decoded.data;
    spec.copy_up = decoded.copy_up;
    bool is_bind = decoded.is_bind() || mount.type == "bind" || mount.type == "rbind";
    if (!is_bind) {
      spec.type = mount.type == "shm" ? "tmpfs" : mount.type;
      if (spec.source.empty()) spec.source = spec.type;
      options_.boot.container->mounts.push_back(std::move(spec));
      return absl::OkStatus();
    }
    std::string source = mount.source.starts_with("/") ? mount.source : bundle_ + "/" + mount.source;
    absl::StatusOr<std::string> real = RealPath(source, field + ".source");
    if (!real.ok()) return real.status();
    struct stat status {};
    if (::stat(real->c_str(), &status) != 0)
      return Wrong(field + ".source", fmt::format("{}: {}", *real, ErrorText(errno)));
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
      if (oci::IsIdMapped(mount)) return Wrong(field + ".source", "a device node cannot be id-mapped");
      // The Sentry's device of that number, or none.
      options_.boot.container->devices.push_back(
          {spec.destination, status.st_mode, status.st_rdev, status.st_uid, status.st_gid});
      return absl::OkStatus();
    }
    bool read_only = decoded.is_read_only();
    spec.gofer_root = static_cast<uint32_t>(options_.roots.size());
    spec.source = *real;
    SandboxOptions::Root root{*real, read_only, (decoded.flags & MS_REC) != 0};
    if (absl::Status status = MapIds(mount, decoded, field, &root); !status.ok()) return status;
    options_.roots.push_back(std::move(root));
    options_.boot.container->mounts.push_back(std::move(spec));
    return absl::OkStatus();
  }

  // Mappings of its own, or else those of the container's user namespace.
  absl::Status MapIds(const oci::Mount& mount, const oci::MountOptions& decoded, const std::string& field,
                      SandboxOptions::Root* root) {
    if (!oci::IsIdMapped(mount)) return absl::OkStatus();
    if (::geteuid() != 0) return Wrong(field, "id-mapped mounts are not supported for rootless containers");
    const bool has_own = !mount.uid_mappings.empty();
    root->uid_map = ToIdMappings(has_own ? mount.uid_mappings : spec_.linux.uid_mappings);
    root->gid_map = ToIdMappings(has_own ? mount.gid_mappings : spec_.linux.gid_mappings);
    root->map_below = decoded.id_map_below;
    return absl::OkStatus();
  }

  static std::vector<IdMapping> ToIdMappings(const std::vector<oci::IdMapping>& mappings) {
    std::vector<IdMapping> result;
    for (const oci::IdMapping& mapping : mappings)
      result.push_back({mapping.container_id, mapping.host_id, mapping.size});
    return result;
  }

  static BootOptions::DeviceSpec MakeDevice(const oci::Device& device) {
    uint32_t type = device.type == 'b' ? S_IFBLK : device.type == 'p' ? S_IFIFO : S_IFCHR;
    BootOptions::DeviceSpec spec;
    spec.path = device.path;
    spec.mode = type | (device.file_mode.value_or(0666) & 07777);
    spec.device = makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
    spec.uid = device.uid.value_or(0);
    spec.gid = device.gid.value_or(0);
    return spec;
  }

  // The kernel's and the network's, as those alone belong to namespaces that a container has.
  absl::Status AddSysctls() {
    for (const auto& [name, value] : spec_.linux.sysctl) {
      std::string field = fmt::format("linux.sysctl[{}]", name);
      std::string dotted = name;
      std::replace(dotted.begin(), dotted.end(), '/', '.');
      bool known = dotted.starts_with("kernel.shm") || dotted.starts_with("kernel.msg") ||
                   dotted == "kernel.sem" || dotted.starts_with("fs.mqueue.") || dotted.starts_with("net.") ||
                   dotted == "kernel.domainname";
      if (!known) return Wrong(field, "is not in a separate namespace");
      if (dotted.starts_with("net.") && spec_.linux.FindNamespace(oci::NamespaceType::kNetwork) == nullptr)
        return Wrong(field, "is not allowed in the host's network namespace");
      options_.boot.container->sysctls.emplace_back(dotted, value);
    }
    return absl::OkStatus();
  }

  void AddNames() {
    options_.boot.hostname = spec_.hostname;
    if (options_.boot.hostname.empty()) {
      char name[HOST_NAME_MAX + 1] = "runsc";
      (void)::gethostname(name, sizeof(name) - 1);
      options_.boot.hostname = name;
    }
    if (!spec_.domainname.empty()) options_.boot.domainname = spec_.domainname;
  }

  void AddLimits() {
    using Limits = ControlMessage::Limits;
    Limits limits = LimitsInside(spec_.linux.resources);
    CgroupLimits& inside = options_.boot.limits_inside;
    options_.boot.memory_limit = limits.memory;
    if (limits.tasks != 0) inside.tasks = limits.tasks;
    if (limits.cpu_quota != 0) inside.cpu_quota = static_cast<int64_t>(limits.cpu_quota);
    if ((limits.given & Limits::kCpuPeriod) != 0) inside.cpu_period = limits.cpu_period;
    if ((limits.given & Limits::kCpuWeight) != 0) inside.cpu_weight = limits.cpu_weight;
  }

  // Those of a user namespace; without one they mean nothing, and the creator is told.
  void AddMappings() {
    if (spec_.linux.FindNamespace(oci::NamespaceType::kUser) == nullptr) return;
    options_.container->uid_mappings = ToIdMappings(spec_.linux.uid_mappings);
    options_.container->gid_mappings = ToIdMappings(spec_.linux.gid_mappings);
  }

  void AddTimeOffsets() {
    TimeOffsetsSpec& offsets = options_.boot.time_offsets;
    for (const auto& [clock, offset] : spec_.linux.time_offsets) {
      const bool is_boottime = clock == "boottime";
      (is_boottime ? offsets.boottime_seconds : offsets.monotonic_seconds) = offset.secs;
      (is_boottime ? offsets.boottime_nanoseconds : offsets.monotonic_nanoseconds) = offset.nanosecs;
    }
  }

  const oci::Spec& spec_;
  const std::string& bundle_;
  const SandboxConfig& config_;
  SandboxOptions options_;
};

}  // namespace

ControlMessage::Limits LimitsInside(const oci::Resources& resources) {
  using Limits = ControlMessage::Limits;
  Limits limits{};
  auto set = [&](Limits::Given which, uint64_t& field, int64_t value) {
    limits.given |= which;
    field = value > 0 ? static_cast<uint64_t>(value) : 0;
  };
  if (resources.memory && resources.memory->limit && *resources.memory->limit != 0)
    set(Limits::kMemory, limits.memory, *resources.memory->limit);
  if (resources.pids_limit && *resources.pids_limit != 0)
    set(Limits::kTasks, limits.tasks, *resources.pids_limit);
  if (!resources.cpu) return limits;
  const oci::CpuResources& cpu = *resources.cpu;
  if (cpu.quota && *cpu.quota != 0) set(Limits::kCpuQuota, limits.cpu_quota, *cpu.quota);
  if (cpu.period && *cpu.period != 0) {
    limits.given |= Limits::kCpuPeriod;
    limits.cpu_period = *cpu.period;
  }
  if (cpu.shares && *cpu.shares >= 2) {
    // As runc converts it: 2 to 262,144 becomes 1 to 10,000.
    uint64_t shares = std::min<uint64_t>(*cpu.shares, 262144);
    limits.given |= Limits::kCpuWeight;
    limits.cpu_weight = 1 + (shares - 2) * 9999 / 262142;
  }
  return limits;
}

absl::StatusOr<SandboxOptions> MakeSandboxOptions(const oci::Spec& spec, const std::string& bundle,
                                                  const SandboxConfig& config) {
  if (!spec.process) return Wrong("process", "is missing");
  return Builder(spec, bundle, config).Build();
}

namespace {

// As sched_setattr(2) decides, in a task whose policy is still SCHED_OTHER.
absl::Status SetScheduling(const oci::Scheduler& wanted, ProcessSpec& spec) {
  constexpr uint64_t kResetOnFork = 1, kReclaim = 2, kOverrun = 4, kKeepPolicy = 8, kKeepParams = 16;
  constexpr uint64_t kUtilizationClamp = 96;
  uint64_t flags = 0;
  for (const std::string& name : wanted.flags) flags |= oci::SchedulingFlag(name).value_or(0);
  if ((flags & kUtilizationClamp) != 0)
    return Wrong("process.scheduler.flags", "utilization clamping is not supported");
  Scheduling scheduling;
  bool keeps_policy = (flags & kKeepPolicy) != 0;
  if (!keeps_policy) scheduling.policy = oci::SchedulingPolicyNumber(wanted.policy).value_or(-1);
  if (!keeps_policy) scheduling.reset_on_fork = (flags & kResetOnFork) != 0;
  if ((flags & kKeepParams) != 0) {
    // What is kept is what every task begins with, policy and all.
    spec.scheduling = {};
    spec.scheduling.reset_on_fork = scheduling.reset_on_fork;
    return IsValid(scheduling) ? absl::OkStatus() : Wrong("process.scheduler", "invalid argument");
  }
  scheduling.priority = wanted.priority;
  if (scheduling.policy == SCHED_DEADLINE) {
    scheduling.runtime = wanted.runtime;
    scheduling.deadline = wanted.deadline;
    scheduling.period = wanted.period;
    scheduling.deadline_flags = flags & (kReclaim | kOverrun);
  }
  if (!IsValid(scheduling)) {
    if (!IsSchedulingPolicy(scheduling.policy))
      return Wrong("process.scheduler.policy", fmt::format("Linux does not have '{}'", wanted.policy));
    return Wrong("process.scheduler",
                 scheduling.policy == SCHED_DEADLINE
                     ? "runtime <= deadline <= period must hold, with 1024 ns and 100 us at least"
                     : "the priority needs another policy");
  }
  if (scheduling.policy == SCHED_DEADLINE && scheduling.period == 0) scheduling.period = scheduling.deadline;
  if (IsFairPolicy(scheduling.policy)) spec.nice = wanted.nice;
  spec.scheduling = scheduling;
  return absl::OkStatus();
}

// Of a variable that is set twice the last value counts, in the first one's place.
std::vector<std::string> LastOfEach(const std::vector<std::string>& environment) {
  std::vector<std::string> result;
  for (const std::string& variable : environment) {
    size_t equals = variable.find('=');
    std::string_view name =
        std::string_view(variable).substr(0, equals == std::string::npos ? equals : equals + 1);
    auto before = std::find_if(result.begin(), result.end(),
                               [&](const std::string& other) { return other.starts_with(name); });
    if (before == result.end()) {
      result.push_back(variable);
    } else {
      *before = variable;
    }
  }
  return result;
}

}  // namespace

absl::StatusOr<ProcessSpec> MakeProcessSpec(const oci::Process& process, const oci::Linux& container) {
  ProcessSpec spec;
  spec.arguments = process.args;
  spec.environment = LastOfEach(process.env);
  spec.working_directory = process.cwd.empty() ? "/" : process.cwd;
  spec.uid = process.user.uid;
  spec.gid = process.user.gid;
  spec.groups = process.user.additional_gids;
  spec.umask = process.user.umask.value_or(022);
  spec.no_new_privileges = process.no_new_privileges;
  spec.oom_score_adj = process.oom_score_adj.value_or(0);
  spec.container = true;
  if (process.scheduler) {
    if (absl::Status set = SetScheduling(*process.scheduler, spec); !set.ok()) return set;
  }
  if (process.io_priority) spec.io_priority = oci::IoPriorityNumber(*process.io_priority);
  if (container.personality && container.personality->domain == "LINUX32") spec.personality = PER_LINUX32;
  if (process.capabilities) {
    spec.bounding = process.capabilities->bounding;
    spec.permitted = process.capabilities->permitted;
    spec.effective = process.capabilities->effective;
    spec.inheritable = process.capabilities->inheritable;
    spec.ambient = process.capabilities->ambient;
  }
  for (int resource = 0; resource < ResourceLimits::kCount; ++resource) {
    rlimit limit{};
    if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0)
      spec.limits[static_cast<size_t>(resource)] = {limit.rlim_cur, limit.rlim_max};
  }
  for (const oci::Rlimit& limit : process.rlimits) {
    if (limit.resource >= 0 && limit.resource < ResourceLimits::kCount)
      spec.limits[static_cast<size_t>(limit.resource)] = {limit.soft, limit.hard};
  }
  if (!container.seccomp) return spec;
  absl::StatusOr<oci::SeccompProgram> program = oci::CompileSeccomp(*container.seccomp);
  if (!program.ok()) return program.status();
  spec.seccomp_flags = program->flags;
  for (const sock_filter& instruction : program->filter)
    spec.seccomp_program.push_back(std::bit_cast<uint64_t>(instruction));
  return spec;
}

}  // namespace runsc
