// CgroupStats: what a control group has used, and `runsc events --stats` of it in runc's format.
#ifndef RUNSC_CGROUP_STATS_H_
#define RUNSC_CGROUP_STATS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace runsc {

struct CgroupStats {
  struct Memory {  // bytes
    uint64_t usage = 0, max = 0, limit = 0, failcnt = 0;
  };
  struct BlockIo {
    uint64_t major = 0, minor = 0;
    std::string op;  // "Read", …
    uint64_t value = 0;
  };
  struct Cpu {  // nanoseconds, and counts
    uint64_t total = 0, user = 0, kernel = 0;
    std::vector<uint64_t> per_cpu, per_cpu_user, per_cpu_kernel;
    uint64_t periods = 0, throttled_periods = 0, throttled_time = 0;
  } cpu;
  Memory memory, swap, kernel, kernel_tcp;
  uint64_t cache = 0;
  std::map<std::string, uint64_t> memory_raw;  // memory.stat
  uint64_t pids = 0, pids_limit = 0;           // limit 0: none
  std::vector<uint32_t> cpus, mems;
  std::map<std::string, int64_t> cpuset;  // the other files of version 1, without "cpuset."
  std::vector<BlockIo> io_service_bytes, io_serviced;
  std::map<std::string, Memory> hugetlb;  // by page size
};

// {"type":"stats","id":…,"data":{…}} and a newline.
std::string StatsReport(std::string_view id, const CgroupStats& stats);

}  // namespace runsc

#endif  // RUNSC_CGROUP_STATS_H_
