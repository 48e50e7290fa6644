#include "sentry/control/control_server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "platform/base/log.h"
#include "platform/base/signal_mask.h"
#include "sentry/fsimpl/host_backing_file.h"
#include "sentry/time/clock.h"
#include "sentry/wait/deferred.h"

namespace runsc {
namespace {

constexpr size_t kMaxConnections = 256;
constexpr int kFailedCode = 125;

std::optional<ProcessSpec> ReadSpec(int fd) {
  auto bytes = ReadControlFile(fd);
  return bytes ? DecodeProcessSpec(*bytes) : std::nullopt;
}

// The arguments, blanks between them; a kernel's way of showing a name if there are none (ps(1)).
std::string CommandOf(ThreadGroup& group) {
  RefPtr<Task> leader = group.leader();
  if (!leader) return "";
  std::string text;
  if (RefPtr<MemoryManager> memory = leader->GetMemory()) {
    MemoryLayout layout = memory->GetLayout();
    if (layout.args_end > layout.args_start) {
      constexpr size_t kMost = sizeof(ControlMessage::Process::command) - 1;
      text.resize(std::min<size_t>(layout.args_end - layout.args_start, kMost));
      text.resize(memory->CopyInForced(layout.args_start, std::as_writable_bytes(std::span(text))));
    }
  }
  while (!text.empty() && text.back() == '\0') text.pop_back();
  if (text.empty()) return fmt::format("[{}]", leader->name());
  // A terminal that shows it is not for the guest to write to.
  for (char& c : text) {
    if (c == '\0') c = ' ';
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  }
  return text;
}

std::string TerminalOf(ThreadGroup& group) {
  RefPtr<Session> session = group.session();
  RefPtr<Terminal> terminal = session ? session->terminal() : nullptr;
  if (!terminal) return "";
  constexpr unsigned kReplicaMajor = 136;
  uint64_t device = terminal->device();
  if (major(device) == kReplicaMajor) return fmt::format("pts/{}", minor(device));
  return fmt::format("{}:{}", major(device), minor(device));
}

void CopyText(std::string_view text, std::span<char> to) {
  size_t size = std::min(text.size(), to.size() - 1);
  std::copy_n(text.begin(), size, to.begin());
}

int64_t RealtimeOffset() {
  timespec now = RealtimeNow();
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec - MonotonicNow();
}

}  // namespace

// Wakes the server when a process that it watches has ended.
class ControlServer::ExitWaiter final : public Waiter {
 public:
  ExitWaiter(ControlServer& server, RefPtr<ThreadGroup> group) : server_(server), group_(std::move(group)) {
    group_->exit_queue().Add(*this, EPOLLIN);
  }
  ~ExitWaiter() override { group_->exit_queue().Remove(*this); }
  bool Notify(EventMask) override {
    server_.Wake();
    return true;
  }

 private:
  ControlServer& server_;
  const RefPtr<ThreadGroup> group_;
};

ControlServer::ControlServer(Kernel& kernel, Options options)
    : kernel_(kernel), options_(std::move(options)) {
  ThreadSignalMask mask;  // host signals are for the first thread
  thread_ = std::thread([this] { Run(); });
}

ControlServer::~ControlServer() { Stop(); }

void ControlServer::Wake() {
  uint64_t one = 1;
  (void)!::write(options_.wake.get(), &one, sizeof(one));
}

void ControlServer::Add(UniqueFd connection) {
  {
    MutexLock lock(mu_);
    added_.push_back(std::move(connection));
  }
  Wake();
}

void ControlServer::Stop() {
  if (!thread_.joinable()) return;
  {
    MutexLock lock(mu_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
}

// A process that was never let go has no handlers yet, but it is not to be immortal either: nobody could tell
// the signals that end it then from those that its program would have wanted.
void ControlServer::SignalFirst(int signal) {
  bool held;
  {
    MutexLock lock(mu_);
    held = !started_;
  }
  bool ends = signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGHUP ||
              signal == SIGQUIT || signal == SIGABRT;
  if (!held) {
    options_.first.Signal(signal);
  } else if (ends) {
    options_.first.group->BeginExit(signal);
    KillHeld();
  }
}

void ControlServer::KillHeld() {
  {
    MutexLock lock(mu_);
    if (std::exchange(started_, true)) return;
  }
  options_.first.group->BeginExit(SIGKILL);
  options_.start();
}

void ControlServer::Run() {
  while (true) {
    std::vector<pollfd> polls = {{options_.wake.get(), POLLIN, 0}};
    for (const Connection& connection : connections_) polls.push_back({connection.socket.get(), POLLIN, 0});
    if (::poll(polls.data(), polls.size(), -1) < 0) continue;
    if (polls[0].revents != 0) {
      uint64_t count;
      (void)!::read(options_.wake.get(), &count, sizeof(count));
    }
    size_t i = 1;
    for (Connection& connection : connections_) {
      if (polls[i++].revents != 0) Serve(connection);
      ReportExit(connection);
    }
    connections_.remove_if([](const Connection& connection) { return connection.is_gone; });
    bool stopping;
    {
      MutexLock lock(mu_);
      stopping = stopping_;
    }
    if (stopping) break;
    TakeNew();
  }
  connections_.clear();
}

void ControlServer::TakeNew() {
  std::vector<UniqueFd> added;
  {
    MutexLock lock(mu_);
    added.swap(added_);
  }
  for (UniqueFd& socket : added) {
    if (connections_.size() >= kMaxConnections) break;
    connections_.emplace_back().socket = std::move(socket);
  }
}

void ControlServer::Serve(Connection& connection) {
  ControlMessage request;
  std::vector<UniqueFd> files;
  if (ReceiveControl(connection.socket.get(), &request, &files)) {
    Handle(connection, request, std::move(files));
    return;
  }
  connection.is_gone = true;
  if (connection.process.group) connection.process.Signal(SIGKILL);
}

// Never waits for the client: one that does not read loses its connection.
void ControlServer::Reply(Connection& connection, const ControlMessage& message) {
  if (SendControl(connection.socket.get(), message, {}, MSG_DONTWAIT)) return;
  connection.is_gone = true;
  if (connection.process.group) connection.process.Signal(SIGKILL);
}

void ControlServer::Handle(Connection& connection, const ControlMessage& request,
                           std::vector<UniqueFd> files) {
  switch (request.kind) {
    case ControlMessage::kStart:
      return Start(connection);
    case ControlMessage::kExec:
      return Exec(connection, request, std::move(files));
    case ControlMessage::kSignal:
      return Signal(connection, request);
    case ControlMessage::kTerminalSignal:
      if (connection.process.group && IsValidSignal(request.value))
        connection.process.SignalFromTerminal(request.value);
      return;
    case ControlMessage::kProcesses:
      return ListProcesses(connection);
    case ControlMessage::kAddContainer:
      return AddContainer(connection, request, std::move(files));
    case ControlMessage::kPause:
      return Pause(connection);
    case ControlMessage::kResume:
      kernel_.Resume(*options_.first.group->container());
      return Reply(connection, ControlMessage::Make(ControlMessage::kDone));
    case ControlMessage::kStats:
      return SendStats(connection);
    case ControlMessage::kTasks:
      return ListTasks(connection);
    case ControlMessage::kStrace:
      return Strace(connection, request, std::move(files));
    case ControlMessage::kUpdate:
      return Update(connection, request);
    default:
      connection.is_gone = true;
  }
}

void ControlServer::Start(Connection& connection) {
  bool was_started;
  {
    MutexLock lock(mu_);
    was_started = std::exchange(started_, true);
  }
  if (was_started)
    return Reply(connection,
                 ControlMessage::Make(ControlMessage::kFailed, EALREADY, "it was started already"));
  options_.start();
  Reply(connection, ControlMessage::Make(ControlMessage::kDone));
}

void ControlServer::AddContainer(Connection& connection, const ControlMessage& request,
                                 std::vector<UniqueFd> files) {
  std::string wrong = "this container's sandbox takes no more of them";
  int code = kFailedCode;
  if (options_.add_container) code = options_.add_container(std::move(files), request.value, &wrong);
  Reply(connection, code == 0 ? ControlMessage::Make(ControlMessage::kDone)
                              : ControlMessage::Make(ControlMessage::kFailed, code, wrong));
}

void ControlServer::Pause(Connection& connection) {
  GuestContainer& container = *options_.first.group->container();
  if (kernel_.Pause(container)) return Reply(connection, ControlMessage::Make(ControlMessage::kDone));
  kernel_.Resume(container);
  Reply(connection, ControlMessage::Make(ControlMessage::kFailed, EBUSY, "a process does not stop"));
}

std::vector<RefPtr<ThreadGroup>> ControlServer::Processes() const {
  std::vector<RefPtr<ThreadGroup>> groups = options_.first.group->pid_namespace().ThreadGroups();
  std::erase_if(groups,
                [&](const auto& group) { return group->container() != options_.first.group->container(); });
  return groups;
}

void ControlServer::Exec(Connection& connection, const ControlMessage& request, std::vector<UniqueFd> files) {
  auto fail = [&](int code, std::string_view why) {
    Reply(connection, ControlMessage::Make(ControlMessage::kFailed, code, why));
  };
  if (connection.process.group || files.empty()) {
    connection.is_gone = true;
    return;
  }
  auto spec = ReadSpec(files[0].get());
  size_t streams = static_cast<size_t>(__builtin_popcount(static_cast<unsigned>(request.value) & 7));
  if (!spec || request.number > kMaxControlFds || files.size() != 1 + streams + request.number)
    return fail(kFailedCode, "the process to start is not well-formed");
  RefPtr<Task> first = options_.first.group->leader();
  RefPtr<FsContext> fs = first ? first->GetFs() : nullptr;
  if (!fs) return fail(kFailedCode, "the container's first process has ended");

  GuestProcessOptions process;
  process.spec = std::move(*spec);
  process.mounts = fs->Get().mounts;
  process.namespaces = NamespacesOf(*options_.first.group);
  process.container = options_.first.group->container();
  size_t next = 1;
  for (int fd = 0; fd < 3; ++fd) {
    bool has = (request.value >> fd & 1) != 0;
    process.files.push_back(has ? std::move(files[next++]) : UniqueFd());
  }
  while (next < files.size()) process.files.push_back(std::move(files[next++]));
  connection.process = StartGuestProcess(kernel_, std::move(process));
  if (!connection.process.group) {
    std::string wrong = std::move(connection.process.wrong);
    int code = connection.process.exit_code;
    connection.process = {};
    return fail(code, wrong);
  }
  connection.waiter = std::make_unique<ExitWaiter>(*this, connection.process.group);
  Reply(connection, ControlMessage::Make(ControlMessage::kStarted, connection.process.group->pid()));
}

void ControlServer::ReportExit(Connection& connection) {
  ThreadGroup* group = connection.process.group.get();
  if (group == nullptr || connection.is_gone || !group->IsZombie()) return;
  connection.waiter.reset();
  (void)SendControl(connection.socket.get(),
                    ControlMessage::Make(ControlMessage::kExited, group->exit_status()), {}, MSG_DONTWAIT);
  connection.is_gone = true;
}

void ControlServer::Signal(Connection& connection, const ControlMessage& request) {
  bool own = static_cast<bool>(connection.process.group);
  if (!IsValidSignal(request.value)) {
    if (!own)
      Reply(connection, ControlMessage::Make(ControlMessage::kFailed, EINVAL, "there is no such signal"));
    return;
  }
  if (own) return connection.process.Signal(request.value);
  bool all = request.number == 1;
  SignalFirst(request.value);
  if (all) {
    for (const auto& group : Processes()) {
      if (group != options_.first.group)
        (void)group->SendSignal(MakeUserSignalInfo(request.value, SI_USER, 0, 0), true);
    }
    RunDeferred();
  }
  Reply(connection, ControlMessage::Make(ControlMessage::kDone));
}

void ControlServer::ListProcesses(Connection& connection) {
  int64_t offset = RealtimeOffset();
  const PidNamespace& view = options_.first.group->pid_namespace();
  for (const auto& group : Processes()) {
    RefPtr<Task> leader = group->leader();
    if (!leader || group->IsZombie()) continue;
    ControlMessage message = ControlMessage::Make(ControlMessage::kProcess);
    message.process.pid = view.IdOf(*group);
    if (RefPtr<ThreadGroup> parent = group->parent()) message.process.parent = view.IdOf(*parent);
    if (RefPtr<const Credentials> creds = leader->GetCreds()) message.process.uid = creds->euid;
    message.process.threads = static_cast<uint32_t>(group->task_count());
    CpuUsage cpu = group->GetCpuUsage();
    message.process.cpu_time = cpu.user + cpu.system;
    message.process.start_time = leader->start_time() + offset;
    CopyText(TerminalOf(*group), message.process.terminal);
    CopyText(CommandOf(*group), message.process.command);
    if (!SendOneOfMany(connection, message)) return;
  }
  Reply(connection, ControlMessage::Make(ControlMessage::kDone));
}

void ControlServer::ListTasks(Connection& connection) {
  const PidNamespace& view = options_.first.group->pid_namespace();
  for (const auto& group : Processes()) {
    for (const RefPtr<Task>& task : group->Tasks()) {
      ControlMessage message = ControlMessage::Make(ControlMessage::kTask);
      message.task.process = view.IdOf(*group);
      message.task.thread = view.IdOf(*task);
      message.task.system_call = task->current_syscall.load();
      message.task.state = task->StateLetter();
      CpuUsage cpu = task->GetCpuUsage();
      message.task.cpu_time = cpu.user + cpu.system;
      std::string name(task->name());
      for (char& c : name) c = static_cast<unsigned char>(c) < ' ' || c == 0x7f ? '?' : c;
      CopyText(name, message.task.name);
      if (!SendOneOfMany(connection, message)) return;
    }
  }
  Reply(connection, ControlMessage::Make(ControlMessage::kDone));
}

// Many are more than a socket takes at once; a client that reads makes room.
bool ControlServer::SendOneOfMany(Connection& connection, const ControlMessage& message) {
  constexpr int kPatience = 2000;  // milliseconds
  while (!SendControl(connection.socket.get(), message, {}, MSG_DONTWAIT)) {
    pollfd room{connection.socket.get(), POLLOUT, 0};
    if (errno != EAGAIN || ::poll(&room, 1, kPatience) <= 0 || (room.revents & POLLOUT) == 0) {
      connection.is_gone = true;
      return false;
    }
  }
  return true;
}

void ControlServer::Strace(Connection& connection, const ControlMessage& request,
                           std::vector<UniqueFd> files) {
  auto fail = [&](std::string_view why) {
    Reply(connection, ControlMessage::Make(ControlMessage::kFailed, EINVAL, why));
  };
  if (!options_.set_strace) return fail("the container shares its sandbox: ask for the pod's");
  UniqueFd log;
  if (!files.empty()) log = std::move(files[0]);
  // A pipe or a terminal that nobody reads would stop every task that makes a call.
  struct stat status {};
  if (log && (HostFstat(log.get(), &status) != 0 || !S_ISREG(status.st_mode)))
    return fail("the log is not a regular file");
  if (std::string wrong = options_.set_strace(request.value != 0, std::move(log)); !wrong.empty())
    return fail(wrong);
  Reply(connection, ControlMessage::Make(ControlMessage::kDone));
}

void ControlServer::Update(Connection& connection, const ControlMessage& request) {
  if (!options_.set_limits)
    return Reply(connection, ControlMessage::Make(ControlMessage::kFailed, EOPNOTSUPP,
                                                  "the limits are those of the sandbox that it is in"));
  options_.set_limits(request.limits);
  Reply(connection, ControlMessage::Make(ControlMessage::kDone));
}

void ControlServer::SendStats(Connection& connection) {
  ControlMessage message = ControlMessage::Make(ControlMessage::kStatsReply);
  message.stats.memory = kernel_.memory_file().allocated_bytes();
  message.stats.memory_limit = kernel_.memory_file().limit();
  for (const auto& group : Processes()) {
    CpuUsage cpu = group->GetCpuUsage();
    message.stats.cpu_time += cpu.user + cpu.system;
    ++message.stats.processes;
  }
  message.stats.tasks = kernel_.task_count();
  Reply(connection, message);
}

}  // namespace runsc
