// runsc state and runsc list.
#include <fmt/format.h>
#include <stdio.h>

#include <algorithm>
#include <array>

#include "runsc/cmd/oci_command.h"

namespace runsc {
namespace {

// Columns at least 12 wide and 3 apart, as runc has them.
void PrintTable(const std::vector<std::array<std::string, 6>>& rows) {
  std::array<size_t, 6> widths;
  widths.fill(12);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size() + 3);
  }
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) fmt::print("{:<{}}", row[i], widths[i]);
    fmt::print("{}\n", row.back());
  }
}

std::array<std::string, 6> Row(const ContainerState& state) {
  ContainerStatus status = state.CurrentStatus();
  pid_t pid = status == ContainerStatus::kStopped ? 0 : state.monitor.pid;
  return {state.id,     std::to_string(pid),       std::string(StatusName(status)),
          state.bundle, FormatTime(state.created), UserName(state.owner)};
}

}  // namespace

int RunState(Arguments arguments) {
  FlagSet flags;
  OciUsage usage{"state", "runsc state prints the state of a container as JSON.", 1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  absl::StatusOr<ContainerState> state = Containers().Load(arguments[0]);
  if (!state.ok()) return Fail(state.status());
  fmt::print("{}", StateReport(*state));
  return 0;
}

int RunList(Arguments arguments) {
  FlagSet flags;
  bool quiet = false;
  std::string format = "table";
  flags.String("format, f", "table|json", "how they are listed (default: table)", &format);
  flags.Bool("quiet, q", "print ids only", &quiet);
  OciUsage usage{"list", "runsc list prints the containers of --root.", 0, 0};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  if (format != "table" && format != "json")
    return Fail(fmt::format("invalid format option: '{}' is not one of table|json", format));
  std::vector<ContainerState> states;
  for (StateDirectory::Entry& entry : Containers().List()) {
    if (entry.state.ok()) {
      states.push_back(*std::move(entry.state));
    } else {
      Warn(std::string(entry.state.status().message()));
    }
  }
  if (quiet) {
    for (const ContainerState& state : states) fmt::print("{}\n", state.id);
  } else if (format == "json") {
    fmt::print("{}", StateListReport(states));
  } else {
    std::vector<std::array<std::string, 6>> rows = {{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
    for (const ContainerState& state : states) rows.push_back(Row(state));
    PrintTable(rows);
  }
  return 0;
}

}  // namespace runsc
