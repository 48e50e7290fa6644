#include "runsc/cgroup/stats.h"

#include <nlohmann/json.hpp>

namespace runsc {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const CgroupStats::Memory& memory) {
  Json json{{"limit", memory.limit}, {"failcnt", memory.failcnt}};
  if (memory.usage != 0) json["usage"] = memory.usage;
  if (memory.max != 0) json["max"] = memory.max;
  return json;
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
  if (!stats.cpu.per_cpu_user.empty()) {
    usage["percpu_kernel"] = stats.cpu.per_cpu_kernel;
    usage["percpu_user"] = stats.cpu.per_cpu_user;
  }
  // What is 0 is left out where runc's encoder does so.
  Json throttling = Json::object();
  auto add = [&](const char* name, uint64_t value) {
    if (value != 0) throttling[name] = value;
  };
  add("periods", stats.cpu.periods);
  add("throttledPeriods", stats.cpu.throttled_periods);
  add("throttledTime", stats.cpu.throttled_time);
  Json cpuset = Json::object();
  if (!stats.cpus.empty()) cpuset["cpus"] = stats.cpus;
  if (!stats.mems.empty()) cpuset["mems"] = stats.mems;
  for (const auto& [name, value] : stats.cpuset) cpuset[name] = value;
  Json memory{{"usage", ToJson(stats.memory)},
              {"swap", ToJson(stats.swap)},
              {"kernel", ToJson(stats.kernel)},
              {"kernelTCP", ToJson(stats.kernel_tcp)},
              {"raw", stats.memory_raw}};
  if (stats.cache != 0) memory["cache"] = stats.cache;
  Json pids = Json::object();
  pids["current"] = stats.pids;
  if (stats.pids_limit != 0) pids["limit"] = stats.pids_limit;
  Json hugetlb = Json::object();
  for (const auto& [size, memory] : stats.hugetlb)
    hugetlb[size] = {{"usage", memory.usage}, {"max", memory.max}, {"failcnt", memory.failcnt}};
  Json data{{"cpu", {{"usage", std::move(usage)}, {"throttling", std::move(throttling)}}},
            {"cpuset", std::move(cpuset)},
            {"memory", std::move(memory)},
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
