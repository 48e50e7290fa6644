#include "runsc/cgroup/cgroup_v2.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "runsc/cgroup/files.h"

namespace runsc {
namespace {

using cgroup_files::ReadNumber;

constexpr uint64_t kMicrosecond = 1000;  // nanoseconds

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" lines of io.stat.
void ReadIo(const std::string& path, CgroupStats* stats) {
  absl::StatusOr<std::string> text = cgroup_files::Read(path);
  if (!text.ok()) return;
  for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    std::vector<absl::string_view> device = absl::StrSplit(fields[0], ':');
    CgroupStats::BlockIo entry;
    if (device.size() != 2 || !absl::SimpleAtoi(device[0], &entry.major) ||
        !absl::SimpleAtoi(device[1], &entry.minor))
      continue;
    for (size_t i = 1; i < fields.size(); ++i) {
      std::vector<absl::string_view> pair = absl::StrSplit(fields[i], '=');
      if (pair.size() != 2 || pair[0].empty() || !absl::SimpleAtoi(pair[1], &entry.value)) continue;
      entry.op = pair[0][0] == 'r' ? "Read" : "Write";
      if (pair[0] == "rbytes" || pair[0] == "wbytes") stats->io_service_bytes.push_back(entry);
      if (pair[0] == "rios" || pair[0] == "wios") stats->io_serviced.push_back(entry);
    }
  }
}

}  // namespace

uint64_t CpuWeight(uint64_t shares) {
  if (shares == 0) return 0;
  if (shares < 2) shares = 2;
  if (shares > 262144) shares = 262144;
  return 1 + ((shares - 2) * 9999) / 262142;
}

uint64_t IoWeight(uint64_t blkio_weight) {
  if (blkio_weight == 0) return 0;
  if (blkio_weight < 10) blkio_weight = 10;
  if (blkio_weight > 1000) blkio_weight = 1000;
  return 1 + (blkio_weight - 10) * 9999 / 990;
}

std::string CgroupV2::File(const char* name) const {
  auto found = paths_.find("");
  return found == paths_.end() ? "" : found->second + "/" + name;
}

absl::Status CgroupV2::Prepare(const std::string& directory) {
  std::string parent = directory.substr(0, directory.rfind('/'));
  absl::StatusOr<std::string> controllers = cgroup_files::Read(parent + "/cgroup.controllers");
  if (!controllers.ok()) return absl::OkStatus();
  const std::string file = parent + "/cgroup.subtree_control";
  absl::StatusOr<std::string> text = cgroup_files::Read(file);
  if (!text.ok()) return absl::OkStatus();
  const std::vector<absl::string_view> there = absl::StrSplit(*text, ' ');
  // One by one: which of them are needed is seen when a limit is set.
  for (absl::string_view controller : absl::StrSplit(*controllers, ' ', absl::SkipEmpty())) {
    if (std::find(there.begin(), there.end(), controller) != there.end()) continue;
    (void)cgroup_files::Write(file, "+" + std::string(controller));
  }
  return absl::OkStatus();
}

void CgroupV2::KillNow() {
  if (std::string file = File("cgroup.kill"); cgroup_files::Exists(file)) {
    if (cgroup_files::Write(file, "1").ok()) return;
  }
  Cgroup::KillNow();
}

absl::Status CgroupV2::SetFrozen(bool frozen) {
  if (paths_.empty()) return absl::FailedPreconditionError("there is no cgroup that could be frozen");
  absl::Status status = cgroup_files::Write(File("cgroup.freeze"), frozen ? "1" : "0");
  if (!status.ok() || !frozen) return status;
  std::string events = File("cgroup.events");
  for (int i = 0; i < 1000; ++i) {
    if (cgroup_files::ReadTable(events)["frozen"] == 1) return absl::OkStatus();
    std::this_thread::sleep_for(std::chrono::milliseconds(i < 50 ? 1 : 10));
  }
  (void)cgroup_files::Write(File("cgroup.freeze"), "0");
  return absl::DeadlineExceededError(fmt::format("{}: does not become frozen", events));
}

absl::Status CgroupV2::Freeze() { return SetFrozen(true); }
absl::Status CgroupV2::Thaw() { return SetFrozen(false); }

uint64_t CgroupV2::MemoryUsage() const { return cgroup_files::ReadNumber(File("memory.current")); }

uint64_t CgroupV2::OomKills() const { return cgroup_files::ReadTable(File("memory.events"))["oom_kill"]; }

CgroupStats CgroupV2::Stats() const {
  CgroupStats stats;
  auto cpu = cgroup_files::ReadTable(File("cpu.stat"));
  stats.cpu.total = cpu["usage_usec"] * kMicrosecond;
  stats.cpu.user = cpu["user_usec"] * kMicrosecond;
  stats.cpu.kernel = cpu["system_usec"] * kMicrosecond;
  stats.cpu.periods = cpu["nr_periods"];
  stats.cpu.throttled_periods = cpu["nr_throttled"];
  stats.cpu.throttled_time = cpu["throttled_usec"] * kMicrosecond;
  stats.memory = {.usage = ReadNumber(File("memory.current")),
                  .max = ReadNumber(File("memory.peak")),
                  .limit = ReadNumber(File("memory.max")),
                  .failcnt = cgroup_files::ReadTable(File("memory.events"))["max"]};
  stats.swap = {.usage = ReadNumber(File("memory.swap.current")),
                .limit = ReadNumber(File("memory.swap.max"))};
  stats.memory_raw = cgroup_files::ReadTable(File("memory.stat"));
  stats.cache = stats.memory_raw["file"];
  stats.pids = ReadNumber(File("pids.current"));
  uint64_t limit = ReadNumber(File("pids.max"));
  stats.pids_limit = limit == UINT64_MAX ? 0 : limit;
  ReadIo(File("io.stat"), &stats);
  return stats;
}

}  // namespace runsc
