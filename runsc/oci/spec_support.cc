// What of a right config.json cannot be honoured. Each refusal names its field: nothing that was
// asked for is left out in silence.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runsc/oci/json_reader.h"
#include "runsc/oci/mount_options.h"
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

// As user_namespaces(7) has it: what Linux would call an invalid argument.
void CheckRanges(const std::vector<IdMapping>& mappings, const std::string& field, Refusals& refuse) {
  constexpr size_t kMost = 340;
  // One more may be needed for the Gofer.
  refuse.If(mappings.size() >= kMost, field, fmt::format("there can be {} mappings at most", kMost - 1));
  auto overlap = [](uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size) {
    return a < uint64_t{b} + b_size && b < uint64_t{a} + a_size;
  };
  for (size_t i = 0; i < mappings.size() && i < kMost; ++i) {
    const IdMapping& mapping = mappings[i];
    const std::string place = fmt::format("{}[{}]", field, i);
    refuse.If(mapping.size == 0, place + ".size", "must not be 0");
    refuse.If(uint64_t{std::max(mapping.container_id, mapping.host_id)} + mapping.size > UINT32_MAX, place,
              "goes beyond the largest id there can be");
    for (size_t j = 0; j < i; ++j) {
      const IdMapping& other = mappings[j];
      refuse.If(overlap(mapping.container_id, mapping.size, other.container_id, other.size) ||
                    overlap(mapping.host_id, mapping.size, other.host_id, other.size),
                place, fmt::format("overlaps with item {}", j));
    }
  }
}

void CheckIdMapping(const Mount& mount, const std::string& field, const Linux& part, Refusals& refuse) {
  refuse.If(!DecodeMountOptions(mount).is_bind(), field,
            "id-mapped mounts are only supported for bind-mounts");
  const bool has_none = mount.uid_mappings.empty() && mount.gid_mappings.empty();
  refuse.If(!has_none && (mount.uid_mappings.empty() || mount.gid_mappings.empty()), field,
            "id-mapped mounts must have both uid and gid mappings specified");
  refuse.If(has_none && part.FindNamespace(NamespaceType::kUser) == nullptr, field,
            "an id-mapped mount needs uidMappings and gidMappings, or a user namespace of the container");
  CheckRanges(mount.uid_mappings, field + ".uidMappings", refuse);
  CheckRanges(mount.gid_mappings, field + ".gidMappings", refuse);
}

void CheckMounts(const std::vector<Mount>& mounts, const Linux& part, Refusals& refuse) {
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
    for (size_t j = 0; j < mount.options.size(); ++j) {
      const std::string& option = mount.options[j];
      refuse.If(option.starts_with("idmap=") || option.starts_with("ridmap="),
                fmt::format("{}.options[{}]", field, j), "mappings are for uidMappings and gidMappings");
    }
    if (IsIdMapped(mount)) CheckIdMapping(mount, field, part, refuse);
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

// The supervisor would get a host's descriptor, of calls that never reach the host. Without such an action
// there is nothing that it would be for.
void CheckNotification(const Seccomp& seccomp, Refusals& refuse) {
  constexpr std::string_view kNotify = "SCMP_ACT_NOTIFY";
  refuse.If(seccomp.default_action == kNotify, "linux.seccomp.defaultAction",
            "SCMP_ACT_NOTIFY cannot be used as default action");
  for (size_t i = 0; i < seccomp.syscalls.size(); ++i) {
    if (seccomp.syscalls[i].action != kNotify) continue;
    const std::string field = fmt::format("linux.seccomp.syscalls[{}].action", i);
    refuse.If(seccomp.listener_path.empty(), field, "listenerPath is not set");
    refuse.If(
        true, field,
        "SCMP_ACT_NOTIFY is not supported: the calls are answered in the sandbox, where no supervisor on the "
        "host can take them");
  }
}

void CheckLinux(const Linux& part, Refusals& refuse) {
  refuse.If(std::find(std::begin(kPropagations), std::end(kPropagations), part.rootfs_propagation) ==
                std::end(kPropagations),
            "linux.rootfsPropagation", fmt::format("'{}' is not supported", part.rootfs_propagation));
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
    CheckNotification(*part.seccomp, refuse);
    refuse.If(part.seccomp->listener_path.empty() && !part.seccomp->listener_metadata.empty(),
              "linux.seccomp.listenerMetadata", "needs linux.seccomp.listenerPath");
  }
}

}  // namespace

absl::Status CheckSupported(const Spec& spec, const std::string& file) {
  Refusals refuse(file);
  refuse.If(spec.has_vm, "vm", "virtual machines are not supported");
  CheckMounts(spec.mounts, spec.linux, refuse);
  CheckLinux(spec.linux, refuse);
  CheckTogether(spec, refuse);
  return refuse.status();
}

}  // namespace runsc::oci
