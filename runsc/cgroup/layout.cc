#include "runsc/cgroup/layout.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_split.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// mountinfo writes blanks and backslashes as \040 and so on, proc(5).
std::string Unescape(absl::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    auto octal = [&](size_t at) { return text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && i + 3 < text.size() && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      result += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

struct MountLine {
  std::string root, mount_point, type;
  std::vector<std::string> super_options;
};

bool ParseMountLine(absl::string_view line, MountLine* result) {
  std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
  auto dash = std::find(fields.begin(), fields.end(), "-");
  if (fields.size() < 7 || fields.end() - dash < 4) return false;
  result->root = Unescape(fields[3]);
  result->mount_point = Unescape(fields[4]);
  result->type = std::string(dash[1]);
  result->super_options = absl::StrSplit(dash[3], ',');
  return true;
}

}  // namespace

std::string BelowMountRoot(const std::string& root, std::string path) {
  if (root == "/") return path;
  if (path == root) return "/";
  return path.starts_with(root + "/") ? path.substr(root.size()) : "/";
}

CgroupLayout ParseCgroupLayout(std::string_view mountinfo, std::string_view own_cgroups) {
  std::map<std::string, std::string> own;  // by controller; "" is version 2's
  for (absl::string_view line : absl::StrSplit(View(own_cgroups), '\n', absl::SkipEmpty())) {
    std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    for (absl::string_view controller : absl::StrSplit(fields[1], ','))
      own[std::string(controller)] = std::string(fields[2]);
  }
  CgroupLayout layout;
  for (absl::string_view line : absl::StrSplit(View(mountinfo), '\n', absl::SkipEmpty())) {
    MountLine mount;
    if (!ParseMountLine(line, &mount)) continue;
    if (mount.type == "cgroup2" && layout.v2.mount_point.empty())
      layout.v2 = {mount.mount_point, BelowMountRoot(mount.root, own.contains("") ? own[""] : "/"),
                   mount.root};
    if (mount.type != "cgroup") continue;
    for (const std::string& option : mount.super_options) {
      // Options which are no controllers ("rw", "xattr") are nobody's cgroup.
      if (!option.empty() && own.contains(option) && !layout.v1.contains(option))
        layout.v1[option] = {mount.mount_point, BelowMountRoot(mount.root, own[option]), mount.root};
    }
  }
  return layout;
}

absl::StatusOr<CgroupLayout> FindCgroupLayout() {
  absl::StatusOr<std::string> mountinfo = ReadTextFile("/proc/self/mountinfo");
  if (!mountinfo.ok()) return mountinfo.status();
  absl::StatusOr<std::string> own = ReadTextFile("/proc/self/cgroup");
  if (!own.ok()) return own.status();
  return ParseCgroupLayout(*mountinfo, *own);
}

}  // namespace runsc
