// runsc update: other limits for a container that is there.
#include <errno.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>

#include "runsc/cgroup/resctrl.h"
#include "runsc/cmd/oci_command.h"
#include "runsc/lifecycle/container_cgroup.h"
#include "runsc/lifecycle/control_client.h"
#include "runsc/lifecycle/sandbox_config.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

// Flags whose values are numbers of their kind; -1 is no limit where that means something.
class UpdateFlags {
 public:
  std::string file;
  std::string l3_cache_schema, mem_bw_schema;

  FlagSet Set() {
    FlagSet flags;
    flags.String(
        "resources, r", "FILE",
        "JSON like linux.resources of config.json, - for stdin; the other flags\nare not looked at then",
        &file);
    Number(flags, "blkio-weight", "N", "weight of block I/O, 10 to 1000", &BlockIo().weight);
    Number(flags, "cpu-period", "US", "period of --cpu-quota in microseconds", &Cpu().period);
    Number(flags, "cpu-quota", "US", "CPU time in a period in microseconds; -1: no limit", &Cpu().quota);
    Number(flags, "cpu-burst", "US", "CPU time that may be saved up, in microseconds", &Cpu().burst);
    Number(flags, "cpu-share", "N", "CPU time relative to other containers", &Cpu().shares);
    Number(flags, "cpu-rt-period", "US", "period of --cpu-rt-runtime", &Cpu().realtime_period);
    Number(flags, "cpu-rt-runtime", "US", "realtime CPU time in a period", &Cpu().realtime_runtime);
    Number(flags, "cpu-idle", "0|1", "run when nobody else wants to", &Cpu().idle);
    flags.String("cpuset-cpus", "LIST", "processors, as 0-2,4", &Cpu().cpus);
    flags.String("cpuset-mems", "LIST", "memory nodes", &Cpu().mems);
    Size(flags, "memory", "memory; -1: no limit", &Memory().limit);
    Size(flags, "memory-reservation", "memory to be left alone if possible", &Memory().reservation);
    Size(flags, "memory-swap", "memory and swap together; -1: no limit", &Memory().swap);
    Ignored(flags, "kernel-memory");
    Ignored(flags, "kernel-memory-tcp");
    flags.String("l3-cache-schema", "SCHEMA", "Intel RDT: parts of the caches, as L3:0=f", &l3_cache_schema);
    flags.String("mem-bw-schema", "SCHEMA", "Intel RDT: memory bandwidth, as MB:0=50", &mem_bw_schema);
    Number(flags, "pids-limit", "N", "tasks; -1: no limit", &resources_.pids_limit);
    return flags;
  }

  bool has_ignored() const { return has_ignored_; }
  // Of Intel RDT, or "".
  std::string Refused() const {
    if (l3_cache_schema.empty() && mem_bw_schema.empty()) return "";
    const std::string resctrl = FindResctrl();
    if (!l3_cache_schema.empty() && !HasCacheAllocation(resctrl))
      return "Intel RDT/CAT: l3 cache schema is not enabled";
    return mem_bw_schema.empty() || HasBandwidthAllocation(resctrl)
               ? ""
               : "Intel RDT/MBA: memory bandwidth schema is not enabled";
  }

  oci::Resources Take() {
    if (!any_memory_) resources_.memory.reset();
    return std::move(resources_);
  }

 private:
  oci::CpuResources& Cpu() { return resources_.cpu.has_value() ? *resources_.cpu : resources_.cpu.emplace(); }
  oci::MemoryResources& Memory() {
    return resources_.memory.has_value() ? *resources_.memory : resources_.memory.emplace();
  }
  oci::BlockIoResources& BlockIo() {
    return resources_.block_io.has_value() ? *resources_.block_io : resources_.block_io.emplace();
  }

  void Ignored(FlagSet& flags, std::string name) {
    flags.Custom(std::move(name), "SIZE", "accepted; Linux has no such limit any more",
                 [this](const std::string&) -> std::string {
                   has_ignored_ = true;
                   return "";
                 });
  }
  template <typename T>
  void Number(FlagSet& flags, std::string name, std::string value_name, std::string help,
              std::optional<T>* value) {
    flags.Custom(std::move(name), std::move(value_name), std::move(help),
                 [value](const std::string& text) -> std::string {
                   T number{};
                   auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
                   if (error != std::errc() || end != text.data() + text.size())
                     return fmt::format("'{}' is not a number that is possible here", text);
                   *value = number;
                   return "";
                 });
  }
  void Size(FlagSet& flags, std::string name, std::string help, std::optional<int64_t>* value) {
    flags.Custom(std::move(name), "SIZE", std::move(help),
                 [this, value](const std::string& text) -> std::string {
                   uint64_t bytes = 0;
                   any_memory_ = true;
                   if (text == "-1") {
                     *value = -1;
                     return "";
                   }
                   if (!ParseSize(text, &bytes) || bytes > INT64_MAX)
                     return fmt::format("invalid size: '{}' is no size such as 512m", text);
                   *value = static_cast<int64_t>(bytes);
                   return "";
                 });
  }

  oci::Resources resources_;
  bool any_memory_ = false, has_ignored_ = false;
};

absl::StatusOr<std::string> ReadStdin() {
  std::string text;
  char buffer[4096];
  ssize_t count;
  while ((count = ::read(STDIN_FILENO, buffer, sizeof(buffer))) > 0) {
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > kMaxJsonSize) break;  // the parser says so
  }
  if (count < 0) return absl::FailedPreconditionError(fmt::format("stdin: {}", ErrorText(errno)));
  return text;
}

absl::StatusOr<oci::Resources> ReadResources(const std::string& file) {
  absl::StatusOr<std::string> text = file == "-" ? ReadStdin() : ReadTextFile(file);
  if (!text.ok()) return text.status();
  return oci::ParseResources(*text, file == "-" ? "stdin" : file);
}

// The Sentry's own limits, and what /sys/fs/cgroup shows inside. Those of a container of a pod are not the
// pod's.
absl::Status TellSandbox(const ContainerDirectory& directory, const ContainerState& state,
                         const oci::Resources& resources) {
  if (state.sandbox_id != state.id) return absl::OkStatus();
  ControlMessage request = ControlMessage::Make(ControlMessage::kUpdate);
  request.limits = LimitsInside(resources);
  if (request.limits.given == 0) return absl::OkStatus();
  absl::StatusOr<ControlClient> client = ControlClient::Connect(directory.path());
  if (!client.ok()) return client.status();
  return client->Ask(request).status();
}

absl::Status Update(const std::string& id, const UpdateFlags& flags, const oci::Resources& resources) {
  absl::StatusOr<ContainerDirectory> directory = Containers().Open(id);
  if (!directory.ok()) return directory.status();
  absl::StatusOr<ContainerState> state = directory->Load();
  if (!state.ok()) return state.status();
  if (state->CurrentStatus() == ContainerStatus::kStopped)
    return absl::FailedPreconditionError("container not running");
  if (absl::Status applied = UpdateContainerCgroup(*state, resources); !applied.ok()) return applied;
  absl::Status shared = UpdateResctrl(state->resctrl, flags.l3_cache_schema, flags.mem_bw_schema);
  if (!shared.ok()) return shared;
  return TellSandbox(*directory, *state, resources);
}

}  // namespace

int RunUpdate(Arguments arguments) {
  UpdateFlags update;
  FlagSet flags = update.Set();
  OciUsage usage{"update", "runsc update changes the limits of a container; those not given stay.", 1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  if (update.has_ignored()) Warn("Kernel memory settings are ignored and will be removed");
  if (std::string refused = update.Refused(); !refused.empty()) return Fail(refused);
  oci::Resources resources;
  if (!update.file.empty()) {
    absl::StatusOr<oci::Resources> read = ReadResources(update.file);
    if (!read.ok()) return Fail(read.status());
    resources = *std::move(read);
  } else {
    resources = update.Take();
  }
  if (absl::Status status = Update(arguments[0], update, resources); !status.ok()) return Fail(status);
  return 0;
}

}  // namespace runsc
