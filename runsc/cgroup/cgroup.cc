#include "runsc/cgroup/cgroup.h"

#include <errno.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "absl/strings/str_split.h"
#include "runsc/cgroup/cgroup_v1.h"
#include "runsc/cgroup/cgroup_v2.h"
#include "runsc/cgroup/files.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr int64_t kHostTasksPerGuestTask = 3;  // as platform/host/task_capacity.h counts
constexpr int64_t kHostTasksOfASandbox = 64;

std::string Joined(const std::string& a, const std::string& b) {
  return (a == "/" ? "" : a) + (b == "/" ? "" : (b.starts_with("/") ? b : "/" + b));
}

// Lexically absolute, without "." and ".." and double slashes: nothing leads out of the hierarchy.
std::string Clean(const std::string& path) {
  std::vector<std::string> parts;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == ".") continue;
    if (part != "..") {
      parts.emplace_back(part);
    } else if (!parts.empty()) {
      parts.pop_back();
    }
  }
  std::string clean;
  for (const std::string& part : parts) clean += "/" + part;
  return clean.empty() ? "/" : clean;
}

bool IsAtOrBelow(const std::string& path, const std::string& top) {
  return top == "/" || path == top || path.starts_with(top + "/");
}

// The path and what is above it, below `top`, outermost first.
std::vector<std::string> Levels(const std::string& top, const std::string& path) {
  std::vector<std::string> levels;
  for (size_t slash = path.find('/', top.size() + 1);; slash = path.find('/', slash + 1)) {
    levels.push_back(path.substr(0, slash));
    if (slash == std::string::npos) return levels;
  }
}

// Where in a hierarchy the container's group is.
absl::StatusOr<std::string> PathIn(const CgroupLayout::Hierarchy& hierarchy, const CgroupOptions& options) {
  std::string path = options.cgroups_path.empty()            ? Joined(hierarchy.own, options.id)
                     : options.cgroups_path.starts_with("/") ? options.cgroups_path
                                                             : Joined(hierarchy.own, options.cgroups_path);
  path = Clean(path);
  // What is in a container's group is frozen, killed and removed with it.
  if (IsAtOrBelow(Clean(hierarchy.own), path))
    return absl::InvalidArgumentError(fmt::format(
        "linux.cgroupsPath: '{}' is the cgroup of runsc itself, or above it", options.cgroups_path));
  return Joined(hierarchy.mount_point, path);
}

}  // namespace

std::vector<std::string> Cgroup::Directories() const {
  std::vector<std::string> directories;
  for (const auto& [controller, path] : paths_) {
    if (std::find(directories.begin(), directories.end(), path) == directories.end())
      directories.push_back(path);
  }
  return directories;
}

absl::Status Cgroup::Make(std::optional<pid_t> member) {
  std::vector<std::string> made;
  absl::Status status;
  for (const auto& [controller, path] : paths_) {
    std::vector<std::string> here;
    status = cgroup_files::MakeDirectories(tops_[controller], path, &here);
    made.insert(made.end(), here.begin(), here.end());
    const std::vector<std::string> levels = member ? Levels(tops_[controller], path) : here;
    for (size_t i = 0; status.ok() && i < levels.size(); ++i) status = Prepare(levels[i]);
    std::vector<int> others;
    if (status.ok() && here.empty()) others = cgroup_files::Processes(path);
    std::erase(others, member.value_or(0));
    if (!others.empty())
      status = absl::AlreadyExistsError(fmt::format("{}: there are processes in this cgroup already", path));
    if (!status.ok()) break;
  }
  if (!status.ok()) {
    for (auto directory = made.rbegin(); directory != made.rend(); ++directory) ::rmdir(directory->c_str());
  }
  return status;
}

absl::Status Cgroup::CheckMemoryUsage(const oci::Resources& resources) const {
  if (!resources.memory || !resources.memory->check_before_update.value_or(false)) return absl::OkStatus();
  const int64_t limit = resources.memory->limit.value_or(0);
  const uint64_t usage = limit > 0 ? MemoryUsage() : 0;
  if (usage <= static_cast<uint64_t>(std::max<int64_t>(limit, 0))) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("linux.resources.memory.limit: {} is less than the {} that are in use", limit, usage));
}

absl::Status Cgroup::AddProcess(pid_t pid) const {
  for (const std::string& directory : Directories()) {
    absl::Status status = cgroup_files::Write(directory + "/cgroup.procs", std::to_string(pid));
    // While a limit of the group is being set the kernel may say EINVAL.
    for (int i = 0; i < 5 && absl::IsInvalidArgument(status); ++i) {
      std::this_thread::sleep_for(milliseconds(20));
      status = cgroup_files::Write(directory + "/cgroup.procs", std::to_string(pid));
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<pid_t> Cgroup::Processes() const {
  std::vector<pid_t> all;
  for (const std::string& directory : Directories()) {
    for (int pid : cgroup_files::Processes(directory)) all.push_back(pid);
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

void Cgroup::KillNow() {
  for (pid_t pid : Processes()) {
    if (pid != ::getpid()) ::kill(pid, SIGKILL);
  }
}

absl::Status Cgroup::KillAll(milliseconds patience) {
  auto deadline = Clock::now() + patience;
  auto others = [this] {
    std::vector<pid_t> left = Processes();
    std::erase(left, ::getpid());
    return left;
  };
  milliseconds pause(1);
  for (std::vector<pid_t> left = others(); !left.empty(); left = others()) {
    // Again and again: a process that forks may be faster.
    KillNow();
    (void)Thaw();
    if (Clock::now() > deadline)
      return absl::DeadlineExceededError(
          fmt::format("{}: {} processes do not end when killed, {} is the first", Directories()[0],
                      left.size(), left[0]));
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, milliseconds(100));
  }
  return absl::OkStatus();
}

absl::Status Cgroup::Delete() {
  if (absl::Status status = KillAll(); !status.ok()) return status;
  auto deadline = Clock::now() + std::chrono::seconds(5);
  for (const std::string& top : Directories()) {
    for (const std::string& directory : cgroup_files::Tree(top)) {
      // A process counts until it is reaped, which is not always our doing.
      milliseconds pause(1);
      while (::rmdir(directory.c_str()) != 0 && errno != ENOENT) {
        if (errno != EBUSY || Clock::now() > deadline)
          return absl::FailedPreconditionError(fmt::format("{}: {}", directory, ErrorText(errno)));
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, milliseconds(100));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Cgroup>> NewCgroup(const CgroupLayout& layout, const CgroupOptions& options) {
  Cgroup::Paths paths;
  std::map<std::string, std::string> tops;
  auto add = [&](const std::string& controller, const CgroupLayout::Hierarchy& hierarchy) {
    absl::StatusOr<std::string> path = PathIn(hierarchy, options);
    if (!path.ok()) return path.status();
    // Without rights we go without the group. Where we may write, the group's own parent exists.
    std::string parent = path->substr(0, path->rfind('/'));
    bool may_leave_out = options.rootless && options.cgroups_path.empty();
    if (may_leave_out && ::access(parent.c_str(), W_OK) != 0) return absl::OkStatus();
    paths[controller] = *std::move(path);
    tops[controller] = hierarchy.mount_point;
    return absl::OkStatus();
  };
  absl::Status status;
  if (layout.is_unified()) status = add("", layout.v2);
  for (const auto& [controller, hierarchy] : layout.v1) {
    // Named hierarchies limit nothing; systemd's tells it whose the processes are.
    if (controller.starts_with("name=") && controller != "name=systemd") continue;
    if (status.ok()) status = add(controller, hierarchy);
  }
  if (!status.ok()) return status;
  if (layout.is_unified()) return std::make_unique<CgroupV2>(std::move(paths), std::move(tops));
  return std::make_unique<CgroupV1>(std::move(paths), std::move(tops));
}

std::unique_ptr<Cgroup> CgroupOfUnit(const CgroupLayout& layout, const std::string& control_group) {
  Cgroup::Paths paths, tops;
  auto add = [&](const std::string& controller, const CgroupLayout::Hierarchy& hierarchy) {
    paths[controller] = Joined(hierarchy.mount_point, Clean(BelowMountRoot(hierarchy.root, control_group)));
    tops[controller] = hierarchy.mount_point;
  };
  if (layout.is_unified()) {
    add("", layout.v2);
    return std::make_unique<CgroupV2>(std::move(paths), std::move(tops));
  }
  for (const auto& [controller, hierarchy] : layout.v1) {
    if (!controller.starts_with("name=") || controller == "name=systemd") add(controller, hierarchy);
  }
  // There systemd looks for processes, and so they have to be in it.
  if (!layout.v2.mount_point.empty()) add(Cgroup::kUnifiedBeside, layout.v2);
  return std::make_unique<CgroupV1>(std::move(paths), std::move(tops));
}

std::unique_ptr<Cgroup> OpenCgroup(Cgroup::Paths paths) {
  bool unified = paths.contains("");
  if (unified) return std::make_unique<CgroupV2>(std::move(paths), Cgroup::Paths());
  return std::make_unique<CgroupV1>(std::move(paths), Cgroup::Paths());
}

oci::Resources HostLimits(oci::Resources resources) {
  if (resources.pids_limit.value_or(0) > 0) {
    int64_t limit = std::min<int64_t>(*resources.pids_limit, INT32_MAX);
    resources.pids_limit = limit * kHostTasksPerGuestTask + kHostTasksOfASandbox;
  }
  return resources;
}

}  // namespace runsc
