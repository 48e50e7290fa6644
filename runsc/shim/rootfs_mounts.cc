#include "runsc/shim/rootfs_mounts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "platform/base/unique_fd.h"

namespace runsc::shim {
namespace {

constexpr size_t kMostData = 4095;  // bytes; mount(2): one page, with the NUL

struct FlagOption {
  std::string_view name;
  unsigned long set, clear;
};
constexpr FlagOption kFlags[] = {
    {"defaults", 0, 0},
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"bind", MS_BIND, 0},
    {"rbind", MS_BIND | MS_REC, 0},
    {"remount", MS_REMOUNT, 0},
    {"nosuid", MS_NOSUID, 0},
    {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV, 0},
    {"dev", 0, MS_NODEV},
    {"noexec", MS_NOEXEC, 0},
    {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},
    {"noatime", MS_NOATIME, 0},
    {"atime", 0, MS_NOATIME},
    {"nodiratime", MS_NODIRATIME, 0},
    {"diratime", 0, MS_NODIRATIME},
    {"relatime", MS_RELATIME, 0},
    {"norelatime", 0, MS_RELATIME},
    {"strictatime", MS_STRICTATIME, 0},
    {"nostrictatime", 0, MS_STRICTATIME},
};

absl::Status Failed(const RootfsMount& mount, const std::string& target) {
  return absl::InternalError(
      fmt::format("cannot mount {} {} at {}: {}", mount.type, mount.source, target, ::strerror(errno)));
}

bool IsPathOption(absl::string_view name) {
  return name == "lowerdir" || name == "upperdir" || name == "workdir";
}

std::vector<std::string> OverlayPaths(const std::string& data) {
  std::vector<std::string> paths;
  for (absl::string_view option : absl::StrSplit(data, ',')) {
    std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(option, absl::MaxSplits('=', 1));
    if (!IsPathOption(pair.first)) continue;
    for (absl::string_view path : absl::StrSplit(pair.second, ':')) paths.emplace_back(path);
  }
  return paths;
}

absl::Status MountOne(const RootfsMount& mount, const std::string& target) {
  MountArguments arguments = ToMountArguments(mount.options);
  UniqueFd before;
  if (arguments.data.size() > kMostData && mount.type == "overlay") {
    std::string directory;
    std::string shorter = ShortenOverlay(arguments.data, &directory);
    before.reset(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory.empty() && ::chdir(directory.c_str()) == 0) arguments.data = shorter;
  }
  bool mounted = arguments.data.size() <= kMostData;
  if (!mounted) errno = E2BIG;
  mounted = mounted && ::mount(mount.source.c_str(), target.c_str(), mount.type.c_str(), arguments.flags,
                               arguments.data.c_str()) == 0;
  // A bind mount takes its other flags in a second step; mount(2).
  constexpr unsigned long kBindFlags = MS_BIND | MS_REC;
  if (mounted && (arguments.flags & MS_BIND) != 0 && (arguments.flags & ~kBindFlags) != 0)
    mounted = ::mount("", target.c_str(), "", arguments.flags | MS_REMOUNT, nullptr) == 0;
  absl::Status status = mounted ? absl::OkStatus() : Failed(mount, target);
  if (before && ::fchdir(before.get()) != 0) (void)!::chdir("/");
  return status;
}

}  // namespace

MountArguments ToMountArguments(const std::vector<std::string>& options) {
  MountArguments arguments;
  std::vector<std::string> rest;
  for (const std::string& option : options) {
    const auto* found = std::find_if(std::begin(kFlags), std::end(kFlags),
                                     [&](const FlagOption& flag) { return flag.name == option; });
    if (found == std::end(kFlags)) {
      rest.push_back(option);
    } else {
      arguments.flags = (arguments.flags & ~found->clear) | found->set;
    }
  }
  arguments.data = absl::StrJoin(rest, ",");
  return arguments;
}

std::string ShortenOverlay(const std::string& data, std::string* directory) {
  std::vector<std::string> paths = OverlayPaths(data);
  if (paths.empty()) return "";
  std::string common = paths[0];
  for (const std::string& path : paths) {
    size_t same =
        std::mismatch(common.begin(), common.end(), path.begin(), path.end()).first - common.begin();
    common.resize(same);
  }
  common.resize(common.rfind('/') + 1);  // whole names only
  if (common.size() <= 1 || common[0] != '/') return "";
  *directory = common;
  std::vector<std::string> options;
  for (absl::string_view option : absl::StrSplit(data, ',')) {
    std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(option, absl::MaxSplits('=', 1));
    if (!IsPathOption(pair.first)) {
      options.emplace_back(option);
      continue;
    }
    std::vector<std::string> relative;
    for (absl::string_view path : absl::StrSplit(pair.second, ':'))
      relative.emplace_back(path.substr(common.size()));
    options.push_back(fmt::format("{}={}", std::string_view(pair.first.data(), pair.first.size()),
                                  absl::StrJoin(relative, ":")));
  }
  return absl::StrJoin(options, ",");
}

absl::Status MountRootfs(const std::string& rootfs, const std::vector<RootfsMount>& mounts) {
  for (const RootfsMount& mount : mounts) {
    std::string target = mount.target.empty() ? rootfs : rootfs + "/" + mount.target;
    if (absl::Status status = MountOne(mount, target); !status.ok()) {
      (void)UnmountRootfs(rootfs);
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status UnmountRootfs(const std::string& rootfs) {
  while (true) {
    if (::umount2(rootfs.c_str(), UMOUNT_NOFOLLOW) == 0) continue;
    // EINVAL: no mount point, or no longer one.
    if (errno == EINVAL || errno == ENOENT) return absl::OkStatus();
    if (errno == EBUSY && ::umount2(rootfs.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) continue;
    return absl::InternalError(fmt::format("cannot unmount {}: {}", rootfs, ::strerror(errno)));
  }
}

}  // namespace runsc::shim
