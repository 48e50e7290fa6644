#include "runsc/lifecycle/exec.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/host/confinement.h"
#include "runsc/container/process_title.h"
#include "runsc/lifecycle/console.h"
#include "runsc/lifecycle/container_cgroup.h"
#include "runsc/lifecycle/control_client.h"
#include "runsc/lifecycle/report.h"
#include "runsc/lifecycle/sandbox_config.h"
#include "runsc/lifecycle/spec_file.h"
#include "runsc/oci/json_reader.h"
#include "runsc/sandbox/sandbox.h"

namespace runsc {
namespace {

absl::Status Failed(std::string_view what) {
  return absl::InternalError(fmt::format("{}: {}", what, ErrorText(errno)));
}

class Keeper {
 public:
  Keeper(ExecOptions options, ControlClient client, UniqueFd spec, UniqueFd report, UniqueFd console_socket)
      : options_(std::move(options)),
        client_(std::move(client)),
        spec_(std::move(spec)),
        report_(std::move(report)),
        console_socket_(std::move(console_socket)) {}

  int Run() {
    Detach();
    absl::Status status = TakeTerminal();
    if (status.ok()) status = Start();
    if (!status.ok()) {
      SendReport(report_.get(), Report::kFailed, std::string(status.message()));
      return kExitFailed;
    }
    SetCommandLine(options_.process.args);
    SendReport(report_.get(), Report::kReady);
    report_.reset();
    return Watch();
  }

 private:
  void Detach() {
    ::setsid();
    for (int signal = 1; signal < NSIG; ++signal) {
      if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
    }
    ::signal(SIGPIPE, SIG_IGN);
    sigset_t all;
    sigfillset(&all);
    for (int own : {SIGCHLD, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) sigdelset(&all, own);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
    signals_.reset(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    SetProcessName("runsc-exec");
    std::vector<int> keep = {
        0, 1, 2, client_.fd(), spec_.get(), report_.get(), console_socket_.get(), signals_.get()};
    for (uint32_t i = 0; i < options_.preserve_fds; ++i) keep.push_back(static_cast<int>(3 + i));
    CloseAllFdsBut(keep);
  }

  absl::Status TakeTerminal() {
    if (!options_.process.terminal) return absl::OkStatus();
    absl::StatusOr<Console> console = MakeConsole(options_.process.console_size);
    if (!console.ok()) return console.status();
    absl::Status status;
    if (console_socket_) {
      status = SendMaster(console_socket_.get(), *console);
      console_socket_.reset();
    } else {
      SendReport(report_.get(), Report::kTerminal, console->name, console->master.get());
    }
    console->master.reset();
    if (status.ok()) status = TakeConsole(std::move(console->replica));
    return status;
  }

  absl::Status Start() {
    ControlMessage request = ControlMessage::Make(ControlMessage::kExec);
    std::vector<int> files = {spec_.get()};
    for (int fd = 0; fd < 3; ++fd) {
      if (::fcntl(fd, F_GETFD) < 0) continue;
      request.value |= 1 << fd;
      files.push_back(fd);
    }
    for (uint32_t i = 0; i < options_.preserve_fds; ++i) files.push_back(static_cast<int>(3 + i));
    request.number = options_.preserve_fds;
    absl::StatusOr<ControlMessage> reply = client_.Ask(request, files);
    // The streams are the Sentry's now.
    UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (int fd = 0; fd < 3; ++fd) ::dup2(null.get(), fd);
    for (uint32_t i = 0; i < options_.preserve_fds; ++i) ::close(static_cast<int>(3 + i));
    spec_.reset();
    (void)!::chdir("/");
    return reply.status();
  }

  // The exit code for the shell.
  int Watch() {
    while (true) {
      pollfd polls[2] = {{client_.fd(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      if (::poll(polls, 2, -1) < 0) continue;
      if (polls[1].revents != 0) PassSignalOn();
      if (polls[0].revents == 0) continue;
      absl::StatusOr<ControlMessage> message = client_.Receive();
      if (!message.ok()) return 128 + SIGKILL;  // with its container
      if (message->kind == ControlMessage::kExited) {
        int status = message->value;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      }
    }
  }

  void PassSignalOn() {
    signalfd_siginfo info;
    if (::read(signals_.get(), &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return;
    auto signal = static_cast<int>(info.ssi_signo);
    bool from_terminal = info.ssi_code == SI_KERNEL;
    (void)client_.Send(ControlMessage::Make(
        from_terminal ? ControlMessage::kTerminalSignal : ControlMessage::kSignal, signal));
  }

  ExecOptions options_;
  ControlClient client_;
  UniqueFd spec_, report_, console_socket_, signals_;
};

}  // namespace

absl::StatusOr<ExecutedProcess> ExecInContainer(const ContainerState& state, ExecOptions options) {
  UniqueFd console_socket;
  if (!options.console_socket.empty()) {
    absl::StatusOr<UniqueFd> connected = ConnectConsoleSocket(options.console_socket);
    if (!connected.ok()) return connected.status();
    console_socket = *std::move(connected);
  }
  absl::StatusOr<ProcessSpec> process_spec = MakeProcessSpec(options.process, options.container);
  if (!process_spec.ok()) return process_spec.status();
  absl::StatusOr<UniqueFd> spec = ProcessSpecFile(*process_spec);
  if (!spec.ok()) return spec.status();
  absl::StatusOr<ControlClient> client = ControlClient::Connect(options.directory);
  if (!client.ok()) return absl::FailedPreconditionError("the container is not running");
  UniqueFd report, keepers;
  if (!MakeReportPair(report, keepers)) return Failed("cannot start");
  ::fflush(nullptr);
  pid_t pid = ::fork();
  if (pid < 0) return Failed("cannot start a process");
  if (pid == 0) {
    ::_exit(Keeper(std::move(options), *std::move(client), *std::move(spec), std::move(keepers),
                   std::move(console_socket))
                .Run());
  }
  keepers.reset();
  client->Close();
  // Its end is the container's business too, if there is a cgroup for it.
  JoinContainerCgroup(state, pid);
  ExecutedProcess process;
  process.keeper = pid;
  Report answer = ReceiveReport(report.get());
  if (answer.kind == Report::kTerminal) {
    process.terminal = std::move(answer.fd);
    answer = ReceiveReport(report.get());
  }
  if (answer.kind == Report::kReady) return process;
  ::waitpid(pid, nullptr, 0);
  return absl::InternalError(answer.kind == Report::kFailed ? answer.text
                                                            : "the process that starts it was killed");
}

}  // namespace runsc
