#include "runsc/systemd/unit.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace runsc {
namespace {

constexpr size_t kMaxUnitName = 255;
constexpr std::string_view kSlice = ".slice";

// systemd.unit(5), "Description".
bool HasOnlyUnitCharacters(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           std::string_view(":-_.\\@").find(c) != std::string_view::npos;
  });
}

}  // namespace

absl::Status CheckSlice(std::string_view slice) {
  // runc's words come first.
  auto invalid = [&](std::string_view why) {
    return absl::InvalidArgumentError(fmt::format("invalid slice name: {}: {}", slice, why));
  };
  if (!slice.ends_with(kSlice)) return invalid("it does not end in .slice");
  if (slice == "-.slice") return absl::OkStatus();
  std::string_view levels = slice.substr(0, slice.size() - kSlice.size());
  if (slice.size() > kMaxUnitName || !HasOnlyUnitCharacters(slice))
    return invalid("it is no name of a unit of systemd");
  if (levels.empty() || levels.front() == '-' || levels.back() == '-' ||
      levels.find("--") != std::string_view::npos)
    return invalid("a dash stands between the names of two slices");
  return absl::OkStatus();
}

bool IsSystemdPath(std::string_view cgroups_path) {
  return std::count(cgroups_path.begin(), cgroups_path.end(), ':') == 2 &&
         cgroups_path.find('/') == std::string_view::npos;
}

absl::StatusOr<SystemdUnit> ParseSystemdUnit(const std::string& cgroups_path, const std::string& id,
                                             bool user) {
  std::vector<std::string> parts = {"", "runsc", id};
  if (!cgroups_path.empty()) parts = absl::StrSplit(cgroups_path, ':');
  if (parts.size() != 3)
    return absl::InvalidArgumentError(
        fmt::format("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got "
                    "\"{}\" instead: the engine and --systemd-cgroup do not agree on the cgroup driver",
                    cgroups_path));
  SystemdUnit unit;
  unit.user = user;
  unit.slice = parts[0];
  if (unit.slice.empty()) unit.slice = user ? "user.slice" : "system.slice";
  if (absl::Status status = CheckSlice(unit.slice); !status.ok())
    return absl::InvalidArgumentError(fmt::format("linux.cgroupsPath: {}", std::string(status.message())));
  const std::string& name = parts[2];
  if (name.ends_with(kSlice)) {
    if (absl::Status status = CheckSlice(name); !status.ok())
      return absl::InvalidArgumentError(fmt::format("linux.cgroupsPath: {}", std::string(status.message())));
    if (name == "-.slice")
      return absl::InvalidArgumentError("linux.cgroupsPath: a container cannot be the root slice");
    unit.name = name;
  } else {
    unit.name = fmt::format("{}{}{}.scope", parts[1], parts[1].empty() ? "" : "-", name);
  }
  if (name.empty() || unit.name.size() > kMaxUnitName || !HasOnlyUnitCharacters(unit.name))
    return absl::InvalidArgumentError(
        fmt::format("linux.cgroupsPath: '{}' is no name of a unit of systemd", unit.name));
  unit.description = "runsc container " + id;
  return unit;
}

}  // namespace runsc
