#include "runsc/lifecycle/monitor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "platform/base/log.h"
#include "platform/host/confinement.h"
#include "runsc/container/hooks.h"
#include "runsc/container/process_title.h"
#include "runsc/container/root_view.h"
#include "runsc/lifecycle/console.h"
#include "runsc/lifecycle/report.h"
#include "runsc/oci/json_reader.h"
#include "runsc/sandbox/network.h"

namespace runsc {
namespace {

constexpr char kExitFile[] = "exit";
constexpr char kChildrenFile[] = "children";

std::string Error(std::string_view what) { return fmt::format("{}: {}", what, ErrorText(errno)); }

bool WriteText(const std::string& path, std::string_view text, int flags, int directory = AT_FDCWD) {
  UniqueFd fd(::openat(directory, path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0600));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// By the directory's descriptor: its path is of a mount namespace that the monitor leaves.
void ReplaceFile(int directory, const std::string& name, std::string_view text) {
  std::string temporary = name + ".new";
  if (WriteText(temporary, text, O_CREAT | O_TRUNC, directory))
    (void)::renameat(directory, temporary.c_str(), directory, name.c_str());
}

class Monitor {
 public:
  explicit Monitor(MonitorOptions options)
      : options_(std::move(options)),
        directory_(::open(options_.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {}

  int Run() {
    Detach();
    std::string wrong = EnterNetworkNamespace();
    if (wrong.empty()) wrong = Meet();
    if (wrong.empty()) wrong = RunCreateContainerHooks();
    SetOomScore();
    SetPriorities();
    if (wrong.empty()) wrong = TakeTerminal();
    if (!wrong.empty()) return FailWith(wrong);
    return RunGuest();
  }

 private:
  const oci::Spec& spec() const { return *options_.spec; }

  void Detach() {
    ::setsid();
    for (int signal = 1; signal < NSIG; ++signal) {
      if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
    }
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    SetProcessName("runsc-monitor");
    std::vector<int> keep = {0,
                             1,
                             2,
                             options_.report.get(),
                             options_.listener.get(),
                             options_.console_socket.get(),
                             options_.sandbox.container->pod.get(),
                             directory_.get(),
                             options_.sandbox.boot.log_fd};
    for (uint32_t i = 0; i < options_.preserve_fds; ++i) keep.push_back(static_cast<int>(3 + i));
    CloseAllFdsBut(keep);
  }

  std::string EnterNetworkNamespace() {
    const oci::Namespace* network = spec().linux.FindNamespace(oci::NamespaceType::kNetwork);
    if (network == nullptr) return "";
    struct stat before {
    }, after{};
    (void)::stat("/proc/self/ns/net", &before);
    if (network->path.empty()) {
      if (::unshare(CLONE_NEWNET) != 0) return Error("cannot make a network namespace");
      BringLoopbackUp();
    } else {
      UniqueFd target(::open(network->path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!target || ::setns(target.get(), CLONE_NEWNET) != 0)
        return Error(fmt::format("cannot join the network namespace {}", network->path));
    }
    (void)::stat("/proc/self/ns/net", &after);
    if (before.st_ino == after.st_ino) return "";
    AllowPortsAndPing();
    return SetNetworkSysctls();
  }

  // Where the guest's sockets are the host's, so are the network's settings.
  std::string SetNetworkSysctls() {
    if (options_.sandbox.boot.own_network) return "";
    for (const auto& [name, value] : options_.sandbox.boot.container->sysctls) {
      if (!name.starts_with("net.")) continue;
      std::string path = "/proc/sys/" + name;
      std::replace(path.begin() + 10, path.end(), '.', '/');
      if (!WriteText(path, value, 0)) return Error(fmt::format("config.json: linux.sysctl[{}]", name));
    }
    return "";
  }

  // The creator writes this process down, puts it into the cgroup and runs the first hooks.
  std::string Meet() {
    if (!SendReport(options_.report.get(), Report::kNamespaces)) ::_exit(kExitFailed);
    if (ReceiveReport(options_.report.get()).kind != Report::kGo) ::_exit(kExitFailed);
    return "";
  }

  std::string RunCreateContainerHooks() {
    std::string state = options_.hook_state;
    if (size_t at = state.find("@PID@"); at != std::string::npos)
      state.replace(at, 5, std::to_string(::getpid()));
    HookPlace place;
    place.working_directory = options_.bundle;
    absl::Status status = RunHooks(spec().hooks.create_container, "createContainer", state, place);
    return std::string(status.message());
  }

  void SetOomScore() {
    if (!spec().process->oom_score_adj) return;
    std::string value = std::to_string(*spec().process->oom_score_adj);
    if (!WriteText("/proc/self/oom_score_adj", value, 0))
      options_.warn(Error(fmt::format("process.oomScoreAdj {} has no effect on the host", value)));
  }

  // The Sentry and the Gofer inherit them.
  void SetPriorities() {
    const oci::Process& process = *spec().process;
    if (process.scheduler) SetScheduling(*process.scheduler);
    constexpr int kOfProcess = 1;  // IOPRIO_WHO_PROCESS
    if (process.io_priority &&
        ::syscall(SYS_ioprio_set, kOfProcess, 0, oci::IoPriorityNumber(*process.io_priority)) != 0)
      options_.warn(Error("process.ioPriority has no effect on the host"));
  }

  // What makes others wait is not for a sandbox, which runs several threads for one of the guest's.
  void SetScheduling(const oci::Scheduler& scheduler) {
    const ProcessSpec& inside = options_.sandbox.boot.process;
    const int policy = inside.scheduling.policy;
    if (policy != SCHED_OTHER && policy != SCHED_BATCH && policy != SCHED_IDLE)
      options_.warn(
          fmt::format("config.json: process.scheduler.policy: '{}' is shown in the container; the host "
                      "schedules it as others",
                      scheduler.policy));
    const sched_param none{};
    if ((policy == SCHED_BATCH || policy == SCHED_IDLE) && ::sched_setscheduler(0, policy, &none) != 0)
      options_.warn(
          Error(fmt::format("process.scheduler.policy {} has no effect on the host", scheduler.policy)));
    if (inside.nice != 0 && ::setpriority(PRIO_PROCESS, 0, inside.nice) != 0)
      options_.warn(Error(fmt::format("process.scheduler.nice {} has no effect on the host", inside.nice)));
  }

  std::string TakeTerminal() {
    if (!spec().process->terminal) return "";
    absl::StatusOr<Console> console = MakeConsole(spec().process->console_size);
    if (!console.ok()) return std::string(console.status().message());
    absl::Status status;
    if (options_.console_socket) {
      status = SendMaster(options_.console_socket.get(), *console);
      options_.console_socket.reset();
    } else if (!SendReport(options_.report.get(), Report::kTerminal, console->name, console->master.get())) {
      ::_exit(kExitFailed);
    }
    console->master.reset();
    if (status.ok()) status = TakeConsole(std::move(console->replica));
    return std::string(status.message());
  }

  int FailWith(const std::string& why) {
    SendReport(options_.report.get(), Report::kFailed, why);
    return kExitFailed;
  }

  // The streams are the Sentry's now; who waits for their end waits for the guest only.
  void LetGoOfStreams() {
    UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (int fd = 0; fd < 3; ++fd) ::dup2(null.get(), fd);
    for (uint32_t i = 0; i < options_.preserve_fds; ++i) ::close(static_cast<int>(3 + i));
    (void)!::chdir("/");
  }

  int RunGuest() {
    SandboxOptions& sandbox = options_.sandbox;
    SandboxContainer& container = *sandbox.container;
    for (int fd = 0; fd < 3; ++fd) sandbox.boot.stdio[fd] = ::fcntl(fd, F_GETFD) >= 0 ? fd : -1;
    for (uint32_t i = 0; i < options_.preserve_fds; ++i)
      sandbox.boot.more_files.push_back(static_cast<int>(3 + i));
    root_ = sandbox.roots[0].path;
    for (const auto& mount : sandbox.boot.container->mounts) {
      if (!mount.gofer_root) continue;
      const auto& root = sandbox.roots[*mount.gofer_root];
      binds_.push_back({root.path, mount.destination, root.read_only});
    }
    bool ready = false;
    std::string wrong;
    container.listener = std::move(options_.listener);
    container.creator = options_.report.get();
    container.say = [&](const std::string& text) {
      LOG_WARNING("{}", text);
      if (!ready && wrong.empty()) wrong = text;  // what follows comes of it
    };
    container.on_processes = [this](pid_t sentry, pid_t gofer) {
      std::string text;
      for (pid_t pid : {sentry, gofer}) {
        if (pid <= 0) continue;
        ProcessIdentity identity = ProcessIdentity::Of(pid);
        text += fmt::format("{} {}\n", identity.pid, identity.start_time);
      }
      ReplaceFile(directory_.get(), kChildrenFile, text);
      LetGoOfStreams();
    };
    container.on_ready = [&] {
      ready = true;
      SetCommandLine(spec().process->args);
      EnterContainersView();
      SendReport(options_.report.get(), Report::kReady);
    };
    SetLog(sandbox.boot.log_fd, sandbox.boot.log_level, "monitor");
    int code = RunSandbox(std::move(sandbox));
    if (!ready) return FailWith(wrong.empty() ? "the sandbox ended while it was made" : wrong);
    ReplaceFile(directory_.get(), kExitFile, std::to_string(code));
    return code;
  }

  // Sentry and Gofer are in namespaces of their own by now, or will be.
  void EnterContainersView() {
    RootView view;
    view.root = root_;
    view.binds = std::move(binds_);
    absl::Status status = EnterRootView(view);
    if (!status.ok()) LOG_WARNING("no view of the container's files: {}", std::string(status.message()));
  }

  MonitorOptions options_;
  const UniqueFd directory_;
  std::string root_;
  std::vector<RootView::Bind> binds_;
};

}  // namespace

void RunMonitor(MonitorOptions options) { ::_exit(Monitor(std::move(options)).Run()); }

std::vector<ProcessIdentity> ReadMonitorChildren(const std::string& directory) {
  std::vector<ProcessIdentity> children;
  std::ifstream file(directory + "/" + kChildrenFile);
  ProcessIdentity identity;
  while (file >> identity.pid >> identity.start_time) children.push_back(identity);
  return children;
}

std::optional<int> ReadExitStatus(const std::string& directory) {
  std::ifstream file(directory + "/" + kExitFile);
  int code = 0;
  if (file >> code) return code;
  return std::nullopt;
}

}  // namespace runsc
