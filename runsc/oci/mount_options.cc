#include "runsc/oci/mount_options.h"

#include <sys/mount.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/str_split.h"

namespace runsc::oci {
namespace {

constexpr uint64_t kNoSymfollow = 256;  // MS_NOSYMFOLLOW, which glibc 2.36 does not name

enum class Effect {
  kSet,
  kClear,
  kPropagation,
  kSetRecursive,
  kClearRecursive,
  kCopyUp,
  kIdMap,
  kIdMapBelow
};

struct Option {
  std::string_view name;
  Effect effect;
  uint64_t flags;
};

constexpr Option kOptions[] = {
    {"acl", Effect::kSet, MS_POSIXACL},
    {"async", Effect::kClear, MS_SYNCHRONOUS},
    {"atime", Effect::kClear, MS_NOATIME},
    {"bind", Effect::kSet, MS_BIND},
    {"defaults", Effect::kSet, 0},
    {"dev", Effect::kClear, MS_NODEV},
    {"diratime", Effect::kClear, MS_NODIRATIME},
    {"dirsync", Effect::kSet, MS_DIRSYNC},
    {"exec", Effect::kClear, MS_NOEXEC},
    {"idmap", Effect::kIdMap, 0},
    {"iversion", Effect::kSet, MS_I_VERSION},
    {"lazytime", Effect::kSet, MS_LAZYTIME},
    {"loud", Effect::kClear, MS_SILENT},
    {"mand", Effect::kSet, MS_MANDLOCK},
    {"noacl", Effect::kClear, MS_POSIXACL},
    {"noatime", Effect::kSet, MS_NOATIME},
    {"nodev", Effect::kSet, MS_NODEV},
    {"nodiratime", Effect::kSet, MS_NODIRATIME},
    {"noexec", Effect::kSet, MS_NOEXEC},
    {"noiversion", Effect::kClear, MS_I_VERSION},
    {"nolazytime", Effect::kClear, MS_LAZYTIME},
    {"nomand", Effect::kClear, MS_MANDLOCK},
    {"norelatime", Effect::kClear, MS_RELATIME},
    {"nostrictatime", Effect::kClear, MS_STRICTATIME},
    {"nosuid", Effect::kSet, MS_NOSUID},
    {"nosymfollow", Effect::kSet, kNoSymfollow},
    {"private", Effect::kPropagation, MS_PRIVATE},
    {"ratime", Effect::kClearRecursive, MS_NOATIME},
    {"rbind", Effect::kSet, MS_BIND | MS_REC},
    {"rdev", Effect::kClearRecursive, MS_NODEV},
    {"rdiratime", Effect::kClearRecursive, MS_NODIRATIME},
    {"relatime", Effect::kSet, MS_RELATIME},
    {"remount", Effect::kSet, MS_REMOUNT},
    {"rexec", Effect::kClearRecursive, MS_NOEXEC},
    {"ridmap", Effect::kIdMapBelow, 0},
    {"rnoatime", Effect::kSetRecursive, MS_NOATIME},
    {"rnodev", Effect::kSetRecursive, MS_NODEV},
    {"rnodiratime", Effect::kSetRecursive, MS_NODIRATIME},
    {"rnoexec", Effect::kSetRecursive, MS_NOEXEC},
    {"rnorelatime", Effect::kClearRecursive, MS_RELATIME},
    {"rnostrictatime", Effect::kClearRecursive, MS_STRICTATIME},
    {"rnosuid", Effect::kSetRecursive, MS_NOSUID},
    {"rnosymfollow", Effect::kSetRecursive, kNoSymfollow},
    {"ro", Effect::kSet, MS_RDONLY},
    {"rprivate", Effect::kPropagation, MS_PRIVATE | MS_REC},
    {"rrelatime", Effect::kSetRecursive, MS_RELATIME},
    {"rro", Effect::kSetRecursive, MS_RDONLY},
    {"rrw", Effect::kClearRecursive, MS_RDONLY},
    {"rshared", Effect::kPropagation, MS_SHARED | MS_REC},
    {"rslave", Effect::kPropagation, MS_SLAVE | MS_REC},
    {"rstrictatime", Effect::kSetRecursive, MS_STRICTATIME},
    {"rsuid", Effect::kClearRecursive, MS_NOSUID},
    {"rsymfollow", Effect::kClearRecursive, kNoSymfollow},
    {"runbindable", Effect::kPropagation, MS_UNBINDABLE | MS_REC},
    {"rw", Effect::kClear, MS_RDONLY},
    {"shared", Effect::kPropagation, MS_SHARED},
    {"silent", Effect::kSet, MS_SILENT},
    {"slave", Effect::kPropagation, MS_SLAVE},
    {"strictatime", Effect::kSet, MS_STRICTATIME},
    {"suid", Effect::kClear, MS_NOSUID},
    {"symfollow", Effect::kClear, kNoSymfollow},
    {"sync", Effect::kSet, MS_SYNCHRONOUS},
    {"tmpcopyup", Effect::kCopyUp, 0},
    {"unbindable", Effect::kPropagation, MS_UNBINDABLE},
};

void Apply(const Option& option, MountOptions& result) {
  switch (option.effect) {
    case Effect::kSetRecursive:
      result.recursive_flags |= option.flags;
      break;
    case Effect::kSet:
      result.flags |= option.flags;
      result.cleared &= ~option.flags;
      break;
    case Effect::kClearRecursive:
      result.recursive_cleared |= option.flags;
      break;
    case Effect::kClear:
      result.flags &= ~option.flags;
      result.cleared |= option.flags;
      break;
    case Effect::kPropagation:
      result.propagation = option.flags;
      break;
    case Effect::kIdMap:
      result.id_map_below = false;
      break;
    case Effect::kIdMapBelow:
      result.id_map_below = true;
      break;
    case Effect::kCopyUp:
      result.copy_up = true;
      break;
  }
}

}  // namespace

bool MountOptions::is_bind() const { return (flags & MS_BIND) != 0; }
uint64_t MountOptions::EffectiveFlags() const {
  return is_bind() ? (flags & ~recursive_cleared) | recursive_flags : flags;
}
bool MountOptions::is_read_only() const { return (EffectiveFlags() & MS_RDONLY) != 0; }

bool MountOptions::FindData(std::string_view name, std::string* value) const {
  bool found = false;
  for (absl::string_view item : absl::StrSplit(data, ',')) {
    size_t equals = item.find('=');
    if (equals == absl::string_view::npos ||
        item.substr(0, equals) != absl::string_view(name.data(), name.size()))
      continue;
    *value = std::string(item.substr(equals + 1));  // the last one counts, as in the kernel
    found = true;
  }
  return found;
}

MountOptions DecodeMountOptions(const Mount& mount) {
  MountOptions result;
  // A mount of type "bind" need not say so in its options, nor one with the option in its type.
  if (mount.type == "bind") result.flags |= MS_BIND;
  if (mount.type == "rbind") result.flags |= MS_BIND | MS_REC;
  for (const std::string& text : mount.options) {
    const auto* option = std::find_if(std::begin(kOptions), std::end(kOptions),
                                      [&](const Option& candidate) { return candidate.name == text; });
    if (option != std::end(kOptions)) {
      Apply(*option, result);
    } else if (!text.empty()) {
      if (!result.data.empty()) result.data += ",";
      result.data += text;
    }
  }
  return result;
}

bool IsIdMapped(const Mount& mount) {
  return !mount.uid_mappings.empty() || !mount.gid_mappings.empty() ||
         std::any_of(mount.options.begin(), mount.options.end(),
                     [](const std::string& option) { return option == "idmap" || option == "ridmap"; });
}

uint64_t DecodePropagation(std::string_view name) {
  for (const Option& option : kOptions) {
    if (option.effect == Effect::kPropagation && option.name == name) return option.flags;
  }
  return 0;
}

std::vector<std::string> KnownMountOptions() {
  std::vector<std::string> names;
  for (const Option& option : kOptions) names.emplace_back(option.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace runsc::oci
