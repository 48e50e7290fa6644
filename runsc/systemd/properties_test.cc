#include "runsc/systemd/properties.h"

#include <catch2/catch.hpp>
#include <map>

namespace runsc {
namespace {

using Value = DbusValue;

std::map<std::string, Value> ByName(const SystemdProperties& properties) {
  std::map<std::string, Value> map;
  for (const auto& [name, value] : properties) {
    CHECK(!map.contains(name));
    map.emplace(name, value);
  }
  return map;
}

std::map<std::string, Value> Limits(const std::string& json, SystemdTarget target) {
  auto resources = oci::ParseResources(json, "r.json");
  REQUIRE(resources.ok());
  auto properties = LimitProperties(*resources, target);
  INFO(std::string(properties.status().message()));
  REQUIRE(properties.ok());
  return ByName(*properties);
}

using Map = std::map<std::string, Value>;
constexpr SystemdTarget kOne{.unified = false, .version = 252}, kTwo{.unified = true, .version = 252};

TEST_CASE("limits of version 1") {
  CHECK(Limits(R"({"memory": {"limit": 1000, "reservation": 500, "swap": 3000}, "pids": {"limit": 7},
                   "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1"}, "blockIO": {"weight": 10}})",
               kOne) == Map{{"MemoryLimit", Value::Uint64(1000)},
                            {"TasksMax", Value::Uint64(7)},
                            {"CPUShares", Value::Uint64(1024)},
                            {"CPUQuotaPerSecUSec", Value::Uint64(500'000)},
                            {"CPUQuotaPeriodUSec", Value::Uint64(100'000)},
                            {"BlockIOWeight", Value::Uint64(10)}});
  CHECK(Limits(R"({"memory": {"limit": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1}})", kOne) ==
        Map{{"MemoryLimit", Value::Uint64(UINT64_MAX)},
            {"TasksMax", Value::Uint64(UINT64_MAX)},
            {"CPUQuotaPerSecUSec", Value::Uint64(UINT64_MAX)}});
  // 1 is less than systemd takes; the kernel makes it 2, too.
  CHECK(Limits(R"({"cpu": {"shares": 1}})", kOne) == Map{{"CPUShares", Value::Uint64(2)}});
  CHECK(Limits("{}", kOne).empty());
}

TEST_CASE("limits of version 2") {
  CHECK(Limits(R"({"memory": {"limit": 1000, "reservation": 500, "swap": 3000}, "pids": {"limit": 7},
                   "cpu": {"shares": 1024, "quota": 50000, "cpus": "0-2,9", "mems": "0"}, "blockIO": {"weight": 1000}})",
               kTwo) == Map{{"MemoryMax", Value::Uint64(1000)},
                            {"MemoryLow", Value::Uint64(500)},
                            {"MemorySwapMax", Value::Uint64(2000)},
                            {"TasksMax", Value::Uint64(7)},
                            {"CPUWeight", Value::Uint64(39)},
                            {"CPUQuotaPerSecUSec", Value::Uint64(500'000)},
                            {"AllowedCPUs", Value::Bytes({7, 2})},
                            {"AllowedMemoryNodes", Value::Bytes({1})},
                            {"IOWeight", Value::Uint64(10000)}});
  CHECK(Limits(R"({"memory": {"limit": -1}})", kTwo) ==
        Map{{"MemoryMax", Value::Uint64(UINT64_MAX)}, {"MemorySwapMax", Value::Uint64(UINT64_MAX)}});
  // What cannot be is refused where the files are written.
  CHECK(Limits(R"({"memory": {"limit": 1000, "swap": 500}})", kTwo) ==
        Map{{"MemoryMax", Value::Uint64(1000)}});
}

TEST_CASE("quotas are whole percents, at least one") {
  auto quota = [](const std::string& cpu) {
    return Limits("{\"cpu\": " + cpu + "}", kTwo).at("CPUQuotaPerSecUSec").get<uint64_t>();
  };
  CHECK(quota(R"({"quota": 50001, "period": 100000})") == 510'000);
  CHECK(quota(R"({"quota": 1, "period": 1000000})") == 10'000);
  CHECK(quota(R"({"quota": 9223372036854775807, "period": 1})") == UINT64_MAX);
  CHECK(quota(R"({"period": 50000})") == UINT64_MAX);
}

TEST_CASE("what an old systemd does not know is not asked of it") {
  CHECK(Limits(R"({"cpu": {"quota": 1000, "period": 50000, "cpus": "0"}})",
               {.unified = true, .version = 239}) == Map{{"CPUQuotaPerSecUSec", Value::Uint64(20'000)}});
}

TEST_CASE("files of version 2 by name") {
  CHECK(
      Limits(
          R"({"unified": {"memory.high": "100", "memory.min": "max", "pids.max": "5", "cpu.max": "50000 100000",
                               "cpu.weight": "nonsense", "cpuset.cpus": "1", "io.max": "8:0 rbps=1"}})",
          kTwo) == Map{{"MemoryHigh", Value::Uint64(100)},
                       {"MemoryMin", Value::Uint64(UINT64_MAX)},
                       {"TasksMax", Value::Uint64(5)},
                       {"CPUQuotaPerSecUSec", Value::Uint64(500'000)},
                       {"CPUQuotaPeriodUSec", Value::Uint64(100'000)},
                       {"AllowedCPUs", Value::Bytes({2})}});
}

TEST_CASE("lists that are none") {
  for (const char* list : {"x", "1-", "2-1", "0,,y", "99999", "-1"}) {
    oci::Resources resources;
    resources.cpu.emplace().cpus = list;
    CHECK(LimitProperties(resources, kTwo).status().message() ==
          "linux.resources.cpu.cpus: '" + std::string(list) + "' is no list of numbers and ranges");
  }
}

TEST_CASE("a unit") {
  SystemdUnit scope{.name = "a-b.scope", .slice = "a.slice", .description = "runsc container b"};
  auto properties = ByName(UnitProperties(scope, 42, kTwo));
  CHECK(properties.at("Slice") == Value::String("a.slice"));
  CHECK(properties.at("PIDs") == Value::Array("u", {Value::Uint32(42)}));
  CHECK(properties.at("Delegate") == Value::Bool(true));
  CHECK(properties.at("DefaultDependencies") == Value::Bool(false));
  CHECK(properties.at("IOAccounting") == Value::Bool(true));
  CHECK(properties.at("Description") == Value::String("runsc container b"));
  CHECK(ByName(UnitProperties(scope, 42, kOne)).contains("BlockIOAccounting"));
  SystemdUnit slice{.name = "a-b.slice", .slice = "a.slice"};
  properties = ByName(UnitProperties(slice, 42, kTwo));
  CHECK(properties.at("Wants") == Value::Array("s", {Value::String("a.slice")}));
  CHECK(!properties.contains("PIDs"));
  CHECK(!properties.contains("Delegate"));
}

TEST_CASE("properties of annotations") {
  auto annotated = AnnotatedProperties({{"org.systemd.property.CollectMode", "'inactive-or-failed'"},
                                        {"org.systemd.property.TimeoutStopUSec", "uint64 5"},
                                        {"org.systemd.property.RuntimeMaxSec", "1.5"},
                                        {"io.kubernetes.cri.container-type", "sandbox"}});
  REQUIRE(annotated.ok());
  CHECK(ByName(*annotated) == Map{{"CollectMode", Value::String("inactive-or-failed")},
                                  {"TimeoutStopUSec", Value::Uint64(5)},
                                  {"RuntimeMaxUSec", Value::Uint64(1'500'000)}});
  auto error = [](const std::string& name, const std::string& value) {
    return std::string(AnnotatedProperties({{"org.systemd.property." + name, value}}).status().message());
  };
  CHECK(error("", "1") == "annotation org.systemd.property. name incorrect: '' is no name of a property");
  CHECK(error("a.b", "1") ==
        "annotation org.systemd.property.a.b name incorrect: 'a.b' is no name of a property");
  CHECK(error("CollectMode", "inactive") ==
        "annotation org.systemd.property.CollectMode=inactive value parse error: 'inactive' is not known or "
        "not "
        "supported, at character 1");
  CHECK(error("TimeoutStopSec", "'5'") ==
        "annotation org.systemd.property.TimeoutStopSec='5' value parse error: it is no number of seconds");
  CHECK(error("TimeoutStopSec", "-5").find("it is no number of seconds") != std::string::npos);
  CHECK(error("PIDs", "[uint32 1]") ==
        "annotation org.systemd.property.PIDs: runsc sets this property of its units itself");
  CHECK(error("Slice", "'system.slice'").find("itself") != std::string::npos);
}

}  // namespace
}  // namespace runsc
