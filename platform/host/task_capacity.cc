#include "platform/host/task_capacity.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace runsc {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

// A number in a file; "max" and what cannot be read are no limit.
uint64_t ReadLimit(const std::string& path) {
  std::ifstream file(path);
  uint64_t limit = 0;
  return file >> limit ? limit : kUnlimited;
}

// The least pids.max of a cgroup and those above it.
uint64_t CgroupLimit(const std::string& mount, std::string cgroup) {
  uint64_t limit = kUnlimited;
  while (cgroup.size() > 1) {
    limit = std::min(limit, ReadLimit(mount + cgroup + "/pids.max"));
    cgroup.erase(cgroup.rfind('/'));
  }
  return limit;
}

// Lines are "id:controllers:path"; those of cgroup v2 have no controllers.
uint64_t CgroupsLimit() {
  std::ifstream file("/proc/self/cgroup");
  uint64_t limit = kUnlimited;
  for (std::string line; std::getline(file, line);) {
    size_t first = line.find(':');
    size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos || second + 1 >= line.size() || line[second + 1] != '/') continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers != "pids") continue;
    std::string mount = controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids";
    limit = std::min(limit, CgroupLimit(mount, line.substr(second + 1)));
  }
  return limit;
}

}  // namespace

uint64_t HostTaskCapacity() {
  uint64_t capacity =
      std::min(ReadLimit("/proc/sys/kernel/pid_max"), ReadLimit("/proc/sys/kernel/threads-max"));
  rlimit limit{};
  if (::geteuid() != 0 && ::getrlimit(RLIMIT_NPROC, &limit) == 0)
    capacity = std::min<uint64_t>(capacity, limit.rlim_cur);
  return std::min(capacity, CgroupsLimit());
}

}  // namespace runsc
