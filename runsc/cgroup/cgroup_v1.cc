#include "runsc/cgroup/cgroup_v1.h"

#include <fmt/format.h>

#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "runsc/cgroup/files.h"

namespace runsc {
namespace {

using cgroup_files::ReadNumber;

void ReadMemory(const std::string& directory, const std::string& prefix, CgroupStats::Memory* memory) {
  memory->usage = ReadNumber(directory + "/" + prefix + ".usage_in_bytes");
  memory->max = ReadNumber(directory + "/" + prefix + ".max_usage_in_bytes");
  memory->limit = ReadNumber(directory + "/" + prefix + ".limit_in_bytes");
  memory->failcnt = ReadNumber(directory + "/" + prefix + ".failcnt");
}

// "8:0 Read 4096" lines.
std::vector<CgroupStats::BlockIo> ReadBlockIo(const std::string& path) {
  std::vector<CgroupStats::BlockIo> entries;
  absl::StatusOr<std::string> text = cgroup_files::Read(path);
  if (!text.ok()) return entries;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    std::vector<absl::string_view> fields = absl::StrSplit(line, absl::ByAnyChar(": "));
    CgroupStats::BlockIo entry;
    if (fields.size() != 4 || !absl::SimpleAtoi(fields[0], &entry.major) ||
        !absl::SimpleAtoi(fields[1], &entry.minor) || !absl::SimpleAtoi(fields[3], &entry.value))
      continue;
    entry.op = std::string(fields[2]);
    entries.push_back(std::move(entry));
  }
  return entries;
}

constexpr uint64_t kTicks = 10'000'000;  // nanoseconds in a USER_HZ tick

void ReadCpu(const std::string& accounting, const std::string& cpu, CgroupStats::Cpu* stats) {
  stats->total = ReadNumber(accounting + "/cpuacct.usage");
  auto times = cgroup_files::ReadTable(accounting + "/cpuacct.stat");
  stats->user = times["user"] * kTicks;
  stats->kernel = times["system"] * kTicks;
  if (absl::StatusOr<std::string> text = cgroup_files::Read(accounting + "/cpuacct.usage_percpu");
      text.ok()) {
    for (absl::string_view field : absl::StrSplit(*text, ' ', absl::SkipEmpty())) {
      uint64_t number = 0;
      if (absl::SimpleAtoi(field, &number)) stats->per_cpu.push_back(number);
    }
  }
  if (absl::StatusOr<std::string> text = cgroup_files::Read(accounting + "/cpuacct.usage_all"); text.ok()) {
    // "cpu user system", and a line for each.
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
      uint64_t user = 0, kernel = 0;
      if (fields.size() != 3 || !absl::SimpleAtoi(fields[1], &user) || !absl::SimpleAtoi(fields[2], &kernel))
        continue;
      stats->per_cpu_user.push_back(user);
      stats->per_cpu_kernel.push_back(kernel);
    }
  }
  auto throttling = cgroup_files::ReadTable(cpu + "/cpu.stat");
  stats->periods = throttling["nr_periods"];
  stats->throttled_periods = throttling["nr_throttled"];
  stats->throttled_time = throttling["throttled_time"];
}

// "0-2,4" as its numbers.
std::vector<uint32_t> ReadList(const std::string& path) {
  constexpr uint32_t kMost = 8192;  // CPUs that Linux can have
  std::vector<uint32_t> numbers;
  absl::StatusOr<std::string> text = cgroup_files::Read(path);
  if (!text.ok()) return numbers;
  for (absl::string_view range : absl::StrSplit(*text, ',')) {
    std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(range, absl::MaxSplits('-', 1));
    uint32_t first = 0, last = 0;
    if (!absl::SimpleAtoi(ends.first, &first)) continue;
    if (ends.second.empty() || !absl::SimpleAtoi(ends.second, &last)) last = first;
    for (uint32_t number = first; number <= last && numbers.size() < kMost; ++number)
      numbers.push_back(number);
  }
  return numbers;
}

void ReadCpuset(const std::string& directory, CgroupStats* stats) {
  stats->cpus = ReadList(directory + "/cpuset.cpus");
  stats->mems = ReadList(directory + "/cpuset.mems");
  for (const char* name :
       {"cpu_exclusive", "mem_exclusive", "mem_hardwall", "memory_migrate", "memory_pressure",
        "memory_spread_page", "memory_spread_slab", "sched_load_balance", "sched_relax_domain_level"}) {
    int64_t value = 0;
    absl::StatusOr<std::string> text = cgroup_files::Read(directory + "/cpuset." + name);
    if (text.ok() && absl::SimpleAtoi(*text, &value)) stats->cpuset[name] = value;
  }
}

}  // namespace

std::string CgroupV1::Find(const std::string& controller, const char* file) const {
  auto found = paths_.find(controller);
  return found == paths_.end() ? "" : found->second + "/" + file;
}

absl::Status CgroupV1::Prepare(const std::string& directory) {
  std::string parent = directory.substr(0, directory.rfind('/'));
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
    absl::StatusOr<std::string> own = cgroup_files::Read(directory + file);
    if (!own.ok() || !own->empty()) continue;
    absl::StatusOr<std::string> inherited = cgroup_files::Read(parent + file);
    if (!inherited.ok()) return inherited.status();
    if (absl::Status status = cgroup_files::Write(directory + file, *inherited); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CgroupV1::Freeze() {
  std::string file = Find("freezer", "freezer.state");
  if (file.empty()) return absl::UnimplementedError("there is no freezer controller of cgroups");
  for (int i = 0; i < 1000; ++i) {
    // Written again and again: a task that was being born or stopped is missed by one write.
    if (absl::Status status = cgroup_files::Write(file, "FROZEN"); !status.ok()) return status;
    absl::StatusOr<std::string> state = cgroup_files::Read(file);
    if (!state.ok()) return state.status();
    if (*state == "FROZEN") return absl::OkStatus();
    // Now and then it hangs at FREEZING until it was thawed.
    if (i % 50 == 49) (void)cgroup_files::Write(file, "THAWED");
    std::this_thread::sleep_for(std::chrono::milliseconds(i < 50 ? 1 : 10));
  }
  (void)cgroup_files::Write(file, "THAWED");
  return absl::DeadlineExceededError(fmt::format("{}: does not become FROZEN", file));
}

absl::Status CgroupV1::Thaw() {
  std::string file = Find("freezer", "freezer.state");
  if (file.empty()) return absl::UnimplementedError("there is no freezer controller of cgroups");
  return cgroup_files::Write(file, "THAWED");
}

uint64_t CgroupV1::MemoryUsage() const {
  return cgroup_files::ReadNumber(Find("memory", "memory.usage_in_bytes"));
}

uint64_t CgroupV1::OomKills() const {
  std::string file = Find("memory", "memory.oom_control");
  return file.empty() ? 0 : cgroup_files::ReadTable(file)["oom_kill"];
}

CgroupStats CgroupV1::Stats() const {
  CgroupStats stats;
  if (paths_.contains("cpuacct"))
    ReadCpu(paths_.at("cpuacct"), paths_.contains("cpu") ? paths_.at("cpu") : "", &stats.cpu);
  if (auto memory = paths_.find("memory"); memory != paths_.end()) {
    ReadMemory(memory->second, "memory", &stats.memory);
    ReadMemory(memory->second, "memory.memsw", &stats.swap);
    ReadMemory(memory->second, "memory.kmem", &stats.kernel);
    ReadMemory(memory->second, "memory.kmem.tcp", &stats.kernel_tcp);
    stats.memory_raw = cgroup_files::ReadTable(memory->second + "/memory.stat");
    stats.cache = stats.memory_raw["cache"];
  }
  if (auto cpuset = paths_.find("cpuset"); cpuset != paths_.end()) ReadCpuset(cpuset->second, &stats);
  if (auto pids = paths_.find("pids"); pids != paths_.end()) {
    stats.pids = ReadNumber(pids->second + "/pids.current");
    uint64_t limit = ReadNumber(pids->second + "/pids.max");
    stats.pids_limit = limit == UINT64_MAX ? 0 : limit;
  }
  if (auto blkio = paths_.find("blkio"); blkio != paths_.end()) {
    stats.io_service_bytes = ReadBlockIo(blkio->second + "/blkio.throttle.io_service_bytes_recursive");
    stats.io_serviced = ReadBlockIo(blkio->second + "/blkio.throttle.io_serviced_recursive");
  }
  return stats;
}

}  // namespace runsc
