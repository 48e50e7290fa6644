#include "runsc/cgroup/stats.h"

#include <nlohmann/json.hpp>

namespace runsc {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const CgroupStats::Memory& memory) {
  return {{"limit", memory.limit}, {"usage", memory.usage}, {"max", memory.max}, {"failcnt", memory.failcnt}};
}

Json ToJson(const std::vector<CgroupStats::BlockIo>& entries) {
  Json list = Json::array();
  for (const CgroupStats::BlockIo& entry : entries)
    list.push_back(
        {{"major", entry.major}, {"minor", entry.minor}, {"op", entry.op}, {"value", entry.value}});
  return list;
}

}  // namespace

std::string StatsReport(std::string_view id, const CgroupStats& stats) {
  Json usage{{"total", stats.cpu.total}, {"kernel", stats.cpu.kernel}, {"user", stats.cpu.user}};
  if (!stats.cpu.per_cpu.empty()) usage["percpu"] = stats.cpu.per_cpu;
  Json pids = Json::object();
  pids["current"] = stats.pids;
  if (stats.pids_limit != 0) pids["limit"] = stats.pids_limit;
  Json hugetlb = Json::object();
  for (const auto& [size, memory] : stats.hugetlb)
    hugetlb[size] = {{"usage", memory.usage}, {"max", memory.max}, {"failcnt", memory.failcnt}};
  Json data{{"cpu",
             {{"usage", std::move(usage)},
              {"throttling",
               {{"periods", stats.cpu.periods},
                {"throttledPeriods", stats.cpu.throttled_periods},
                {"throttledTime", stats.cpu.throttled_time}}}}},
            {"cpuset", Json::object()},
            {"memory",
             {{"cache", stats.cache},
              {"usage", ToJson(stats.memory)},
              {"swap", ToJson(stats.swap)},
              {"kernel", ToJson(stats.kernel)},
              {"kernelTCP", ToJson(stats.kernel_tcp)},
              {"raw", stats.memory_raw}}},
            {"pids", std::move(pids)},
            {"blkio",
             {{"ioServiceBytesRecursive", ToJson(stats.io_service_bytes)},
              {"ioServicedRecursive", ToJson(stats.io_serviced)}}},
            {"hugetlb", std::move(hugetlb)},
            {"intel_rdt", Json::object()},
            {"network_interfaces", nullptr}};
  Json event{{"type", "stats"}, {"id", id}, {"data", std::move(data)}};
  return event.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace runsc
