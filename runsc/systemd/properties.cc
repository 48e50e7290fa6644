#include "runsc/systemd/properties.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "runsc/cgroup/cgroup_v2.h"
#include "runsc/systemd/gvariant_text.h"

namespace runsc {
namespace {

constexpr uint64_t kInfinity = UINT64_MAX;
constexpr uint64_t kMicrosecondsPerSecond = 1'000'000;
constexpr uint64_t kQuotaStep = 10'000;  // systemd keeps whole percents of a CPU
constexpr uint64_t kDefaultPeriod = 100'000;
constexpr uint32_t kMaxCpu = 8191;

// The versions that have brought what we set.
constexpr int kHasQuotaPeriod = 242;
constexpr int kHasAllowedCpus = 244;

template <typename T>
bool Given(const std::optional<T>& value) {
  return value.value_or(0) != 0;
}

uint64_t OrInfinity(int64_t value) { return value < 0 ? kInfinity : static_cast<uint64_t>(value); }

class Collector {
 public:
  explicit Collector(const SystemdTarget& target) : target_(target) {}

  void Add(const char* name, DbusValue value) { properties_.emplace_back(name, std::move(value)); }
  void AddNumber(const char* name, uint64_t value) { Add(name, DbusValue::Uint64(value)); }

  void Memory(const oci::MemoryResources& memory) {
    if (Given(memory.limit))
      AddNumber(target_.unified ? "MemoryMax" : "MemoryLimit", OrInfinity(*memory.limit));
    if (!target_.unified) return;
    if (Given(memory.reservation)) AddNumber("MemoryLow", OrInfinity(*memory.reservation));
    // config.json's swap is memory and swap together.
    const int64_t limit = memory.limit.value_or(0), swap = memory.swap.value_or(0);
    if (swap < 0 || (swap == 0 && limit < 0)) {
      AddNumber("MemorySwapMax", kInfinity);
    } else if (swap > 0 && limit > 0 && swap >= limit) {
      AddNumber("MemorySwapMax", static_cast<uint64_t>(swap - limit));
    }
  }

  void Quota(int64_t quota, uint64_t period) {
    if (period != 0 && target_.version >= kHasQuotaPeriod) AddNumber("CPUQuotaPeriodUSec", period);
    if (quota == 0 && !(target_.unified && period != 0)) return;
    uint64_t per_second = kInfinity;
    if (quota > 0) {
      const auto exact = static_cast<unsigned __int128>(quota) * kMicrosecondsPerSecond /
                         (period == 0 ? kDefaultPeriod : period);
      const auto rounded = (exact + kQuotaStep - 1) / kQuotaStep * kQuotaStep;
      per_second = rounded < kInfinity ? std::max(static_cast<uint64_t>(rounded), kQuotaStep) : kInfinity;
    }
    AddNumber("CPUQuotaPerSecUSec", per_second);
  }

  absl::Status Cpu(const oci::CpuResources& cpu) {
    if (Given(cpu.shares)) {
      if (target_.unified) {
        AddNumber("CPUWeight", CpuWeight(*cpu.shares));
      } else {
        AddNumber("CPUShares", std::clamp<uint64_t>(*cpu.shares, 2, 262144));
      }
    }
    Quota(cpu.quota.value_or(0), cpu.period.value_or(0));
    absl::Status status = Set("AllowedCPUs", cpu.cpus, "cpu.cpus");
    return status.ok() ? Set("AllowedMemoryNodes", cpu.mems, "cpu.mems") : status;
  }

  // A list as of cpuset(7) is a mask of bits, the lowest first. Only version 2's cpusets are systemd's.
  absl::Status Set(const char* name, std::string_view list, const char* field) {
    if (list.empty() || !target_.unified || target_.version < kHasAllowedCpus) return absl::OkStatus();
    std::vector<uint8_t> mask;
    for (absl::string_view range :
         absl::StrSplit(absl::string_view(list.data(), list.size()), ',', absl::SkipWhitespace())) {
      std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(range, absl::MaxSplits('-', 1));
      uint32_t first = 0, last = 0;
      const bool is_range = range.find('-') != absl::string_view::npos;
      if (!absl::SimpleAtoi(ends.first, &first) ||
          !absl::SimpleAtoi(is_range ? ends.second : ends.first, &last) || first > last || last > kMaxCpu)
        return absl::InvalidArgumentError(
            fmt::format("linux.resources.{}: '{}' is no list of numbers and ranges", field, list));
      if (mask.size() <= last / 8) mask.resize(last / 8 + 1);
      for (uint32_t bit = first; bit <= last; ++bit) mask[bit / 8] |= static_cast<uint8_t>(1 << (bit % 8));
    }
    Add(name, DbusValue::Bytes(mask));
    return absl::OkStatus();
  }

  // Those of version 2's files that systemd has a name for.
  absl::Status Unified(const std::map<std::string, std::string>& unified) {
    constexpr std::pair<std::string_view, const char*> kLimits[] = {
        {"memory.min", "MemoryMin"}, {"memory.low", "MemoryLow"},          {"memory.high", "MemoryHigh"},
        {"memory.max", "MemoryMax"}, {"memory.swap.max", "MemorySwapMax"}, {"pids.max", "TasksMax"},
        {"cpu.weight", "CPUWeight"}};
    for (const auto& [file, value] : unified) {
      for (const auto& [name, property] : kLimits) {
        if (file != name) continue;
        if (std::optional<uint64_t> number = NumberOrMax(value)) AddNumber(property, *number);
      }
      absl::Status status;
      if (file == "cpuset.cpus") status = Set("AllowedCPUs", value, "unified");
      if (file == "cpuset.mems") status = Set("AllowedMemoryNodes", value, "unified");
      if (!status.ok()) return status;
      if (file == "cpu.max") CpuMax(value);
    }
    return absl::OkStatus();
  }

  SystemdProperties Take() { return std::move(properties_); }

 private:
  // Nothing if it is no number: the file says what is wrong with it.
  static std::optional<uint64_t> NumberOrMax(const std::string& text) {
    absl::string_view digits = absl::StripAsciiWhitespace(text);
    uint64_t number = 0;
    if (digits == "max") return kInfinity;
    return absl::SimpleAtoi(digits, &number) ? std::optional(number) : std::nullopt;
  }

  // "max", "50000", "50000 100000".
  void CpuMax(const std::string& text) {
    std::vector<std::string> words = absl::StrSplit(text, ' ', absl::SkipWhitespace());
    uint64_t period = 0;
    if (words.empty() || words.size() > 2 || (words.size() == 2 && !absl::SimpleAtoi(words[1], &period)))
      return;
    std::optional<uint64_t> quota = NumberOrMax(words[0]);
    if (quota) Quota(*quota > INT64_MAX ? -1 : static_cast<int64_t>(*quota), period);
  }

  const SystemdTarget& target_;
  SystemdProperties properties_;
};

// What decides which processes are in the unit, whose it is, and where.
constexpr std::string_view kOurs[] = {
    "PIDs", "PIDFDs",       "Slice", "Delegate", "DelegateControllers", "Names",
    "Id",   "ControlGroup", "User",  "Group",    "DelegateSubgroup",    "Controller"};

std::optional<uint64_t> Microseconds(const DbusValue& value) {
  int64_t seconds = 0;
  switch (value.type()[0]) {
    case 'n':
      seconds = value.get<int16_t>();
      break;
    case 'q':
      seconds = value.get<uint16_t>();
      break;
    case 'i':
      seconds = value.get<int32_t>();
      break;
    case 'u':
      seconds = value.get<uint32_t>();
      break;
    case 'x':
      seconds = value.get<int64_t>();
      break;
    case 't':
      if (value.get<uint64_t>() > INT64_MAX) return kInfinity;
      seconds = static_cast<int64_t>(value.get<uint64_t>());
      break;
    case 'd': {
      const double microseconds = value.get<double>() * static_cast<double>(kMicrosecondsPerSecond);
      if (!(microseconds >= 0)) return std::nullopt;
      return microseconds >= static_cast<double>(kInfinity) ? kInfinity : static_cast<uint64_t>(microseconds);
    }
    default:
      return std::nullopt;
  }
  if (seconds < 0) return std::nullopt;
  uint64_t microseconds = 0;
  const bool overflows =
      __builtin_mul_overflow(static_cast<uint64_t>(seconds), kMicrosecondsPerSecond, &microseconds);
  return overflows ? kInfinity : microseconds;
}

absl::Status CheckName(const std::string& annotation, std::string_view name) {
  const bool right = name.size() >= 3 && std::all_of(name.begin(), name.end(), [](char c) {
                       return absl::ascii_isalnum(static_cast<unsigned char>(c));
                     });
  if (!right)
    return absl::InvalidArgumentError(
        fmt::format("annotation {} name incorrect: '{}' is no name of a property", annotation, name));
  if (std::find(std::begin(kOurs), std::end(kOurs), name) != std::end(kOurs))
    return absl::InvalidArgumentError(
        fmt::format("annotation {}: runsc sets this property of its units itself", annotation));
  return absl::OkStatus();
}

}  // namespace

SystemdProperties UnitProperties(const SystemdUnit& unit, pid_t pid, const SystemdTarget& target) {
  Collector collect(target);
  collect.Add("Description", DbusValue::String(unit.description));
  // What a slice is in follows from its name, and processes are not given to it by name.
  if (unit.is_slice()) {
    collect.Add("Wants", DbusValue::Array("s", {DbusValue::String(unit.slice)}));
  } else {
    collect.Add("Slice", DbusValue::String(unit.slice));
    collect.Add("Delegate", DbusValue::Bool(true));
    collect.Add("PIDs", DbusValue::Array("u", {DbusValue::Uint32(static_cast<uint32_t>(pid))}));
  }
  // Else it would be ended at a shutdown before the engine that has made it.
  collect.Add("DefaultDependencies", DbusValue::Bool(false));
  for (const char* name : {"CPUAccounting", "MemoryAccounting", "TasksAccounting",
                           target.unified ? "IOAccounting" : "BlockIOAccounting"})
    collect.Add(name, DbusValue::Bool(true));
  return collect.Take();
}

absl::StatusOr<SystemdProperties> LimitProperties(const oci::Resources& resources,
                                                  const SystemdTarget& target) {
  Collector collect(target);
  if (resources.memory) collect.Memory(*resources.memory);
  if (resources.cpu) {
    if (absl::Status status = collect.Cpu(*resources.cpu); !status.ok()) return status;
  }
  if (Given(resources.pids_limit)) collect.AddNumber("TasksMax", OrInfinity(*resources.pids_limit));
  if (resources.block_io && Given(resources.block_io->weight)) {
    const uint64_t weight = *resources.block_io->weight;
    collect.AddNumber(target.unified ? "IOWeight" : "BlockIOWeight",
                      target.unified ? IoWeight(weight) : weight);
  }
  if (target.unified) {
    if (absl::Status status = collect.Unified(resources.unified); !status.ok()) return status;
  }
  return collect.Take();
}

absl::StatusOr<SystemdProperties> AnnotatedProperties(const std::map<std::string, std::string>& annotations) {
  SystemdProperties properties;
  for (const auto& [annotation, text] : annotations) {
    if (!annotation.starts_with(kSystemdPropertyPrefix)) continue;
    std::string name = annotation.substr(std::string_view(kSystemdPropertyPrefix).size());
    if (absl::Status status = CheckName(annotation, name); !status.ok()) return status;
    absl::StatusOr<DbusValue> value = ParseGvariantText(text);
    if (!value.ok())
      return absl::InvalidArgumentError(fmt::format("annotation {}={} value parse error: {}", annotation,
                                                    text, std::string(value.status().message())));
    const bool is_seconds = name.size() > 3 && name.ends_with("Sec") &&
                            absl::ascii_islower(static_cast<unsigned char>(name[name.size() - 4]));
    if (is_seconds) {
      std::optional<uint64_t> microseconds = Microseconds(*value);
      if (!microseconds)
        return absl::InvalidArgumentError(
            fmt::format("annotation {}={} value parse error: it is no number of seconds", annotation, text));
      name.replace(name.size() - 3, 3, "USec");
      value = DbusValue::Uint64(*microseconds);
    }
    properties.emplace_back(std::move(name), *std::move(value));
  }
  return properties;
}

}  // namespace runsc
