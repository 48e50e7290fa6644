#include "runsc/lifecycle/pod_annotations.h"

#include <fmt/format.h>

namespace runsc {
namespace {

struct Names {
  const char* type;
  const char* sandbox_id;
};
constexpr Names kEngines[] = {
    {"io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"},     // containerd
    {"io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"}};  // CRI-O

}  // namespace

std::vector<std::string> PodAnnotations() {
  std::vector<std::string> all;
  for (const Names& names : kEngines) {
    all.emplace_back(names.type);
    all.emplace_back(names.sandbox_id);
  }
  return all;
}

absl::StatusOr<std::optional<std::string>> PodOf(const oci::Spec& spec) {
  for (const Names& names : kEngines) {
    auto type = spec.annotations.find(names.type);
    if (type == spec.annotations.end() || type->second == "sandbox") continue;
    if (type->second != "container")
      return absl::InvalidArgumentError(
          fmt::format("config.json: annotations[{}]: must be \"sandbox\" or \"container\", not \"{}\"",
                      names.type, type->second));
    auto id = spec.annotations.find(names.sandbox_id);
    if (id == spec.annotations.end())
      return absl::InvalidArgumentError(
          fmt::format("config.json: annotations[{}]: is missing for a container of a pod", names.sandbox_id));
    if (absl::Status status = StateDirectory::CheckId(id->second); !status.ok())
      return absl::InvalidArgumentError(
          fmt::format("config.json: annotations[{}]: {}", names.sandbox_id, std::string(status.message())));
    return std::optional<std::string>(id->second);
  }
  return std::optional<std::string>();
}

bool IsSandboxOfPod(const oci::Spec& spec) {
  for (const Names& names : kEngines) {
    auto type = spec.annotations.find(names.type);
    if (type != spec.annotations.end() && type->second == "sandbox") return true;
  }
  return false;
}

absl::StatusOr<std::optional<std::string>> FindPod(const StateDirectory& containers, const oci::Spec& spec) {
  absl::StatusOr<std::optional<std::string>> pod = PodOf(spec);
  const Names& names = kEngines[1];
  if (!pod.ok() || !pod->has_value() || !spec.annotations.contains(names.sandbox_id)) return pod;
  if (containers.Load(**pod).ok()) return pod;
  auto is = [](const ContainerState& state, const char* name, const std::string& value) {
    auto found = state.annotations.find(name);
    return found != state.annotations.end() && found->second == value;
  };
  for (const StateDirectory::Entry& entry : containers.List()) {
    if (entry.state.ok() && is(*entry.state, names.type, "sandbox") &&
        is(*entry.state, names.sandbox_id, **pod))
      return std::optional<std::string>(entry.id);
  }
  return std::optional<std::string>();
}

}  // namespace runsc
