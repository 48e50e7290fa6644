// runsc debug: what the tasks of a container are doing, strace of a running one, and how confined its
// processes are.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gofer/server/seccomp_rules.h"
#include "platform/seccomp/allowed_calls.h"
#include "runsc/cgroup/cgroup.h"
#include "runsc/cmd/oci_command.h"
#include "runsc/lifecycle/control_client.h"
#include "runsc/lifecycle/monitor.h"
#include "runsc/oci/json_reader.h"
#include "sentry/boot/boot.h"
#include "sentry/syscalls/table.h"

namespace runsc {
namespace {

std::string DirectoryOf(const ContainerState& state) { return Globals().root + "/" + state.id; }

std::string SyscallName(int32_t number) {
  if (number < 0) return "-";
  const SyscallRow* row = FindSyscall(static_cast<uint64_t>(number));
  return row != nullptr && row->name != nullptr ? row->name : fmt::format("{}", number);
}

absl::StatusOr<std::vector<ControlMessage::Task>> AskForTasks(ControlClient& client) {
  std::vector<ControlMessage::Task> tasks;
  if (absl::Status sent = client.Send(ControlMessage::Make(ControlMessage::kTasks)); !sent.ok()) return sent;
  while (true) {
    absl::StatusOr<ControlMessage> reply = client.Receive();
    if (!reply.ok()) return reply.status();
    if (reply->kind != ControlMessage::kTask) return tasks;
    tasks.push_back(reply->task);
    tasks.back().name[sizeof(tasks.back().name) - 1] = '\0';
  }
}

int PrintTasks(const ContainerState& state) {
  absl::StatusOr<ControlClient> client = ControlClient::Connect(DirectoryOf(state));
  if (!client.ok()) return Fail(client.status());
  auto tasks = AskForTasks(*client);
  if (!tasks.ok()) return Fail(tasks.status());
  fmt::print("{:<7} {:<7} {:<5} {:>10} {:<16} {}\n", "PID", "TID", "STATE", "CPU-MS", "NAME", "SYSCALL");
  for (const ControlMessage::Task& task : *tasks) {
    fmt::print("{:<7} {:<7} {:<5} {:>10} {:<16} {}\n", task.process, task.thread, task.state,
               task.cpu_time / 1'000'000, task.name, SyscallName(task.system_call));
  }
  return 0;
}

int SwitchStrace(const ContainerState& state, bool on) {
  UniqueFd log;
  std::vector<int> files;
  if (on && !Globals().debug_log.empty()) {
    log.reset(::open(Globals().debug_log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!log) return Fail(fmt::format("--debug-log: {}: {}", Globals().debug_log, ErrorText(errno)));
    files.push_back(log.get());
  }
  absl::StatusOr<ControlClient> client = ControlClient::Connect(DirectoryOf(state));
  if (!client.ok()) return Fail(client.status());
  auto reply = client->Ask(ControlMessage::Make(ControlMessage::kStrace, on ? 1 : 0), files);
  return reply.ok() ? 0 : Fail(reply.status());
}

// What /proc tells of a process of the host.
class HostProcess {
 public:
  explicit HostProcess(pid_t pid) : pid_(pid) {
    absl::StatusOr<std::string> text = ReadTextFile(fmt::format("/proc/{}/status", pid));
    if (!text.ok()) return;
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      std::pair<std::string, std::string> field = absl::StrSplit(line, absl::MaxSplits(':', 1));
      fields_[field.first] = std::string(absl::StripAsciiWhitespace(field.second));
    }
  }
  bool is_there() const { return !fields_.empty(); }
  pid_t parent() const {
    int number = 0;
    (void)absl::SimpleAtoi(Field("PPid"), &number);
    return number;
  }
  std::string Field(const std::string& name) const {
    auto found = fields_.find(name);
    return found == fields_.end() ? "?" : found->second;
  }
  // Without leading zeros.
  std::string Set(const std::string& name) const {
    std::string text = Field(name);
    text.erase(0, std::min(text.find_first_not_of('0'), text.size() - 1));
    return text;
  }
  std::string User() const {
    std::vector<std::string> ids = absl::StrSplit(Field("Uid"), absl::ByAnyChar(" \t"), absl::SkipEmpty());
    return ids.size() > 1 ? ids[1] : "?";
  }
  // Those that are not the caller's.
  std::string OwnNamespaces() const {
    std::vector<std::string> own;
    for (const char* name : {"user", "pid", "net", "mnt", "ipc", "uts", "cgroup"}) {
      if (Link(fmt::format("/proc/{}/ns/{}", pid_, name)) != Link(fmt::format("/proc/self/ns/{}", name)))
        own.emplace_back(name);
    }
    return own.empty() ? "-" : absl::StrJoin(own, ",");
  }
  std::string FileCount() const {
    DIR* folder = ::opendir(fmt::format("/proc/{}/fd", pid_).c_str());
    if (folder == nullptr) return "?";
    int count = 0;
    while (dirent* entry = ::readdir(folder)) count += entry->d_name[0] != '.' ? 1 : 0;
    ::closedir(folder);
    return std::to_string(count);
  }

 private:
  static std::string Link(const std::string& path) {
    char target[64];
    ssize_t size = ::readlink(path.c_str(), target, sizeof(target));
    return size > 0 ? std::string(target, static_cast<size_t>(size)) : "";
  }

  pid_t pid_;
  std::map<std::string, std::string> fields_;
};

std::vector<pid_t> AllProcesses() {
  std::vector<pid_t> all;
  DIR* folder = ::opendir("/proc");
  if (folder == nullptr) return all;
  while (dirent* entry = ::readdir(folder)) {
    int pid = 0;
    if (absl::SimpleAtoi(entry->d_name, &pid)) all.push_back(pid);
  }
  ::closedir(folder);
  return all;
}

// The monitor, the Sentry, the Gofer, the Sentry's stubs below it, and the keepers of exec.
std::vector<pid_t> ProcessesOf(const ContainerState& state) {
  std::vector<pid_t> found = {state.monitor.pid};
  for (const ProcessIdentity& child : ReadMonitorChildren(DirectoryOf(state)))
    if (child.IsAlive()) found.push_back(child.pid);
  std::multimap<pid_t, pid_t> children;
  for (pid_t pid : AllProcesses()) children.emplace(HostProcess(pid).parent(), pid);
  for (size_t i = 1; i < found.size(); ++i) {
    auto [first, last] = children.equal_range(found[i]);
    for (auto child = first; child != last; ++child) found.push_back(child->second);
  }
  if (state.cgroup_paths.empty()) return found;
  for (pid_t pid : OpenCgroup(state.cgroup_paths)->Processes()) {
    if (std::find(found.begin(), found.end(), pid) == found.end()) found.push_back(pid);
  }
  return found;
}

int PrintPosture(const ContainerState& state) {
  if (state.sandbox_id == state.id)
    fmt::print("host system calls allowed: sentry {}, gofer {}\n\n",
               CountAllowedCalls(SentryFilter(state.platform, state.host_sockets)),
               CountAllowedCalls(gofer::GoferFilter(false)));
  constexpr const char* kRow = "{:<16} {:<8} {:<6} {:<11} {:<11} {:<7} {:<8} {:<8} {:<8} {:<5} {}\n";
  fmt::print(fmt::runtime(kRow), "NAME", "PID", "UID", "CAPEFF", "CAPBND", "NONEWPR", "SECCOMP", "FILTERS",
             "THREADS", "FDS", "NAMESPACES OF ITS OWN");
  for (pid_t pid : ProcessesOf(state)) {
    HostProcess process(pid);
    if (!process.is_there()) continue;
    fmt::print(fmt::runtime(kRow), process.Field("Name"), pid, process.User(), process.Set("CapEff"),
               process.Set("CapBnd"), process.Field("NoNewPrivs"), process.Field("Seccomp"),
               process.Field("Seccomp_filters"), process.Field("Threads"), process.FileCount(),
               process.OwnNamespaces());
  }
  return 0;
}

}  // namespace

int RunDebug(Arguments arguments) {
  FlagSet flags;
  std::string strace;
  bool posture = false;
  flags.Choice("strace", {"on", "off"},
               "log every system call from now on, to the container's --debug-log, or to\n"
               "that of this command: runsc --debug-log=FILE debug --strace=on ID",
               &strace);
  flags.Bool("posture",
             "print what each of its processes on the host may do: user, capabilities, seccomp,\n"
             "descriptors, namespaces, and how many host system calls are allowed",
             &posture);
  OciUsage usage{
      "debug",
      "runsc debug prints what each thread of a container is doing: its state, as ps(1) has it, and\n"
      "the system call that it is in ('-': its own code).",
      1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  absl::StatusOr<ContainerState> state = Containers().Load(arguments[0]);
  if (!state.ok()) return Fail(state.status());
  ContainerStatus status = state->CurrentStatus();
  if (status == ContainerStatus::kStopped || status == ContainerStatus::kCreating)
    return Fail(fmt::format("container not running: {}", StatusName(status)));
  if (!strace.empty()) {
    if (int code = SwitchStrace(*state, strace == "on"); code != 0) return code;
  }
  if (posture) return PrintPosture(*state);
  return strace.empty() ? PrintTasks(*state) : 0;
}

}  // namespace runsc
