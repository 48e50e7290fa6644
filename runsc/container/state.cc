#include "runsc/container/state.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "runsc/oci/json_reader.h"
#include "runsc/oci/spec_reader.h"

namespace runsc {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kStatusNames[] = {"creating", "created", "running", "paused", "stopped"};

// Bytes of file names need not be UTF-8.
std::string Dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json ToJson(const std::vector<oci::Hook>& hooks) {
  Json list = Json::array();
  for (const oci::Hook& hook : hooks) {
    Json item{{"path", hook.path}, {"args", hook.args}, {"env", hook.env}};
    if (hook.timeout.has_value()) item["timeout"] = *hook.timeout;
    list.push_back(std::move(item));
  }
  return list;
}

Json ToJson(const oci::Hooks& hooks) {
  return {{"prestart", ToJson(hooks.prestart)},
          {"createRuntime", ToJson(hooks.create_runtime)},
          {"createContainer", ToJson(hooks.create_container)},
          {"startContainer", ToJson(hooks.start_container)},
          {"poststart", ToJson(hooks.poststart)},
          {"poststop", ToJson(hooks.poststop)}};
}

Json ToJson(const SystemdUnit& unit) {
  return {{"name", unit.name}, {"slice", unit.slice}, {"description", unit.description}, {"user", unit.user}};
}

Json Report(const ContainerState& state) {
  ContainerStatus status = state.CurrentStatus();
  // The version that the state complies with, whatever the bundle's is (runtime.md, "State").
  Json json{{"ociVersion", oci::kVersion},
            {"id", state.id},
            {"pid", status == ContainerStatus::kStopped ? 0 : state.monitor.pid},
            {"status", StatusName(status)},
            {"bundle", state.bundle},
            {"rootfs", state.rootfs},
            {"created", FormatTime(state.created)}};
  if (!state.annotations.empty()) json["annotations"] = state.annotations;
  json["owner"] = UserName(state.owner);
  return json;
}

void ReadStatus(const JsonValue& json, ContainerStatus* status) {
  std::string name;
  Read(json, &name);
  const auto* found = std::find(std::begin(kStatusNames), std::end(kStatusNames), name);
  if (found == std::end(kStatusNames)) return json.Fail(fmt::format("there is no status '{}'", name));
  *status = static_cast<ContainerStatus>(found - std::begin(kStatusNames));
}

}  // namespace

std::string_view StatusName(ContainerStatus status) { return kStatusNames[static_cast<size_t>(status)]; }

ContainerStatus ContainerState::CurrentStatus() const {
  if (status == ContainerStatus::kStopped) return status;
  if (status == ContainerStatus::kCreating && monitor.pid == 0) return status;
  return monitor.IsAlive() ? status : ContainerStatus::kStopped;
}

std::string SerializeState(const ContainerState& state) {
  Json json{{"id", state.id},
            {"ociVersion", state.oci_version},
            {"status", StatusName(state.status)},
            {"isStarted", state.is_started},
            {"pid", state.monitor.pid},
            {"startTime", state.monitor.start_time},
            {"bundle", state.bundle},
            {"rootfs", state.rootfs},
            {"created", state.created},
            {"owner", state.owner},
            {"annotations", state.annotations},
            {"cgroupPaths", state.cgroup_paths},
            {"systemdCgroup", state.systemd_cgroup},
            {"platform", state.platform},
            {"hostSockets", state.host_sockets},
            {"sandboxId", state.sandbox_id},
            {"controlSocket", state.control_socket},
            {"hooks", ToJson(state.hooks)}};
  if (state.systemd_unit.has_value()) json["systemdUnit"] = ToJson(*state.systemd_unit);
  if (!state.resctrl.group.empty() || !state.resctrl.made.empty())
    json["intelRdt"] = {{"group", state.resctrl.group}, {"made", state.resctrl.made}};
  if (state.exit_status.has_value()) json["exitStatus"] = *state.exit_status;
  return Dump(json, 1) + "\n";
}

absl::StatusOr<ContainerState> ParseState(std::string_view text, const std::string& file) {
  absl::StatusOr<JsonDocument> document = JsonDocument::Parse(text, file);
  if (!document.ok()) return document.status();
  ContainerState state;
  JsonValue json = document->root();
  ReadRequired(json, "id", &state.id);
  ReadRequired(json, "ociVersion", &state.oci_version);
  JsonValue status = json["status"];
  status.Require();
  ReadStatus(status, &state.status);
  ReadMember(json, "isStarted", &state.is_started);
  ReadRequired(json, "pid", &state.monitor.pid);
  ReadRequired(json, "startTime", &state.monitor.start_time);
  ReadRequired(json, "bundle", &state.bundle);
  ReadRequired(json, "rootfs", &state.rootfs);
  ReadRequired(json, "created", &state.created);
  ReadRequired(json, "owner", &state.owner);
  ReadMember(json, "annotations", &state.annotations);
  ReadMember(json, "cgroupPaths", &state.cgroup_paths);
  ReadMember(json, "systemdCgroup", &state.systemd_cgroup);
  if (JsonValue unit = json["systemdUnit"]; unit.present()) {
    SystemdUnit& read = state.systemd_unit.emplace();
    ReadRequired(unit, "name", &read.name);
    ReadRequired(unit, "slice", &read.slice);
    ReadRequired(unit, "description", &read.description);
    ReadRequired(unit, "user", &read.user);
  }
  if (JsonValue rdt = json["intelRdt"]; rdt.present()) {
    ReadRequired(rdt, "group", &state.resctrl.group);
    ReadRequired(rdt, "made", &state.resctrl.made);
  }
  ReadMember(json, "platform", &state.platform);
  ReadMember(json, "hostSockets", &state.host_sockets);
  ReadMember(json, "sandboxId", &state.sandbox_id);
  ReadMember(json, "controlSocket", &state.control_socket);
  ReadMember(json, "exitStatus", &state.exit_status);
  JsonValue hooks = json["hooks"];
  if (hooks.present()) oci::Read(hooks, &state.hooks);
  if (!document->status().ok()) return document->status();
  return state;
}

std::string StateReport(const ContainerState& state) { return Dump(Report(state), 2) + "\n"; }

std::string StateListReport(const std::vector<ContainerState>& states) {
  if (states.empty()) return "null\n";  // as runc, which encodes a list that was never made
  Json list = Json::array();
  for (const ContainerState& state : states) list.push_back(Report(state));
  return Dump(list, -1) + "\n";
}

std::string HookState(const ContainerState& state, ContainerStatus status) {
  Json json{{"ociVersion", oci::kVersion},
            {"id", state.id},
            {"status", StatusName(status)},
            {"pid", status == ContainerStatus::kStopped ? 0 : state.monitor.pid},
            {"bundle", state.bundle}};
  if (!state.annotations.empty()) json["annotations"] = state.annotations;
  return Dump(json, -1);
}

std::string FormatTime(int64_t nanoseconds) {
  constexpr int64_t kSecond = 1'000'000'000;
  int64_t fraction = nanoseconds % kSecond;
  time_t seconds = nanoseconds / kSecond;
  if (fraction < 0) {
    fraction += kSecond;
    --seconds;
  }
  struct tm parts {};
  ::gmtime_r(&seconds, &parts);
  char date[32];
  ::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
  std::string text = fmt::format("{}.{:09}", date, fraction);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + "Z";
}

// Not getpwuid(3): in a static program it would load glibc's shared modules.
std::string UserName(uint32_t uid) {
  absl::StatusOr<std::string> passwd = ReadTextFile("/etc/passwd");
  if (passwd.ok()) {
    for (absl::string_view line : absl::StrSplit(*passwd, '\n')) {
      std::vector<absl::string_view> fields = absl::StrSplit(line, ':');
      uint32_t number = 0;
      if (fields.size() >= 3 && absl::SimpleAtoi(fields[2], &number) && number == uid && !fields[0].empty())
        return std::string(fields[0]);
    }
  }
  return fmt::format("#{}", uid);
}

}  // namespace runsc
