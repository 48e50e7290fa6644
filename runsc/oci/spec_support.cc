// What of a right config.json cannot be honoured. Each refusal names its field: nothing that was
// asked for is left out in silence.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runsc/oci/json_reader.h"
#include "runsc/oci/spec.h"

namespace runsc::oci {
namespace {

constexpr std::string_view kMountTypes[] = {"",      "none",   "bind",   "rbind",  "proc",    "sysfs",
                                            "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "shm"};

constexpr std::string_view kPropagations[] = {"",        "shared", "slave",    "private",    "unbindable",
                                              "rshared", "rslave", "rprivate", "runbindable"};

class Refusals {
 public:
  explicit Refusals(const std::string& file) : file_(file) {}
  void If(bool condition, std::string_view field, std::string_view why) {
    if (condition && text_.empty()) text_ = OneLine(fmt::format("{}: {}: {}", file_, field, why));
  }
  absl::Status status() const { return text_.empty() ? absl::OkStatus() : absl::UnimplementedError(text_); }

 private:
  const std::string& file_;
  std::string text_;
};

void CheckMounts(const std::vector<Mount>& mounts, Refusals& refuse) {
  for (size_t i = 0; i < mounts.size(); ++i) {
    const Mount& mount = mounts[i];
    std::string field = fmt::format("mounts[{}]", i);
    bool bind = std::any_of(mount.options.begin(), mount.options.end(),
                            [](const std::string& option) { return option == "bind" || option == "rbind"; });
    bool known =
        std::find(std::begin(kMountTypes), std::end(kMountTypes), mount.type) != std::end(kMountTypes);
    refuse.If(!bind && (!known || mount.type.empty() || mount.type == "none"), field + ".type",
              fmt::format("filesystem type '{}' is not supported", mount.type));
    refuse.If(mount.destination == "/" || mount.destination == ".", field + ".destination",
              "the root itself cannot be mounted over");
    refuse.If(!mount.uid_mappings.empty(), field + ".uidMappings",
              "mounts with id mappings are not supported");
    refuse.If(!mount.gid_mappings.empty(), field + ".gidMappings",
              "mounts with id mappings are not supported");
    for (size_t j = 0; j < mount.options.size(); ++j) {
      const std::string& option = mount.options[j];
      refuse.If(option == "idmap" || option == "ridmap" || option.starts_with("idmap=") ||
                    option.starts_with("ridmap="),
                fmt::format("{}.options[{}]", field, j), "mounts with id mappings are not supported");
    }
  }
}

// What contradicts something else that was asked for.
void CheckTogether(const Spec& spec, Refusals& refuse) {
  const Linux& part = spec.linux;
  if (part.FindNamespace(NamespaceType::kUts) == nullptr) {
    refuse.If(!spec.hostname.empty(), "hostname", "unable to set hostname without a private UTS namespace");
    refuse.If(!spec.domainname.empty(), "domainname",
              "unable to set domainname without a private UTS namespace");
  }
  if (const Namespace* users = part.FindNamespace(NamespaceType::kUser);
      users != nullptr && users->path.empty()) {
    refuse.If(part.uid_mappings.empty(), "linux.uidMappings",
              "User namespaces enabled, but no uid mappings found");
    refuse.If(part.gid_mappings.empty(), "linux.gidMappings",
              "User namespaces enabled, but no gid mappings found");
  }
  refuse.If(!spec.hostname.empty() && part.sysctl.contains("kernel.hostname"),
            "linux.sysctl[kernel.hostname]", "conflicts with hostname");
  refuse.If(!spec.domainname.empty() && part.sysctl.contains("kernel.domainname"),
            "linux.sysctl[kernel.domainname]", "conflicts with domainname");
}

void CheckLinux(const Linux& part, Refusals& refuse) {
  refuse.If(std::find(std::begin(kPropagations), std::end(kPropagations), part.rootfs_propagation) ==
                std::end(kPropagations),
            "linux.rootfsPropagation", fmt::format("'{}' is not supported", part.rootfs_propagation));
  refuse.If(part.intel_rdt.has_value(), "linux.intelRdt", "is not supported");
  const Namespace* time = part.FindNamespace(NamespaceType::kTime);
  refuse.If(!part.time_offsets.empty() && time == nullptr, "linux.timeOffsets",
            "time namespace offsets specified, but time namespace isn't enabled in the config");
  refuse.If(!part.time_offsets.empty() && time != nullptr && !time->path.empty(), "linux.timeOffsets",
            "those of a time namespace that is joined cannot be set");
  for (const auto& [clock, offset] : part.time_offsets)
    refuse.If(clock != "monotonic" && clock != "boottime", "linux.timeOffsets",
              fmt::format("the clock '{}' is not one of monotonic and boottime", clock));
  if (part.personality.has_value()) {
    refuse.If(part.personality->domain != "LINUX" && part.personality->domain != "LINUX32",
              "linux.personality.domain",
              fmt::format("'{}' is not supported, only LINUX and LINUX32 are", part.personality->domain));
    refuse.If(!part.personality->flags.empty(), "linux.personality.flags", "must be empty");
  }
  if (part.seccomp.has_value()) {
    refuse.If(!part.seccomp->listener_path.empty(), "linux.seccomp.listenerPath",
              "seccomp notification is not supported");
    refuse.If(part.seccomp->listener_path.empty() && !part.seccomp->listener_metadata.empty(),
              "linux.seccomp.listenerMetadata", "needs linux.seccomp.listenerPath");
  }
}

}  // namespace

absl::Status CheckSupported(const Spec& spec, const std::string& file) {
  Refusals refuse(file);
  refuse.If(spec.has_vm, "vm", "virtual machines are not supported");
  CheckMounts(spec.mounts, refuse);
  CheckLinux(spec.linux, refuse);
  CheckTogether(spec, refuse);
  return refuse.status();
}

}  // namespace runsc::oci
