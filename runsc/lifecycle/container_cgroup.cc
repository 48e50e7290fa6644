#include "runsc/lifecycle/container_cgroup.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "runsc/cgroup/files.h"
#include "runsc/lifecycle/pod_annotations.h"

namespace runsc {
namespace {

absl::StatusOr<SystemdTarget> TargetOf(SystemdManager& systemd, bool unified) {
  absl::StatusOr<int> version = systemd.Version();
  if (!version.ok()) return version.status();
  return SystemdTarget{unified, *version};
}

// Whether systemd and we mean the same group: it may see the hierarchies from another place.
bool HasProcess(const Cgroup& cgroup, pid_t pid) {
  for (const char* hierarchy : {"", "name=systemd"}) {
    auto found = cgroup.paths().find(hierarchy);
    if (found == cgroup.paths().end()) continue;
    const std::vector<int> processes = cgroup_files::Processes(found->second);
    return std::find(processes.begin(), processes.end(), pid) != processes.end();
  }
  return true;
}

absl::Status RemoveUnit(const SystemdUnit& unit) {
  absl::StatusOr<SystemdManager> systemd = SystemdManager::Connect(unit.user);
  // A unit without processes ends by itself, where there is a systemd at all.
  return systemd.ok() ? systemd->Remove(unit) : absl::OkStatus();
}

}  // namespace

ContainerCgroup::ContainerCgroup(const oci::Spec& spec, ContainerState& state, ContainerCgroupOptions options)
    : spec_(spec), state_(state), options_(std::move(options)) {}

absl::Status ContainerCgroup::Prepare() {
  absl::StatusOr<CgroupLayout> layout = FindCgroupLayout();
  if (!layout.ok()) return layout.status();
  layout_ = *std::move(layout);
  limits_ = spec_.linux.resources;
  // Kubernetes gives this container, which sleeps elsewhere, next to no share of the CPUs. Here all of the
  // pod runs in it; what the pod may have is said by the control group above.
  if (IsSandboxOfPod(spec_) && limits_.cpu) limits_.cpu->shares.reset();
  limits_ = HostLimits(limits_);
  return options_.systemd ? PrepareUnit() : MakeDirectories();
}

absl::Status ContainerCgroup::MakeDirectories() {
  if (IsSystemdPath(spec_.linux.cgroups_path))
    options_.warn(fmt::format(
        "config.json: linux.cgroupsPath: '{}' is the name of a directory, for runsc was started without "
        "--systemd-cgroup",
        spec_.linux.cgroups_path));
  CgroupOptions options;
  options.cgroups_path = spec_.linux.cgroups_path;
  options.id = state_.id;
  options.rootless = options_.rootless;
  absl::StatusOr<std::unique_ptr<Cgroup>> cgroup = NewCgroup(layout_, options);
  if (!cgroup.ok()) return cgroup.status();
  cgroup_ = *std::move(cgroup);
  if (absl::Status status = cgroup_->Create(); !status.ok()) return status;
  made_ = true;
  state_.cgroup_paths = cgroup_->paths();
  if (absl::Status saved = options_.save(); !saved.ok()) return saved;
  return cgroup_->Apply(limits_);
}

absl::Status ContainerCgroup::PrepareUnit() {
  absl::StatusOr<SystemdUnit> unit = ParseSystemdUnit(spec_.linux.cgroups_path, state_.id, options_.rootless);
  if (!unit.ok()) return unit.status();
  if (unit->user && !layout_.is_unified())
    return absl::FailedPreconditionError(
        "cannot use rootless systemd cgroups manager on cgroup v1: only version 2 can be left to a user");
  absl::StatusOr<SystemdProperties> annotated = AnnotatedProperties(spec_.annotations);
  if (!annotated.ok()) return annotated.status();
  annotated_ = *std::move(annotated);
  for (const auto& [name, value] : annotated_) {
    if (name == "Description" && value.type() == "s") unit->description = value.get<std::string>();
  }
  absl::StatusOr<SystemdManager> systemd = SystemdManager::Connect(unit->user);
  if (!systemd.ok()) return systemd.status();
  systemd_ = *std::move(systemd);
  absl::StatusOr<SystemdTarget> target = TargetOf(*systemd_, layout_.is_unified());
  if (!target.ok()) return target.status();
  target_ = *target;
  if (absl::Status free = systemd_->CheckFree(*unit); !free.ok()) return free;
  state_.systemd_unit = *std::move(unit);
  return options_.save();
}

absl::Status ContainerCgroup::Add(pid_t monitor) {
  if (state_.systemd_unit) {
    if (absl::Status status = StartUnit(monitor); !status.ok()) return status;
  }
  absl::Status status = cgroup_->AddProcess(monitor);
  return status.ok() && state_.systemd_unit ? cgroup_->Apply(limits_) : status;
}

absl::Status ContainerCgroup::StartUnit(pid_t monitor) {
  const SystemdUnit& unit = *state_.systemd_unit;
  SystemdProperties properties = UnitProperties(unit, monitor, target_);
  absl::StatusOr<SystemdProperties> limits = LimitProperties(limits_, target_);
  if (!limits.ok()) return limits.status();
  properties.insert(properties.end(), limits->begin(), limits->end());
  properties.insert(properties.end(), annotated_.begin(), annotated_.end());
  made_ = true;
  if (absl::Status status = systemd_->Start(unit, properties); !status.ok()) return status;
  absl::StatusOr<std::string> path = systemd_->ControlGroup(unit);
  if (!path.ok()) return path.status();
  cgroup_ = CgroupOfUnit(layout_, *path);
  if (!unit.is_slice() && !HasProcess(*cgroup_, monitor))
    return absl::FailedPreconditionError(fmt::format(
        "systemd has put the container into the control group {}, which is another one here", *path));
  state_.cgroup_paths = cgroup_->paths();
  if (absl::Status saved = options_.save(); !saved.ok()) return saved;
  return cgroup_->Complete(unit.is_slice() ? 0 : monitor);
}

void ContainerCgroup::Undo() {
  if (made_) (void)RemoveContainerCgroup(state_);
}

absl::Status UpdateContainerCgroup(const ContainerState& state, const oci::Resources& resources) {
  std::unique_ptr<Cgroup> cgroup = OpenCgroup(state.cgroup_paths);
  const oci::Resources limits = HostLimits(resources);
  if (!state.systemd_unit) return cgroup->Apply(limits);
  if (absl::Status status = cgroup->CheckMemoryUsage(limits); !status.ok()) return status;
  absl::StatusOr<SystemdManager> systemd = SystemdManager::Connect(state.systemd_unit->user);
  if (!systemd.ok()) return systemd.status();
  absl::StatusOr<SystemdTarget> target = TargetOf(*systemd, state.cgroup_paths.contains(""));
  if (!target.ok()) return target.status();
  absl::StatusOr<SystemdProperties> properties = LimitProperties(limits, *target);
  if (!properties.ok()) return properties.status();
  if (!properties->empty()) {
    if (absl::Status set = systemd->SetProperties(*state.systemd_unit, *properties); !set.ok()) return set;
  }
  return cgroup->Apply(limits);
}

void JoinContainerCgroup(const ContainerState& state, pid_t pid) {
  if (state.cgroup_paths.empty()) return;
  absl::Status status = OpenCgroup(state.cgroup_paths)->AddProcess(pid);
  if (status.ok() || !state.systemd_unit) return;
  // To take a process from a group that is not ours needs rights that systemd has.
  absl::StatusOr<SystemdManager> systemd = SystemdManager::Connect(state.systemd_unit->user);
  if (systemd.ok()) (void)systemd->Attach(*state.systemd_unit, pid);
}

absl::Status RemoveContainerCgroup(const ContainerState& state) {
  std::unique_ptr<Cgroup> cgroup;
  if (!state.cgroup_paths.empty()) cgroup = OpenCgroup(state.cgroup_paths);
  if (!state.systemd_unit) return cgroup == nullptr ? absl::OkStatus() : cgroup->Delete();
  // Not left to systemd, which asks processes to end and gives them time.
  absl::Status status = cgroup == nullptr ? absl::OkStatus() : cgroup->KillAll();
  if (!status.ok()) return status;
  status = RemoveUnit(*state.systemd_unit);
  // The directories of controllers that systemd does not know are left.
  absl::Status deleted = cgroup == nullptr ? absl::OkStatus() : cgroup->Delete();
  return status.ok() ? deleted : status;
}

}  // namespace runsc
