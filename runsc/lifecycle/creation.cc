#include "runsc/lifecycle/creation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runsc/container/hooks.h"
#include "runsc/lifecycle/console.h"
#include "runsc/lifecycle/container_cgroup.h"
#include "runsc/lifecycle/control_client.h"
#include "runsc/lifecycle/guest_hooks.h"
#include "runsc/lifecycle/label.h"
#include "runsc/lifecycle/monitor.h"
#include "runsc/lifecycle/namespace_joins.h"
#include "runsc/lifecycle/report.h"
#include "runsc/oci/json_reader.h"
#include "sentry/control/messages.h"

namespace runsc {
namespace {

absl::Status Failed(std::string_view what) {
  return absl::InternalError(fmt::format("{}: {}", what, ErrorText(errno)));
}

int64_t Now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

absl::Status CheckTerminal(const oci::Spec& spec, const CreateOptions& options) {
  bool terminal = spec.process->terminal;
  if (terminal && !options.keeps_terminal && options.console_socket.empty())
    return absl::InvalidArgumentError(
        "cannot allocate tty if runsc will detach without setting console socket");
  if (!options.console_socket.empty() && (!terminal || options.keeps_terminal))
    return absl::InvalidArgumentError("cannot use console socket if runsc will not detach or allocate tty");
  return absl::OkStatus();
}

// One creation, undone by the destructor unless it was completed.
class Creation {
 public:
  Creation(const StateDirectory& containers, const CreateOptions& options)
      : containers_(containers), options_(options) {}

  ~Creation() {
    if (complete_) return;
    report_.reset();
    if (monitor_ > 0) {
      ::kill(monitor_, SIGKILL);
      ::waitpid(monitor_, nullptr, 0);
      (void)KillContainer(*directory_, state_);
    }
    if (cgroup_) cgroup_->Undo();
    (void)RemoveResctrl(state_.resctrl);
    if (directory_) (void)directory_->Remove();
  }

  absl::StatusOr<CreatedContainer> Run() {
    absl::Status status = Prepare();
    if (status.ok()) status = PrepareCgroup();
    if (status.ok()) status = PrepareResctrl();
    if (status.ok()) status = StartMonitor();
    if (status.ok()) status = RunFirstHooks();
    if (status.ok()) status = WaitUntilReady();
    if (status.ok()) status = Commit();
    if (!status.ok()) return status;
    complete_ = true;
    return CreatedContainer{*std::move(directory_), std::move(state_), std::move(terminal_)};
  }

 private:
  absl::Status Prepare() {
    char real[PATH_MAX];
    if (::realpath(options_.bundle.c_str(), real) == nullptr)
      return absl::NotFoundError(fmt::format("chdir {}: {}", options_.bundle, ErrorText(errno)));
    bundle_ = real;
    if (absl::Status status = StateDirectory::CheckId(options_.id); !status.ok()) return status;
    absl::StatusOr<std::string> text = ReadTextFile(bundle_ + "/config.json");
    if (absl::IsNotFound(text.status()))
      return absl::NotFoundError(fmt::format("JSON specification file config.json not found in {}", bundle_));
    if (!text.ok()) return text.status();
    absl::StatusOr<oci::Spec> spec = oci::ParseSpec(*text, bundle_ + "/config.json");
    if (!spec.ok()) return spec.status();
    spec_ = *std::move(spec);
    absl::Status status = oci::CheckSupported(spec_);
    if (!status.ok()) return status;
    absl::StatusOr<NamespaceJoins> joins =
        FindNamespaceJoins(containers_, spec_, options_.sandbox.own_for_hosts, options_.warn);
    if (!joins.ok()) return joins.status();
    if (!spec_.process) return absl::InvalidArgumentError("config.json: process: is missing");
    status = CheckTerminal(spec_, options_);
    if (!status.ok()) return status;
    WarnOfWhatHasNoEffect();
    absl::StatusOr<SandboxOptions> sandbox = MakeSandboxOptions(spec_, bundle_, options_.sandbox);
    if (!sandbox.ok()) return sandbox.status();
    sandbox_ = *std::move(sandbox);
    sandbox_.boot.container_id = options_.id;
    state_.sandbox_id = joins->sandbox.empty() ? options_.id : joins->sandbox;
    SecurityLabel label{spec_.process->apparmor_profile, spec_.process->selinux_label};
    status = CheckLabel(label, spec_.linux.mount_label);
    if (!status.ok()) return status;
    sandbox_.label = std::move(label);
    status = PlanResctrl();
    if (!status.ok()) return status;
    if (!joins->sandbox.empty()) {
      status = ConnectToSandbox(*joins);
      if (!status.ok()) return status;
    }
    if (!options_.console_socket.empty()) {
      absl::StatusOr<UniqueFd> socket = ConnectConsoleSocket(options_.console_socket);
      if (!socket.ok()) return socket.status();
      console_socket_ = *std::move(socket);
    }
    absl::StatusOr<ContainerDirectory> directory = containers_.Create(options_.id);
    if (!directory.ok()) return directory.status();
    directory_ = *std::move(directory);
    FillState();
    // What becomes of the bundle's own does not concern the container any more (runtime.md, "Lifecycle").
    if (absl::Status copied = directory_->SaveText("config.json", *text); !copied.ok()) return copied;
    return directory_->Save(state_);
  }

  void WarnOfWhatHasNoEffect() {
    if (std::string unknown = oci::UnknownCapabilities(*spec_.process); !unknown.empty())
      options_.warn(unknown);
    if (spec_.linux.FindNamespace(oci::NamespaceType::kUser) == nullptr &&
        (!spec_.linux.uid_mappings.empty() || !spec_.linux.gid_mappings.empty()))
      options_.warn(fmt::format("config.json: linux.{}Mappings: has no effect without a user namespace",
                                spec_.linux.uid_mappings.empty() ? "gid" : "uid"));
    if (spec_.linux.resources.memory && !spec_.linux.resources.memory->use_hierarchy.value_or(true))
      options_.warn(
          "config.json: linux.resources.memory.useHierarchy: has no effect: Linux always counts what is "
          "below too");
  }

  absl::Status ConnectToSandbox(const NamespaceJoins& joins) {
    auto failed = [&](const absl::Status& why) {
      return absl::Status(
          why.code(), fmt::format("the sandbox {}{}: {}", joins.sandbox, joins.is_pod ? " of the pod" : "",
                                  std::string(why.message())));
    };
    absl::StatusOr<ContainerDirectory> directory = containers_.Open(joins.sandbox);
    if (!directory.ok()) return failed(directory.status());
    absl::StatusOr<ContainerState> state = directory->Load();
    if (!state.ok()) return failed(state.status());
    absl::StatusOr<ControlClient> client = ControlClient::Connect(directory->path());
    if (!client.ok()) return failed(client.status());
    SandboxContainer& container = *sandbox_.container;
    container.pod = client->Release();
    container.pods_monitor = state->monitor.pid;
    container.pid = joins.pid;
    container.uts = joins.uts;
    container.ipc = joins.ipc;
    container.time = joins.time;
    WarnOfSandboxLabel(*directory);
    WarnOfSandboxShares();
    if (joins.is_pod) return absl::OkStatus();
    if (sandbox_.boot.host_sockets && !state->host_sockets)
      return failed(absl::FailedPreconditionError("it has no sockets (--network=off), and so it gives none"));
    WarnOfSharedSandbox(joins.sandbox);
    return absl::OkStatus();
  }

  // A Sentry's label is that of the container that it was started for.
  void WarnOfSandboxLabel(const ContainerDirectory& sandbox) {
    absl::StatusOr<oci::Spec> first = oci::LoadSpec(sandbox.path());
    if (!first.ok() || !first->process) return;
    auto compare = [&](const std::string& own, const std::string& theirs, const char* field) {
      if (own.empty() || own == theirs) return;
      options_.warn(
          fmt::format("config.json: {}: '{}' holds for this container's own processes on the host; what runs "
                      "inside is in the "
                      "sandbox of the container {}, which has {}",
                      field, own, state_.sandbox_id, theirs.empty() ? "none" : fmt::format("'{}'", theirs)));
    };
    compare(sandbox_.label.apparmor, first->process->apparmor_profile, "process.apparmorProfile");
    compare(sandbox_.label.selinux, first->process->selinux_label, "process.selinuxLabel");
  }

  void WarnOfSandboxShares() {
    if (resctrl_ && !resctrl_->state().group.empty())
      options_.warn(
          fmt::format("config.json: linux.intelRdt: holds for this container's own processes on the host; "
                      "what runs inside is in the sandbox of the container {}, and has its shares",
                      state_.sandbox_id));
  }

  // Pods are limited as a whole, which engines know. Of others one would expect that their limits hold.
  void WarnOfSharedSandbox(const std::string& id) {
    const oci::Resources& resources = spec_.linux.resources;
    const bool is_limited =
        (resources.memory && resources.memory->limit.value_or(-1) > 0) ||
        resources.pids_limit.value_or(-1) > 0 ||
        (resources.cpu && (resources.cpu->quota.value_or(-1) > 0 || !resources.cpu->cpus.empty()));
    if (is_limited)
      options_.warn(
          fmt::format("config.json: linux.resources: hold for this container's own processes on the host; "
                      "what runs inside is in the sandbox of the container {}, and limited with it",
                      id));
  }

  void FillState() {
    state_.id = options_.id;
    state_.oci_version = spec_.oci_version;
    state_.bundle = bundle_;
    state_.rootfs = sandbox_.roots[0].path;
    state_.created = Now();
    state_.owner = ::geteuid();
    state_.annotations = spec_.annotations;
    state_.systemd_cgroup = options_.systemd_cgroup;
    state_.control_socket = kControlSocket;
    state_.platform = sandbox_.boot.platform;
    state_.host_sockets = sandbox_.boot.host_sockets;
    state_.hooks = spec_.hooks;
  }

  absl::Status PrepareCgroup() {
    ContainerCgroupOptions cgroup;
    cgroup.systemd = options_.systemd_cgroup;
    cgroup.rootless = options_.rootless;
    cgroup.save = [this] { return directory_->Save(state_); };
    cgroup.warn = options_.warn;
    cgroup_.emplace(spec_, state_, std::move(cgroup));
    return cgroup_->Prepare();
  }

  // Before anything is made: what the host does not have is refused.
  absl::Status PlanResctrl() {
    if (!spec_.linux.intel_rdt) return absl::OkStatus();
    absl::StatusOr<ResctrlGroup> group =
        ResctrlGroup::Plan(*spec_.linux.intel_rdt, options_.id, FindResctrl());
    if (!group.ok()) return group.status();
    resctrl_ = *std::move(group);
    return absl::OkStatus();
  }

  absl::Status PrepareResctrl() {
    if (!resctrl_) return absl::OkStatus();
    state_.resctrl = resctrl_->state();
    absl::Status status = directory_->Save(state_);
    if (status.ok()) status = resctrl_->Create();
    // Of somebody else, who was faster.
    if (!status.ok()) state_.resctrl.made.clear();
    return status.ok() ? resctrl_->Apply() : status;
  }

  absl::Status StartMonitor() {
    absl::StatusOr<UniqueFd> listener = ListenForControl(directory_->path());
    if (!listener.ok()) return listener.status();
    MonitorOptions monitor;
    if (!MakeReportPair(report_, monitor.report)) return Failed("cannot start");
    monitor.spec = &spec_;
    monitor.bundle = bundle_;
    monitor.directory = directory_->path();
    monitor.sandbox = std::move(sandbox_);
    monitor.sandbox.boot.log_fd = options_.log_fd;
    monitor.sandbox.boot.log_level = options_.debug ? LogLevel::kDebug : LogLevel::kInfo;
    monitor.sandbox.boot.strace = options_.strace;
    monitor.listener = *std::move(listener);
    monitor.console_socket = std::move(console_socket_);
    monitor.preserve_fds = options_.preserve_fds;
    monitor.warn = options_.warn;
    ::fflush(nullptr);
    pid_t pid = ::fork();
    if (pid < 0) return Failed("cannot start the monitor process");
    if (pid == 0) {
      state_.monitor.pid = ::getpid();
      monitor.hook_state = HookState(state_, ContainerStatus::kCreating);
      RunMonitor(std::move(monitor));
    }
    monitor_ = pid;
    monitor.report.reset();
    state_.monitor = ProcessIdentity::Of(pid);
    if (absl::Status status = cgroup_->Add(pid); !status.ok()) return WhyNotAdded(status);
    if (resctrl_) {
      if (absl::Status status = resctrl_->Add(pid); !status.ok()) return status;
    }
    return directory_->Save(state_);
  }

  // systemd cannot take a process that has ended already, which is then what there is to say.
  absl::Status WhyNotAdded(const absl::Status& status) {
    pollfd said{report_.get(), POLLIN, 0};
    if (::poll(&said, 1, 0) <= 0) return status;
    Report report = ReceiveReport(report_.get());
    return report.kind == Report::kNamespaces ? status : WhyNot(report);
  }

  absl::Status RunFirstHooks() {
    Report report = ReceiveReport(report_.get());
    if (report.kind != Report::kNamespaces) return WhyNot(report);
    HookPlace place;
    place.working_directory = bundle_;
    std::string state = HookState(state_, ContainerStatus::kCreating);
    absl::Status status = RunHooks(spec_.hooks.prestart, "prestart", state, place);
    if (status.ok()) status = RunHooks(spec_.hooks.create_runtime, "createRuntime", state, place);
    if (status.ok() && !SendReport(report_.get(), Report::kGo)) return WhyNot(Report());
    return status;
  }

  absl::Status WaitUntilReady() {
    Report report = ReceiveReport(report_.get());
    if (report.kind == Report::kTerminal) {
      terminal_ = std::move(report.fd);
      report = ReceiveReport(report_.get());
    }
    return report.kind == Report::kReady ? absl::OkStatus() : WhyNot(report);
  }

  absl::Status Commit() {
    state_.status = ContainerStatus::kCreated;
    if (absl::Status status = directory_->Save(state_); !status.ok()) return status;
    if (!options_.pid_file.empty()) {
      if (absl::Status status = WritePidFile(options_.pid_file, monitor_); !status.ok()) return status;
    }
    char byte = Report::kCommitted;
    if (::write(report_.get(), &byte, 1) != 1) return WhyNot(Report());
    return absl::OkStatus();
  }

  absl::Status WhyNot(const Report& report) {
    if (report.kind == Report::kFailed)
      return absl::InternalError(fmt::format("unable to start container process: {}", report.text));
    int status = 0;
    if (::waitpid(monitor_, &status, 0) == monitor_) monitor_ = -1;
    std::string how = WIFSIGNALED(status) ? fmt::format("was killed by signal {}", WTERMSIG(status))
                                          : fmt::format("ended with code {}", WEXITSTATUS(status));
    // What it has started goes with it, a little later.
    (void)KillContainer(*directory_, state_);
    return absl::InternalError(fmt::format("the container's monitor process {}", how));
  }

  const StateDirectory& containers_;
  const CreateOptions& options_;
  std::string bundle_;
  oci::Spec spec_;
  SandboxOptions sandbox_;
  UniqueFd console_socket_, report_, terminal_;
  std::optional<ContainerDirectory> directory_;
  ContainerState state_;
  std::optional<ContainerCgroup> cgroup_;
  std::optional<ResctrlGroup> resctrl_;
  pid_t monitor_ = -1;
  bool complete_ = false;
};

// False if it is there after all that time.
bool WaitUntilGone(const ProcessIdentity& process) {
  constexpr int kPatience = 10'000;  // milliseconds
  UniqueFd fd = process.Open();
  if (!fd) return true;
  pollfd gone{fd.get(), POLLIN, 0};
  return ::poll(&gone, 1, kPatience) > 0;
}

}  // namespace

absl::StatusOr<CreatedContainer> CreateContainer(const StateDirectory& containers,
                                                 const CreateOptions& options) {
  return Creation(containers, options).Run();
}

absl::Status StartContainer(ContainerDirectory& directory, ContainerState& state) {
  switch (state.CurrentStatus()) {
    case ContainerStatus::kCreated:
      break;
    case ContainerStatus::kStopped:
      return absl::FailedPreconditionError("cannot start a container that has stopped");
    case ContainerStatus::kRunning:
      return absl::FailedPreconditionError("cannot start an already running container");
    case ContainerStatus::kPaused:
      return absl::FailedPreconditionError("cannot start a container in the paused state");
    case ContainerStatus::kCreating:
      return absl::FailedPreconditionError("cannot start a container that was not made completely");
  }
  absl::StatusOr<ControlClient> client = ControlClient::Connect(directory.path());
  if (!client.ok()) return client.status();
  if (!state.hooks.start_container.empty()) {
    absl::StatusOr<oci::Spec> spec = oci::LoadSpec(directory.path());
    absl::Status hooks = spec.ok() ? RunStartContainerHooks(directory.path(), state, *spec) : spec.status();
    if (!hooks.ok()) {
      (void)KillContainer(directory, state);
      return hooks;
    }
  }
  auto reply = client->Ask(ControlMessage::Make(ControlMessage::kStart));
  if (!reply.ok()) return reply.status();
  state.status = ContainerStatus::kRunning;
  state.is_started = true;
  if (absl::Status status = directory.Save(state); !status.ok()) return status;
  HookPlace place;
  place.working_directory = state.bundle;
  absl::Status hooks =
      RunHooks(state.hooks.poststart, "poststart", HookState(state, ContainerStatus::kRunning), place);
  if (!hooks.ok()) (void)KillContainer(directory, state);
  return hooks;
}

absl::Status KillContainer(const ContainerDirectory& directory, const ContainerState& state) {
  std::vector<ProcessIdentity> processes = ReadMonitorChildren(directory.path());
  processes.insert(processes.begin(), state.monitor);
  for (const ProcessIdentity& process : processes) {
    if (process.pid <= 0) continue;
    UniqueFd fd = process.Open();
    if (fd) (void)::syscall(SYS_pidfd_send_signal, fd.get(), SIGKILL, nullptr, 0);
  }
  for (const ProcessIdentity& process : processes) {
    if (process.pid > 0 && !WaitUntilGone(process))
      return absl::DeadlineExceededError(fmt::format("process {} does not end", process.pid));
  }
  return absl::OkStatus();
}

absl::Status DestroyContainer(ContainerDirectory& directory, const ContainerState& state,
                              const Warning& warn) {
  absl::Status status = KillContainer(directory, state);
  if (!status.ok()) return status;
  status = RemoveContainerCgroup(state);
  if (status.ok()) status = RemoveResctrl(state.resctrl);
  if (!status.ok()) return status;
  HookPlace place;
  if (::access(state.bundle.c_str(), X_OK) == 0) place.working_directory = state.bundle;
  for (const std::string& message :
       RunAllHooks(state.hooks.poststop, "poststop", HookState(state, ContainerStatus::kStopped), place))
    warn(message);
  return directory.Remove();
}

absl::Status WritePidFile(const std::string& path, pid_t pid) {
  std::string temporary = fmt::format("{}.{}.new", path, ::getpid());
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
  std::string text = std::to_string(pid);
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::rename(temporary.c_str(), path.c_str()) != 0)
    return Failed("open " + path);
  return absl::OkStatus();
}

}  // namespace runsc
