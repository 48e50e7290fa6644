#include "runsc/lifecycle/namespace_joins.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <charconv>
#include <fstream>
#include <map>
#include <vector>

#include "absl/strings/str_split.h"
#include "runsc/cgroup/cgroup.h"
#include "runsc/lifecycle/pod_annotations.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

using oci::NamespaceType;

absl::Status Wrong(const std::string& field, const std::string& why) {
  return absl::InvalidArgumentError(OneLine(fmt::format("config.json: {}: {}", field, why)));
}

// Those of a process that a Sentry knows; the network is the host's, and the others are part of no process
// there.
NamespaceOrigin* OriginOf(NamespaceJoins& joins, NamespaceType type) {
  switch (type) {
    case NamespaceType::kPid:
      return &joins.pid;
    case NamespaceType::kUts:
      return &joins.uts;
    case NamespaceType::kIpc:
      return &joins.ipc;
    case NamespaceType::kTime:
      return &joins.time;
    default:
      return nullptr;
  }
}

// PID of "/proc/PID/ns/FILE", or of one of its threads'; 0 if it is no such path.
pid_t ProcessOfPath(const std::string& path, std::string_view file) {
  std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  const bool is_threads = parts.size() == 6 && parts[2] == "task";
  if ((parts.size() != 4 && !is_threads) || parts[0] != "proc" || parts[parts.size() - 2] != "ns") return 0;
  if (parts.back() != file && parts.back() != std::string(file) + "_for_children") return 0;
  pid_t pid = 0;
  auto [end, error] = std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), pid);
  return error == std::errc() && end == parts[1].data() + parts[1].size() && pid > 0 ? pid : 0;
}

// Whether that file is the namespace that this process is in.
bool IsHosts(const std::string& path, std::string_view file) {
  struct stat other {
  }, own{};
  return ::stat(path.c_str(), &other) == 0 &&
         ::stat(fmt::format("/proc/self/ns/{}", file).c_str(), &own) == 0 && other.st_dev == own.st_dev &&
         other.st_ino == own.st_ino;
}

// The control groups of a process as /proc/PID/cgroup has them, by controller; "" is the unified hierarchy.
std::map<std::string, std::string> GroupsOf(pid_t pid) {
  std::map<std::string, std::string> groups;
  std::ifstream file(fmt::format("/proc/{}/cgroup", pid));
  std::string line;
  while (std::getline(file, line)) {
    std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    std::vector<std::string> controllers = absl::StrSplit(parts[1], ',');
    for (const std::string& controller : controllers) groups[controller] = parts[2];
  }
  return groups;
}

// Whether it is in the groups that were made for the container, as its monitor is.
bool IsInGroupsOf(const std::map<std::string, std::string>& groups, const ContainerState& state) {
  if (state.cgroup_paths.empty()) return false;
  const std::map<std::string, std::string> own = GroupsOf(state.monitor.pid);
  for (const auto& [name, path] : state.cgroup_paths) {
    const std::string controller = name == Cgroup::kUnifiedBeside ? "" : name;
    auto mine = own.find(controller), its = groups.find(controller);
    if (mine == own.end() || its == groups.end() || mine->second != its->second || mine->second == "/")
      return false;
  }
  return true;
}

class Finder {
 public:
  Finder(const StateDirectory& containers, const oci::Spec& spec, bool own_for_hosts,
         const std::function<void(const std::string&)>& warn)
      : containers_(containers), spec_(spec), own_for_hosts_(own_for_hosts), warn_(warn) {}

  absl::StatusOr<NamespaceJoins> Find() {
    absl::StatusOr<std::optional<std::string>> pod = FindPod(containers_, spec_);
    if (!pod.ok()) return pod.status();
    if (*pod) {
      joins_.is_pod = true;
      joins_.sandbox = **pod;
      for (NamespaceOrigin* origin : {&joins_.pid, &joins_.uts, &joins_.ipc, &joins_.time})
        origin->kind = NamespaceOrigin::kSandbox;
    }
    // Without one in the list the clocks are the machine's.
    joins_.time.kind = NamespaceOrigin::kSandbox;
    const std::vector<oci::Namespace>& list = spec_.linux.namespaces;
    for (size_t i = 0; i < list.size(); ++i) {
      if (absl::Status status = Take(list[i], fmt::format("linux.namespaces[{}].path", i)); !status.ok())
        return status;
    }
    for (NamespaceType type : {NamespaceType::kPid, NamespaceType::kIpc}) {
      if (joins_.is_pod || spec_.linux.FindNamespace(type) != nullptr) continue;
      if (absl::Status status = TakeHosts(type, "linux.namespaces", ""); !status.ok()) return status;
    }
    return std::move(joins_);
  }

 private:
  absl::Status Take(const oci::Namespace& space, const std::string& field) {
    NamespaceOrigin* origin = OriginOf(joins_, space.type);
    if (space.path.empty()) {
      if (origin != nullptr) origin->kind = NamespaceOrigin::kNew;
      return absl::OkStatus();
    }
    if (space.type == NamespaceType::kNetwork) return absl::OkStatus();
    const std::string_view name = oci::NamespaceName(space.type);
    if (origin == nullptr)
      return joins_.is_pod ? absl::OkStatus()
                           : Wrong(field, fmt::format("joining a {} namespace is not supported", name));
    const pid_t pid = ProcessOfPath(space.path, name);
    std::optional<ContainerState> owner;
    if (pid != 0) owner = ContainerOfProcess(containers_, pid);
    if (joins_.is_pod) {
      // What the path is of may be gone, or be a process of the engine's: then the pod's is meant.
      if (owner && owner->sandbox_id == joins_.sandbox) *origin = {NamespaceOrigin::kContainer, owner->id};
      return absl::OkStatus();
    }
    if (!owner && IsHosts(space.path, name)) return TakeHosts(space.type, field, space.path);
    if (!owner)
      return Wrong(field,
                   fmt::format("joining the {} namespace {} is not supported: it is not one of a container "
                               "of this runtime, whose state is in the same directory (--root)",
                               name, space.path));
    if (!joins_.sandbox.empty() && joins_.sandbox != owner->sandbox_id)
      return Wrong(
          field, fmt::format("the {} namespace is of the container {}, which is in another sandbox than the "
                             "container of the namespaces before it",
                             name, owner->id));
    joins_.sandbox = owner->sandbox_id;
    *origin = {NamespaceOrigin::kContainer, owner->id};
    return absl::OkStatus();
  }

  absl::Status TakeHosts(NamespaceType type, const std::string& field, const std::string& path) {
    // Its name is the host's, and its clocks are.
    if (type == NamespaceType::kTime) {
      joins_.time.kind = NamespaceOrigin::kSandbox;
      return absl::OkStatus();
    }
    if (type == NamespaceType::kUts) return absl::OkStatus();
    const std::string_view name = oci::NamespaceName(type);
    const std::string which =
        path.empty()
            ? ""
            : fmt::format("{} is of no container whose state is in the same directory (--root), and ", path);
    if (!own_for_hosts_)
      return Wrong(field,
                   fmt::format("{}the host's {} namespace cannot be shared: the list must have a new one, or "
                               "runsc be given --host-namespaces=own",
                               which, name));
    warn_(OneLine(
        fmt::format("config.json: {}: {}the host's {} namespace cannot be shared: the container has its own",
                    field, which, name)));
    return absl::OkStatus();
  }

  const StateDirectory& containers_;
  const oci::Spec& spec_;
  const bool own_for_hosts_;
  const std::function<void(const std::string&)>& warn_;
  NamespaceJoins joins_;
};

}  // namespace

std::optional<ContainerState> ContainerOfProcess(const StateDirectory& containers, pid_t pid) {
  const ProcessIdentity process = ProcessIdentity::Of(pid);
  if (process.pid == 0) return std::nullopt;
  const auto groups = GroupsOf(pid);
  std::optional<ContainerState> by_group;
  for (StateDirectory::Entry& entry : containers.List()) {
    if (!entry.state.ok() || entry.state->CurrentStatus() == ContainerStatus::kStopped) continue;
    if (entry.state->monitor == process) return *std::move(entry.state);
    if (!by_group && IsInGroupsOf(groups, *entry.state)) by_group = *std::move(entry.state);
  }
  return by_group;
}

absl::StatusOr<NamespaceJoins> FindNamespaceJoins(const StateDirectory& containers, const oci::Spec& spec,
                                                  bool own_for_hosts,
                                                  const std::function<void(const std::string&)>& warn) {
  return Finder(containers, spec, own_for_hosts, warn).Find();
}

}  // namespace runsc
