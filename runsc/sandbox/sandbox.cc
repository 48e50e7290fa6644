#include "runsc/sandbox/sandbox.h"

#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "gofer/server/gofer.h"
#include "gofer/server/sandbox.h"
#include "gofer/server/seccomp_rules.h"
#include "platform/host/clone_process.h"
#include "platform/host/confinement.h"
#include "platform/host/own_limits.h"
#include "platform/host/resident_code.h"
#include "platform/host/task_capacity.h"
#include "runsc/sandbox/caller_terminal.h"
#include "runsc/sandbox/network.h"
#include "runsc/sandbox/pod_member.h"
#include "runsc/sandbox/root_trees.h"
#include "sentry/boot/channel.h"
#include "sentry/boot/socket_maker.h"

namespace runsc {
namespace {

// Signals of the caller that do not go on to the guest: what cannot be caught, what is about this process.
constexpr int kOwnSignals[] = {SIGKILL, SIGSTOP, SIGCHLD, SIGPIPE, SIGSEGV,
                               SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP, SIGSYS};

// Where messages go, if not to stderr.
std::function<void(const std::string&)> say_elsewhere;

template <typename... Args>
void Say(fmt::format_string<Args...> format, Args&&... args) {
  std::string text = fmt::format(format, std::forward<Args>(args)...);
  if (say_elsewhere) return say_elsewhere(text);
  std::string line = "runsc: " + text + "\n";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

sigset_t HandledSignals() {
  sigset_t set;
  sigfillset(&set);
  for (int signal : kOwnSignals) sigdelset(&set, signal);
  sigaddset(&set, SIGCHLD);
  return set;
}

bool ComesFromTerminal(const signalfd_siginfo& info) {
  switch (static_cast<int>(info.ssi_signo)) {
    case SIGINT:
    case SIGQUIT:
    case SIGTSTP:
    case SIGWINCH:
    case SIGHUP:
      return info.ssi_code == SI_KERNEL;
    default:
      return false;
  }
}

// The command inherits the caller's signal state, as over an execve(2); this process gets one of its own.
void TakeSignalState(BootOptions& boot) {
  sigset_t blocked;
  sigset_t handled = HandledSignals();
  ::sigprocmask(SIG_BLOCK, &handled, &blocked);
  for (int signal = 1; signal < NSIG; ++signal) {
    uint64_t bit = uint64_t{1} << (signal - 1);
    if (sigismember(&blocked, signal) == 1) boot.process.blocked_signals |= bit;
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
      boot.process.ignored_signals |= bit;
  }
  ::signal(SIGCHLD, SIG_DFL);
  ::signal(SIGPIPE, SIG_IGN);
}

bool MakePair(UniqueFd& a, UniqueFd& b) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return false;
  a.reset(pair[0]);
  b.reset(pair[1]);
  return true;
}

// What a child does first: end with the parent, have its own session (a terminal's keys
// are for the caller, who forwards them), and no signal state of the caller.
void BeginChild(const char* name) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::setsid();
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
  }
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  SetProcessName(name);
}

// Waits until the parent has written the id maps. False: the parent is gone.
bool WaitForGo(int socket) {
  ChannelMessage message;
  return ReceiveMessage(socket, &message) && message.kind == ChannelMessage::kGo;
}

struct Children {
  pid_t sentry = -1;
  pid_t gofer = -1;
  UniqueFd gofer_failure;  // a pipe with what kept the Gofer from starting

  // Neither process outlives this one in any case; this makes it now.
  void Kill() {
    for (pid_t pid : {sentry, gofer}) {
      if (pid > 0) ::kill(pid, SIGKILL);
    }
    for (pid_t* pid : {&sentry, &gofer}) {
      if (*pid > 0) ::waitpid(*pid, nullptr, 0);
      *pid = -1;
    }
  }
};

// Clones with as many of the namespaces as the host gives: without the user namespace
// if a privileged caller cannot have one.
Result<pid_t> CloneConfined(uint64_t flags, bool* has_user_namespace) {
  *has_user_namespace = true;
  auto pid = CloneProcess(flags | CLONE_NEWUSER);
  if (pid.ok() || ::geteuid() != 0) return pid;
  *has_user_namespace = false;
  return CloneProcess(flags);
}

// Whether the mappings are what an ordinary user may write: himself, as one id.
bool MapsCallerAlone(const SandboxOptions& options) {
  if (!options.container) return false;
  const std::vector<IdMapping>& users = options.container->uid_mappings;
  const std::vector<IdMapping>& groups = options.container->gid_mappings;
  return users.size() == 1 && groups.size() == 1 && users[0].count == 1 && groups[0].count == 1 &&
         users[0].outside == ::geteuid() && groups[0].outside == ::getegid();
}

Result<pid_t> StartGofer(SandboxOptions& options, UniqueFd& socket, UniqueFd& failure) {
  UniqueFd parent_end, child_end;
  int pipe_ends[2];
  if (!MakePair(parent_end, child_end) || ::pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) return HostErrno();
  failure.reset(pipe_ends[0]);
  auto to_parent = std::make_shared<UniqueFd>(pipe_ends[1]);
  bool privileged = ::geteuid() == 0;
  bool user_namespace = false;
  // An ordinary user's Gofer stays in the user namespace, where it sees the owners of
  // files as they are; it has no privilege to lose, and its filter confines it.
  std::vector<UniqueFd> trees(options.roots.size());
  if (privileged) {
    std::string why;
    auto cloned = CloneRootTrees(options, &why);
    if (!cloned.ok()) {
      if (!why.empty()) Say("{}", why);
      return cloned.error();
    }
    trees = std::move(*cloned);
  }
  constexpr uint64_t kFlags = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  // An ordinary user whose container maps him alone: what is his belongs to the container's root.
  const bool maps_caller = !privileged && MapsCallerAlone(options);
  auto pid = maps_caller  ? CloneProcess(kFlags | CLONE_NEWUSER)
             : privileged ? CloneConfined(kFlags, &user_namespace)
                          : CloneProcess(0);
  user_namespace |= maps_caller;
  if (!pid.ok()) return pid;
  if (*pid != 0) {
    if (user_namespace) {
      bool has_mappings = options.container && !options.container->uid_mappings.empty();
      auto mapped =
          maps_caller
              ? WriteIdMappings(*pid, options.container->uid_mappings[0], options.container->gid_mappings[0])
          : has_mappings
              ? WriteIdMappings(*pid, options.container->uid_mappings, options.container->gid_mappings)
              : WriteIdentityMappings(*pid);
      if (!mapped.ok()) {
        ::kill(*pid, SIGKILL);
        ::waitpid(*pid, nullptr, 0);
        return mapped.error();
      }
    }
    SendMessage(parent_end.get(), ChannelMessage::Make(ChannelMessage::kGo, 0));
    return pid;
  }
  BeginChild("runsc-gofer");
  parent_end.reset();
  if (!WaitForGo(child_end.get())) ::_exit(kExitFailed);
  // In a user namespace with the container's ids: what it makes is to belong to one of them.
  if (user_namespace && !maps_caller && options.container && !options.container->uid_mappings.empty() &&
      (::setgroups(0, nullptr) != 0 || ::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0))
    ::_exit(kExitFailed);
  child_end.reset();
  int log_fd = options.boot.log_fd;
  SetLog(log_fd >= 0 ? log_fd : STDERR_FILENO, log_fd >= 0 ? options.boot.log_level : LogLevel::kError,
         "gofer");
  gofer::GoferOptions gofer;
  for (size_t i = 0; i < options.roots.size(); ++i) {
    const SandboxOptions::Root& root = options.roots[i];
    gofer::GoferOptions::Root served;
    served.path = root.path;
    served.tree = std::move(trees[i]);
    served.read_only = root.read_only;
    served.owners = OwnerIdsOf(options, root);
    gofer.roots.push_back(std::move(served));
  }
  gofer.sockets.push_back(std::move(socket));
  gofer.new_mount_namespace = privileged || maps_caller;
  gofer.die_with_parent = true;
  gofer.label = options.label;
  gofer.keep_fds = {log_fd, STDERR_FILENO, to_parent->get()};
  gofer.on_failure = [pipe = std::move(to_parent)](const std::string& why) {
    (void)!::write(pipe->get(), why.data(), why.size());
  };
  if (options.gofer_seccomp)
    gofer.install_filter = [] { return gofer::InstallGoferFilter(STDERR_FILENO, false); };
  ::_exit(gofer::RunGofer(std::move(gofer)));
}

Result<pid_t> StartSentry(SandboxOptions& options, UniqueFd& channel) {
  UniqueFd child_end;
  if (!MakePair(channel, child_end)) return HostErrno();
  bool privileged = ::geteuid() == 0;  // before the clone: the child has no name for it
  bool user_namespace = false;
  uint64_t flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  // A container's monitor is in the container's network namespace.
  if (options.boot.own_network) flags |= CLONE_NEWNET;
  auto pid = CloneConfined(flags, &user_namespace);
  if (!pid.ok()) return pid;
  if (*pid != 0) {
    if (user_namespace) {
      uint32_t uid = privileged ? kNobody : ::geteuid();
      uint32_t gid = privileged ? kNobody : ::getegid();
      if (auto mapped = WriteIdMappings(*pid, {uid, uid}, {gid, gid}); !mapped.ok()) {
        ::kill(*pid, SIGKILL);
        ::waitpid(*pid, nullptr, 0);
        return mapped.error();
      }
    }
    SendMessage(channel.get(), ChannelMessage::Make(ChannelMessage::kGo, 0));
    return pid;
  }
  BeginChild("runsc-sentry");
  channel.reset();
  if (!WaitForGo(child_end.get())) ::_exit(kExitFailed);
  options.boot.channel = std::move(child_end);
  options.boot.label = options.label;
  if (options.boot.own_network && options.boot.host_sockets) {
    BringLoopbackUp();
    AllowPortsAndPing();
  }
  if (privileged) {
    options.boot.host_uid = kNobody;
    options.boot.host_gid = kNobody;
  }
  ::_exit(BootSentry(std::move(options.boot)));
}

int CodeOf(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

std::string HowItEnded(int wait_status) {
  if (WIFSIGNALED(wait_status))
    return fmt::format("was killed by signal {} ({})", WTERMSIG(wait_status),
                       ::strsignal(WTERMSIG(wait_status)));
  return fmt::format("ended with code {}", WEXITSTATUS(wait_status));
}

// How many processes the host has killed for want of memory, as far as it tells.
uint64_t HostMemoryKills() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "oom_kill") return value;
  }
  return 0;
}

// The caller's part while the sandbox runs.
class Watch {
 public:
  Watch(Children& children, SandboxOptions& options, UniqueFd channel, UniqueFd signals)
      : children_(children),
        container_(options.container ? &*options.container : nullptr),
        terminal_(options.boot.stdio),
        channel_(std::move(channel)),
        signals_(std::move(signals)),
        memory_kills_(HostMemoryKills()) {}

  // Whether a key of the terminal ended the command.
  bool was_interrupted() const { return interrupted_; }

  int Run() {
    int patience = kQuietAfterStart;
    while (!done_) {
      pollfd polls[] = {{channel_.get(), POLLIN, 0},
                        {signals_.get(), POLLIN, 0},
                        {container_ != nullptr ? container_->listener.get() : -1, POLLIN, 0},
                        {container_ != nullptr ? container_->creator : -1, POLLIN, 0},
                        {container_ != nullptr ? container_->socket_requests.get() : -1, POLLIN, 0}};
      const int happened = ::poll(polls, std::size(polls), patience);
      if (happened < 0) continue;
      if (happened == 0) {
        ReleaseCode();
        patience = -1;
      }
      // Messages first: the Sentry says why it ends before it does.
      if (polls[0].revents != 0) OnMessage();
      if (!done_ && polls[1].revents != 0) OnSignal();
      if (!done_ && polls[2].revents != 0) OnConnection();
      if (!done_ && polls[3].revents != 0) OnCreator();
      if (!done_ && polls[4].revents != 0 && !ServeSocketRequest(container_->socket_requests.get()))
        container_->socket_requests.reset();
    }
    terminal_.Restore();
    return code_;
  }

 private:
  void OnMessage() {
    ChannelMessage message;
    if (!ReceiveMessage(channel_.get(), &message)) {
      SentryIsGone();
      return;
    }
    switch (message.kind) {
      case ChannelMessage::kGoferGone:
        GoferIsGone();
        break;
      case ChannelMessage::kFailed:
        Say("{}{}", message.text, message.value == 128 + SIGKILL ? WhyKilled() : "");
        code_ = message.value;
        done_ = true;
        break;
      case ChannelMessage::kExited:
        if (message.text[0] != '\0') Say("{}", message.text);
        code_ = CodeOf(message.value);
        interrupted_ = got_interrupt_ && WIFSIGNALED(message.value) && WTERMSIG(message.value) == SIGINT;
        done_ = true;
        break;
      case ChannelMessage::kReady:
        if (container_ != nullptr && container_->on_ready) container_->on_ready();
        break;
      case ChannelMessage::kStopped:
        OnStop(message.value);
        break;
      case ChannelMessage::kAskForeground:
        if (message.value != 0) terminal_.Save();
        SendMessage(channel_.get(),
                    ChannelMessage::Make(ChannelMessage::kForeground, terminal_.IsForeground() ? 1 : 0));
        break;
      default:
        break;
    }
  }

  // Who it is has to be found out here: in the Sentry's user namespace every user is nobody.
  void OnConnection() {
    UniqueFd connection(::accept4(container_->listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) return;
    ucred peer{};
    socklen_t size = sizeof(peer);
    if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
    if (peer.uid != 0 && peer.uid != ::geteuid()) return;
    // A Sentry that takes no messages does not get this one either; the client sees its connection end.
    SendMessage(channel_.get(), ChannelMessage::Make(ChannelMessage::kConnection, 0), MSG_DONTWAIT,
                connection.get());
  }

  // The creator says one byte when it has written down that the container is there.
  void OnCreator() {
    char byte;
    bool gone = ::read(container_->creator, &byte, 1) != 1;
    container_->creator = -1;
    if (!gone) return;
    code_ = 128 + SIGKILL;
    done_ = true;
  }

  // One signal that is waiting, unless it is `but`. False: none is.
  bool OnSignal(int but = 0) {
    signalfd_siginfo info;
    if (::read(signals_.get(), &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) return false;
    int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) {
      OnChild();
    } else if (signal != but) {
      bool from_terminal = ComesFromTerminal(info);
      if (from_terminal && signal == SIGINT) got_interrupt_ = true;
      auto kind = from_terminal ? ChannelMessage::kTerminalSignal : ChannelMessage::kSignal;
      SendMessage(channel_.get(), ChannelMessage::Make(kind, signal));
    }
    return true;
  }

  void OnChild() {
    int status = 0;
    if (children_.gofer <= 0 || ::waitpid(children_.gofer, &status, WNOHANG) != children_.gofer) return;
    children_.gofer = -1;
    gofer_status_ = status;
    // The Sentry may have ended first, and the Gofer after it: then its message says more.
    pollfd waiting{channel_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 0) <= 0) GoferIsGone();
  }

  // The command has stopped; this process is what the shell knows of it, and stops in the same way.
  void OnStop(int signal) {
    bool is_stop = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
    if (!is_stop) return;
    TakeDefaultAction(signal);
    // What came meanwhile reaches the command before it goes on, as it would natively.
    while (OnSignal(SIGCONT)) {
    }
    SendMessage(channel_.get(), ChannelMessage::Make(ChannelMessage::kSignal, SIGCONT));
  }

  // Its connection closes a little before it can be waited for.
  void GoferIsGone() {
    constexpr int kTries = 100;
    for (int i = 0; i < kTries && !gofer_status_; ++i) {
      int status = 0;
      if (::waitpid(children_.gofer, &status, WNOHANG) == children_.gofer) {
        children_.gofer = -1;
        gofer_status_ = status;
      } else {
        ::usleep(10'000);
      }
    }
    if (std::string why = WhyNoGofer(); !why.empty()) {
      Say("the gofer process could not start: {}", why);
    } else if (gofer_status_) {
      bool killed = WIFSIGNALED(*gofer_status_);
      Say("the gofer process {}; the sandbox cannot go on{}", HowItEnded(*gofer_status_),
          killed ? WhyKilled() : "");
      if (killed) code_ = CodeOf(*gofer_status_);
    } else {
      Say("the gofer process closed its connection; the sandbox cannot go on");
    }
    done_ = true;
  }

  std::string WhyNoGofer() const {
    char text[1024];
    const ssize_t size = ::read(children_.gofer_failure.get(), text, sizeof(text));
    return size > 0 ? std::string(text, static_cast<size_t>(size)) : "";
  }

  // Who sent a SIGKILL is not told; the host's out-of-memory killer at least counts.
  const char* WhyKilled() const {
    return HostMemoryKills() > memory_kills_
               ? " (the host ran out of memory meanwhile and killed processes: give it or the sandbox's "
                 "cgroup more, or the sandbox less with --memory)"
               : "";
  }

  void SentryIsGone() {
    if (children_.sentry <= 0) {
      Say("the sandbox that this container was in has ended");
      code_ = 128 + SIGKILL;
      done_ = true;
      return;
    }
    int status = 0;
    ::waitpid(children_.sentry, &status, 0);
    children_.sentry = -1;
    Say("the sentry process {} without a report{}", HowItEnded(status),
        WIFSIGNALED(status) ? WhyKilled() : "");
    code_ = WIFSIGNALED(status) || WEXITSTATUS(status) != 0 ? CodeOf(status) : kExitFailed;
    done_ = true;
  }

  Children& children_;
  SandboxContainer* const container_;
  CallerTerminal terminal_;
  UniqueFd channel_;
  UniqueFd signals_;
  const uint64_t memory_kills_;
  std::optional<int> gofer_status_;
  bool done_ = false;
  bool got_interrupt_ = false;  // ^C
  bool interrupted_ = false;
  int code_ = kExitFailed;
};

std::string WhyNoProcess(Errno error) {
  if (error != EPERM && error != ENOSPC && error != EACCES) return std::string(error.message());
  const bool is_root = ::geteuid() == 0;
  return fmt::format(
      "this host does not let {} make user namespaces ({}); {}, or see sysctl user.max_user_namespaces "
      "and kernel.unprivileged_userns_clone",
      is_root ? "this process" : "ordinary users", error.message(),
      is_root ? "give it CAP_SYS_ADMIN" : "run as root");
}

// Starts one, or joins the pod's; says why not.
bool BeginSentry(SandboxOptions& options, Children& children, UniqueFd& channel) {
  if (options.container && options.container->pod) {
    std::string wrong = JoinPod(options, channel);
    if (!wrong.empty()) Say("{}", wrong);
    return wrong.empty();
  }
  auto sentry = StartSentry(options, channel);
  if (sentry.ok()) {
    children.sentry = *sentry;
    return true;
  }
  Say("cannot start the sentry process: {}", WhyNoProcess(sentry.error()));
  return false;
}

}  // namespace

int RunSandbox(SandboxOptions options) {
  if (options.container) say_elsewhere = options.container->say;
  TakeSignalState(options.boot);
  if (options.container) options.boot.process.ignored_signals = options.boot.process.blocked_signals = 0;
  if (std::string wrong = LiftOwnLimits(); !wrong.empty()) {
    Say("cannot start: {}", wrong);
    return kExitFailed;
  }
  sigset_t handled = HandledSignals();
  UniqueFd signals(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  UniqueFd gofer_end;
  if (!signals || !MakePair(options.boot.gofer_socket, gofer_end)) {
    Say("cannot start: {}", HostErrno().message());
    return kExitFailed;
  }
  Children children;
  auto gofer = StartGofer(options, gofer_end, children.gofer_failure);
  if (!gofer.ok()) {
    Say("cannot start the gofer process: {}", WhyNoProcess(gofer.error()));
    return kExitFailed;
  }
  children.gofer = *gofer;
  gofer_end.reset();
  options.boot.host_tasks = HostTaskCapacity();
  UniqueFd channel;
  if (!BeginSentry(options, children, channel)) {
    children.Kill();
    return kExitFailed;
  }
  options.boot.gofer_socket.reset();
  if (options.container && options.container->on_processes)
    options.container->on_processes(children.sentry, children.gofer);
  Watch watch(children, options, std::move(channel), std::move(signals));
  int code = watch.Run();
  children.Kill();
  // A shell gives its own loop or list up only for a command that ^C has killed.
  if (watch.was_interrupted()) TakeDefaultAction(SIGINT);
  return code;
}

}  // namespace runsc
