// runsc ps, pause, resume, events and wait.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runsc/cgroup/cgroup.h"
#include "runsc/cmd/oci_command.h"
#include "runsc/lifecycle/control_client.h"
#include "runsc/lifecycle/monitor.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

std::string ShortTime(int64_t nanoseconds) {
  int64_t seconds = nanoseconds / 1'000'000'000;
  return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

// The time of day, or the day if that is another.
std::string StartTime(int64_t nanoseconds) {
  time_t start = nanoseconds / 1'000'000'000;
  time_t now = ::time(nullptr);
  struct tm then {
  }, today{};
  ::localtime_r(&start, &then);
  ::localtime_r(&now, &today);
  bool is_today = then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
  char text[16];
  ::strftime(text, sizeof(text), is_today ? "%H:%M" : "%b%d", &then);
  return text;
}

// Percent of one CPU since its start, as ps(1) has it.
int64_t CpuShare(const ControlMessage::Process& process) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  int64_t lived = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec - process.start_time;
  return lived > 0 ? std::min<int64_t>(99, process.cpu_time * 100 / lived) : 0;
}

void PrintProcesses(const std::vector<ControlMessage::Process>& processes) {
  fmt::print("{:<10} {:<5} {:<5} {:<3} {:<6} {:<8} {:<10} {}\n", "UID", "PID", "PPID", "C", "STIME", "TTY",
             "TIME", "CMD");
  for (const auto& process : processes) {
    fmt::print("{:<10} {:<5} {:<5} {:<3} {:<6} {:<8} {:<10} {}\n", process.uid, process.pid, process.parent,
               CpuShare(process), StartTime(process.start_time),
               process.terminal[0] != '\0' ? process.terminal : "?", ShortTime(process.cpu_time),
               process.command);
  }
}

absl::StatusOr<std::vector<ControlMessage::Process>> AskForProcesses(ControlClient& client) {
  std::vector<ControlMessage::Process> processes;
  if (absl::Status sent = client.Send(ControlMessage::Make(ControlMessage::kProcesses)); !sent.ok())
    return sent;
  while (true) {
    absl::StatusOr<ControlMessage> reply = client.Receive();
    if (!reply.ok()) return reply.status();
    if (reply->kind != ControlMessage::kProcess) return processes;
    processes.push_back(reply->process);
    processes.back().terminal[sizeof(processes.back().terminal) - 1] = '\0';
    processes.back().command[sizeof(processes.back().command) - 1] = '\0';
  }
}

// The processes of the host that stand for one of the container each: for the first one, and for those of
// exec. Engines look these numbers up on the host.
std::vector<pid_t> HostProcesses(const ContainerState& state) {
  std::vector<pid_t> processes = {state.monitor.pid};
  if (state.cgroup_paths.empty()) return processes;
  for (pid_t pid : OpenCgroup(state.cgroup_paths)->Processes()) {
    absl::StatusOr<std::string> name = ReadTextFile(fmt::format("/proc/{}/comm", pid));
    if (pid != state.monitor.pid && name.ok() && *name == "runsc-exec\n") processes.push_back(pid);
  }
  return processes;
}

bool IsThere(ContainerStatus status) {
  return status == ContainerStatus::kCreated || status == ContainerStatus::kRunning ||
         status == ContainerStatus::kPaused;
}

// ps(1) of the host with those options, without the lines of processes that are not `ours`: what "runc ps ID
// -o pid,cmd" is.
int PrintByHostPs(Arguments options, const std::vector<pid_t>& ours) {
  std::string command = "ps";
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return Fail(fmt::format("pipe: {}", ErrorText(errno)));
  UniqueFd output(pipe[0]), input(pipe[1]);
  pid_t pid = ::fork();
  if (pid < 0) return Fail(fmt::format("ps: {}", ErrorText(errno)));
  if (pid == 0) {
    std::vector<char*> argv = {command.data()};
    for (std::string& option : options) argv.push_back(option.data());
    argv.push_back(nullptr);
    ::dup2(input.get(), STDOUT_FILENO);
    ::execvp("ps", argv.data());
    ::dprintf(STDERR_FILENO, "ps: %s\n", ErrorText(errno).c_str());
    ::_exit(127);
  }
  input.reset();
  std::string text;
  char buffer[4096];
  ssize_t count;
  while ((count = ::read(output.get(), buffer, sizeof(buffer))) > 0)
    text.append(buffer, static_cast<size_t>(count));
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return Fail("ps failed");
  std::vector<std::string> lines = absl::StrSplit(absl::StripSuffix(text, "\n"), '\n');
  std::vector<std::string> titles = absl::StrSplit(lines[0], ' ', absl::SkipEmpty());
  auto column = std::find(titles.begin(), titles.end(), "PID") - titles.begin();
  if (column == static_cast<ptrdiff_t>(titles.size())) return Fail("couldn't find PID field in ps output");
  fmt::print("{}\n", lines[0]);
  for (size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> fields = absl::StrSplit(lines[i], ' ', absl::SkipEmpty());
    int number = 0;
    if (column >= static_cast<ptrdiff_t>(fields.size()) || !absl::SimpleAtoi(fields[column], &number))
      continue;
    if (std::find(ours.begin(), ours.end(), number) != ours.end()) fmt::print("{}\n", lines[i]);
  }
  return 0;
}

int PauseOrResume(const std::string& id, bool pause) {
  absl::StatusOr<ContainerDirectory> directory = Containers().Open(id);
  if (!directory.ok()) return Fail(directory.status());
  absl::StatusOr<ContainerState> state = directory->Load();
  if (!state.ok()) return Fail(state.status());
  ContainerStatus status = state->CurrentStatus();
  if (pause && status != ContainerStatus::kRunning && status != ContainerStatus::kCreated)
    return Fail(fmt::format("container not running: {}", StatusName(status)));
  if (!pause && status != ContainerStatus::kPaused) return Fail("container not paused");
  absl::StatusOr<ControlClient> client = ControlClient::Connect(directory->path());
  if (!client.ok()) return Fail(client.status());
  auto reply = client->Ask(ControlMessage::Make(pause ? ControlMessage::kPause : ControlMessage::kResume));
  if (!reply.ok()) return Fail(reply.status());
  state->status = pause               ? ContainerStatus::kPaused
                  : state->is_started ? ContainerStatus::kRunning
                                      : ContainerStatus::kCreated;
  absl::Status saved = directory->Save(*state);
  return saved.ok() ? 0 : Fail(saved);
}

// Of the cgroup, or if there is none (rootless) what the Sentry knows.
absl::StatusOr<CgroupStats> StatsOf(const ContainerState& state) {
  if (!state.cgroup_paths.empty()) return OpenCgroup(state.cgroup_paths)->Stats();
  absl::StatusOr<ControlClient> client = ControlClient::Connect(Globals().root + "/" + state.id);
  if (!client.ok()) return client.status();
  absl::StatusOr<ControlMessage> reply = client->Ask(ControlMessage::Make(ControlMessage::kStats));
  if (!reply.ok()) return reply.status();
  CgroupStats stats;
  stats.memory.usage = reply->stats.memory;
  stats.memory.limit = reply->stats.memory_limit;
  stats.cpu.total = static_cast<uint64_t>(reply->stats.cpu_time);
  stats.pids = reply->stats.tasks;
  return stats;
}

// Waits for the monitor's end, at most so long; whether it has come.
bool WaitForEnd(const ContainerState& state, int milliseconds) {
  UniqueFd monitor = state.monitor.Open();
  if (!monitor) return true;
  pollfd ended{monitor.get(), POLLIN, 0};
  return ::poll(&ended, 1, milliseconds) > 0;
}

// Tells of processes that the host has killed for want of memory, as they are killed: the two versions of
// cgroups have different ways to wait for that, and looking ten times a second does for both.
class OomWatch {
 public:
  explicit OomWatch(const ContainerState& state) : state_(state), kills_(Count()) {}

  // Waits for so many milliseconds, or until the container's end: true.
  bool WaitForEnd(uint64_t milliseconds) {
    constexpr uint64_t kTick = 100;
    for (uint64_t waited = 0; waited < milliseconds; waited += kTick) {
      bool ended = runsc::WaitForEnd(state_, static_cast<int>(std::min(kTick, milliseconds - waited)));
      Report();
      if (ended) return true;
    }
    return false;
  }

 private:
  uint64_t Count() const {
    return state_.cgroup_paths.empty() ? 0 : OpenCgroup(state_.cgroup_paths)->OomKills();
  }
  void Report() {
    uint64_t now = Count();
    if (now > kills_) fmt::print("{}\n", nlohmann::json{{"type", "oom"}, {"id", state_.id}}.dump());
    ::fflush(stdout);
    kills_ = now;
  }

  const ContainerState& state_;
  uint64_t kills_;
};

}  // namespace

int RunPs(Arguments arguments) {
  FlagSet flags;
  std::string format = "table";
  flags.String("format, f", "table|json",
               "json: the host's numbers of the processes that stand\nfor them (default: table)", &format);
  OciUsage usage{
      "ps",
      "runsc ps lists the processes of a container, by their numbers in it. With options of ps(1)\n"
      "behind the ID it is the host's ps, for the processes that stand for them.",
      1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  absl::StatusOr<ContainerState> state = Containers().Load(arguments[0]);
  if (!state.ok()) return Fail(state.status());
  if (format != "table" && format != "json")
    return Fail(fmt::format("invalid format option: '{}' is not one of table|json", format));
  bool is_there = IsThere(state->CurrentStatus());
  if (format == "json") {
    fmt::print("{}\n", is_there ? nlohmann::json(HostProcesses(*state)).dump() : "null");
    return 0;
  }
  if (arguments.size() > 1) {
    arguments.erase(arguments.begin());
    return PrintByHostPs(std::move(arguments), is_there ? HostProcesses(*state) : std::vector<pid_t>());
  }
  std::vector<ControlMessage::Process> processes;
  if (is_there) {
    absl::StatusOr<ControlClient> client = ControlClient::Connect(Globals().root + "/" + state->id);
    if (!client.ok()) return Fail(client.status());
    auto asked = AskForProcesses(*client);
    if (!asked.ok()) return Fail(asked.status());
    processes = *std::move(asked);
  }
  PrintProcesses(processes);
  return 0;
}

int RunPause(Arguments arguments) {
  FlagSet flags;
  OciUsage usage{"pause", "runsc pause stops all processes of a container, without their knowing.", 1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  return PauseOrResume(arguments[0], true);
}

int RunResume(Arguments arguments) {
  FlagSet flags;
  OciUsage usage{"resume", "runsc resume lets the processes of a paused container go on.", 1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  return PauseOrResume(arguments[0], false);
}

int RunEvents(Arguments arguments) {
  FlagSet flags;
  bool once = false;
  uint32_t seconds = 5;
  bool has_interval = false;
  flags.Bool("stats", "print what it uses now, once", &once);
  flags.Custom("interval", "DURATION", "time between two reports: 5s, 1m (default: 5s)",
               [&](std::string text) -> std::string {
                 uint32_t factor = 1;
                 if (text.ends_with('s')) text.pop_back();
                 if (text.ends_with('m')) {
                   factor = 60;
                   text.pop_back();
                 }
                 char* end = nullptr;
                 unsigned long value = ::strtoul(text.c_str(), &end, 10);
                 if (text.empty() || *end != '\0' || value == 0 || value > 86400)
                   return "is not a number of seconds";
                 seconds = static_cast<uint32_t>(value) * factor;
                 has_interval = true;
                 return "";
               });
  OciUsage usage{"events",
                 "runsc events prints what a container uses, a line of JSON at a time, until its end.", 1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  absl::StatusOr<ContainerState> state = Containers().Load(arguments[0]);
  if (!state.ok()) return Fail(state.status());
  if (!IsThere(state->CurrentStatus()))
    return Fail(fmt::format("container with id {} is not running", state->id));
  OomWatch oom(*state);
  while (true) {
    absl::StatusOr<CgroupStats> stats = StatsOf(*state);
    if (!stats.ok()) return Fail(stats.status());
    fmt::print("{}", StatsReport(state->id, *stats));
    ::fflush(stdout);
    if (once) return 0;
    if (oom.WaitForEnd(uint64_t{seconds} * 1000)) return 0;
  }
}

int RunWait(Arguments arguments) {
  FlagSet flags;
  OciUsage usage{"wait", "runsc wait waits for a container's end and prints its exit code, as JSON.", 1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  absl::StatusOr<ContainerState> state = Containers().Load(arguments[0]);
  if (!state.ok()) return Fail(state.status());
  (void)WaitForEnd(*state, -1);
  std::optional<int> code = ReadExitStatus(Globals().root + "/" + state->id);
  // Its monitor was killed, and it with that.
  fmt::print("{}\n", nlohmann::json{{"id", state->id}, {"exitStatus", code.value_or(128 + SIGKILL)}}.dump());
  return 0;
}

}  // namespace runsc
