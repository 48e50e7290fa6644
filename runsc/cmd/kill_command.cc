// runsc kill and delete.
#include <fmt/format.h>
#include <signal.h>
#include <string.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "runsc/cmd/oci_command.h"
#include "runsc/lifecycle/control_client.h"
#include "runsc/lifecycle/creation.h"

namespace runsc {
namespace {

// "TERM", "SIGTERM", "sigterm", "15"; nothing if it is no signal. 0 is one as for kill(2): it only asks.
std::optional<int> ParseSignal(std::string text) {
  int number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  std::transform(text.begin(), text.end(), text.begin(), ::toupper);
  if (text.starts_with("SIG")) text.erase(0, 3);
  if (text == "IOT") return SIGABRT;
  if (text == "CLD") return SIGCHLD;
  for (int signal = 1; signal < 32; ++signal) {
    const char* name = ::sigabbrev_np(signal);
    if (name != nullptr && text == name) return signal;
  }
  if (text.starts_with("RTMIN")) {
    int more = 0;
    std::string rest = text.substr(5);
    if (rest.empty()) return 34;
    auto [stop, wrong] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), more);
    if (rest[0] == '+' && wrong == std::errc() && more >= 0 && more <= 30) return 34 + more;
  }
  return std::nullopt;
}

}  // namespace

int RunKill(Arguments arguments) {
  FlagSet flags;
  bool all = false;
  flags.Bool("all, a", "signal all processes of the container", &all);
  OciUsage usage{"kill",
                 "runsc kill sends a signal, SIGTERM if none is named, to the first process of a container.",
                 1, 2};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  std::string name = arguments.size() > 1 && !arguments[1].empty() ? arguments[1] : "SIGTERM";
  std::optional<int> wanted = ParseSignal(name);
  if (!wanted) return Fail(fmt::format("unknown signal \"{}\"", name));
  int signal = *wanted;
  absl::StatusOr<ContainerDirectory> directory = Containers().Open(arguments[0]);
  if (!directory.ok()) return Fail(directory.status());
  absl::StatusOr<ContainerState> state = directory->Load();
  if (!state.ok()) return Fail(state.status());
  ContainerStatus status = state->CurrentStatus();
  // What is left of processes ends with the monitor: there are none.
  if (status == ContainerStatus::kStopped) return all ? 0 : Fail("container not running");
  if (signal < 0 || signal >= NSIG)
    return Fail(fmt::format("unable to signal init: invalid argument: there is no signal {}", signal));
  if (signal == 0) return 0;
  absl::StatusOr<ControlClient> client = ControlClient::Connect(directory->path());
  absl::Status sent = client.status();
  if (client.ok()) {
    ControlMessage request = ControlMessage::Make(ControlMessage::kSignal, signal);
    request.number = all ? 1 : 0;
    sent = client->Ask(request).status();
    // It took the signal and ended before it could say so, or was about to end.
    if (absl::IsUnavailable(sent)) sent = absl::OkStatus();
  }
  if (!sent.ok() && signal == SIGKILL) sent = KillContainer(*directory, *state);
  return sent.ok() ? 0 : Fail(sent);
}

int RunDelete(Arguments arguments) {
  FlagSet flags;
  bool force = false;
  flags.Bool("force, f", "end the container first if it runs; it is no error if there is none", &force);
  OciUsage usage{"delete", "runsc delete takes everything away that a container had.", 1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  auto warn = [](const std::string& text) { Warn(text); };
  int code = 0;
  for (const std::string& id : arguments) {
    absl::StatusOr<ContainerDirectory> directory = Containers().Open(id);
    if (!directory.ok()) {
      if (!force || !absl::IsNotFound(directory.status())) code = Fail(directory.status());
      continue;
    }
    absl::StatusOr<ContainerState> state = directory->Load();
    if (!state.ok()) {
      // Left by a command that died before it wrote anything down, or spoilt.
      if (absl::IsNotFound(state.status()) && !force) {
        code = Fail(state.status());
      } else if (absl::Status removed = directory->Remove(); !removed.ok()) {
        code = Fail(removed);
      }
      continue;
    }
    ContainerStatus status = state->CurrentStatus();
    bool is_deletable = force || status == ContainerStatus::kStopped || status == ContainerStatus::kCreated ||
                        status == ContainerStatus::kCreating;
    if (!is_deletable) {
      code = Fail(fmt::format("cannot delete container {} that is not stopped: {}", id, StatusName(status)));
      continue;
    }
    if (absl::Status destroyed = DestroyContainer(*directory, *state, warn); !destroyed.ok())
      code = Fail(destroyed);
  }
  return code;
}

}  // namespace runsc
