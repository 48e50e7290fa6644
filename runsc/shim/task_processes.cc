// TaskService: the processes of containers, from their start to their end.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "platform/base/log.h"
#include "runsc/shim/task_service.h"
#include "runsc/shim/timestamp.h"

namespace runsc::shim {
namespace {

api::Status ToStatus(const Process& process, bool is_paused) {
  switch (process.state) {
    case Process::kAdded:
    case Process::kCreated:
    case Process::kStarting:
      return api::CREATED;
    case Process::kRunning:
      return is_paused ? api::PAUSED : api::RUNNING;
    case Process::kStopped:
      return api::STOPPED;
  }
  return api::UNKNOWN;
}

bool IsFileName(const std::string& name) {
  return name.find('/') == std::string::npos && name != "." && name != "..";
}

}  // namespace

void TaskService::Exec(const std::string& payload, Reply reply) {
  api::ExecProcessRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Container*> container = FindContainer(request.id());
  if (!container.ok()) return reply(container.status());
  if (request.exec_id().empty() || !IsFileName(request.exec_id()))
    return reply(
        absl::InvalidArgumentError(fmt::format("'{}' cannot be the id of a process", request.exec_id())));
  if ((*container)->execs.contains(request.exec_id()))
    return reply(absl::AlreadyExistsError(fmt::format("process {}: already exists", request.exec_id())));
  auto process = std::make_unique<Process>();
  process->container_id = request.id();
  process->exec_id = request.exec_id();
  process->streams = {request.stdin(), request.stdout(), request.stderr(), request.terminal()};
  process->spec = request.spec().value();
  (*container)->execs[request.exec_id()] = std::move(process);
  ReplyEmpty(reply);
  api::TaskExecAdded event;
  event.set_container_id(request.id());
  event.set_exec_id(request.exec_id());
  Publish("TaskExecAdded", "/tasks/exec-added", event);
}

void TaskService::Start(const std::string& payload, Reply reply) {
  api::ProcessRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Process*> found = FindProcess(request.id(), request.exec_id());
  if (!found.ok()) return reply(found.status());
  Process& process = **found;
  if (process.state != (process.is_first() ? Process::kCreated : Process::kAdded))
    return reply(absl::FailedPreconditionError("only a created process can be started"));
  if (ContainerOf(process).first.is_being_deleted)
    return reply(absl::FailedPreconditionError("the container is being deleted"));
  if (process.is_first()) return StartFirst(ContainerOf(process), std::move(reply));
  StartExec(process, std::move(reply));
}

void TaskService::StartFirst(Container& container, Reply reply) {
  container.first.state = Process::kStarting;
  if (!container.cgroup_paths.empty()) {
    container.oom_watcher =
        std::make_unique<OomWatcher>(loop_, container.cgroup_paths, [this, id = container.id] {
          api::TaskEvent event;
          event.set_container_id(id);
          Publish("TaskOOM", "/tasks/oom", event);
        });
  }
  commands_.Run(CommandFor(container, {"start", container.id}),
                [this, id = container.id, reply](const absl::Status& status) {
                  Process& process = containers_.at(id)->first;
                  if (!status.ok()) {
                    process.state = Process::kCreated;
                    reply(status);
                    if (process.has_ended) TellEnd(process);
                    return;
                  }
                  process.state = Process::kRunning;
                  api::StartResponse response;
                  response.set_pid(static_cast<uint32_t>(process.pid));
                  reply(response.SerializeAsString());
                  api::TaskStart event;
                  event.set_container_id(id);
                  event.set_pid(response.pid());
                  Publish("TaskStart", "/tasks/start", event);
                  if (process.has_ended) TellEnd(process);
                });
}

void TaskService::StartExec(Process& process, Reply reply) {
  absl::StatusOr<std::unique_ptr<ProcessIo>> io =
      ProcessIo::Open(loop_, process.streams, OwnerOf(process.container_id));
  if (!io.ok()) return reply(io.status());
  process.io = *std::move(io);
  process.state = Process::kStarting;
  std::string pid_file = fmt::format("{}/{}.pid", ContainerOf(process).bundle, process.exec_id);
  std::vector<std::string> arguments = {"exec",       "--detach", "--process", RunscCommand::kInputFile,
                                        "--pid-file", pid_file};
  if (const std::string& socket = process.io->console_socket(); !socket.empty())
    arguments.insert(arguments.end(), {"--console-socket", socket});
  arguments.push_back(process.container_id);
  RunscCommand command = CommandFor(ContainerOf(process), std::move(arguments));
  command.input = process.spec;
  command.streams = process.io->streams();
  commands_.Run(command, [this, &process, pid_file, reply](const absl::Status& status) {
    absl::Status started = status.ok() ? ExecStarted(process, pid_file) : status;
    if (!started.ok()) {
      process.io.reset();
      process.exit_status = 255;
      process.exited_at = Now();
      process.state = Process::kStopped;
      reply(started);
      return CallWaiters(process);
    }
    api::StartResponse response;
    response.set_pid(static_cast<uint32_t>(process.pid));
    reply(response.SerializeAsString());
    api::TaskExecStarted event;
    event.set_container_id(process.container_id);
    event.set_exec_id(process.exec_id);
    event.set_pid(response.pid());
    Publish("TaskExecStarted", "/tasks/exec-started", event);
    WatchForEnd(process);
  });
}

absl::Status TaskService::ExecStarted(Process& process, const std::string& pid_file) {
  absl::StatusOr<pid_t> pid = ReadPidFile(pid_file);
  ::unlink(pid_file.c_str());
  if (!pid.ok()) return pid.status();
  process.pid = *pid;
  process.state = Process::kRunning;
  absl::Status made = process.io->ProcessMade();
  if (!made.ok()) ::kill(process.pid, SIGKILL);
  return made;
}

// The end comes by the loop, and so after what its caller has said of the start.
void TaskService::WatchForEnd(Process& process) {
  reaper_.Expect(process.pid, [this, id = process.container_id, exec_id = process.exec_id](int status) {
    absl::StatusOr<Process*> found = FindProcess(id, exec_id);
    if (!found.ok()) return;
    Process& ended = **found;
    ended.has_ended = true;
    ended.exit_status =
        static_cast<uint32_t>(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    ended.exited_at = Now();
    if (ended.state != Process::kStarting) TellEnd(ended);
  });
}

void TaskService::TellEnd(Process& process) {
  process.state = Process::kStopped;
  if (process.is_first() && ContainerOf(process).oom_watcher != nullptr) {
    ContainerOf(process).oom_watcher->Check();
    ContainerOf(process).oom_watcher.reset();
  }
  process.io->Finish();
  api::TaskExit event;
  event.set_container_id(process.container_id);
  event.set_id(process.is_first() ? process.container_id : process.exec_id);
  event.set_pid(static_cast<uint32_t>(process.pid));
  event.set_exit_status(process.exit_status);
  *event.mutable_exited_at() = ToTimestamp(process.exited_at);
  Publish("TaskExit", "/tasks/exit", event);
  CallWaiters(process);
}

void TaskService::EndByKill(Process& process) {
  reaper_.Forget(process.pid);
  process.has_ended = true;
  process.exit_status = 128 + SIGKILL;
  process.exited_at = Now();
  TellEnd(process);
}

void TaskService::CallWaiters(Process& process) {
  for (auto& waiter : std::exchange(process.waiters, {})) waiter();
}

void TaskService::Kill(const std::string& payload, Reply reply) {
  api::KillRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Process*> found = FindProcess(request.id(), request.exec_id());
  if (!found.ok()) return reply(found.status());
  Process& process = **found;
  if (process.has_ended || process.state == Process::kStopped)
    return reply(absl::NotFoundError("process already finished"));
  if (!process.is_first()) {
    if (process.pid == 0) return reply(absl::FailedPreconditionError("the process has not been started"));
    // The keeper hands it on. It is our child and not reaped yet: the number is its own.
    ::kill(process.pid, static_cast<int>(request.signal()));
    return ReplyEmpty(reply);
  }
  std::vector<std::string> arguments = {"kill"};
  if (request.all()) arguments.emplace_back("--all");
  arguments.insert(arguments.end(), {request.id(), std::to_string(request.signal())});
  commands_.Run(CommandFor(ContainerOf(process), std::move(arguments)),
                [this, id = request.id(), reply](const absl::Status& status) {
                  auto first = FindProcess(id, "");
                  bool has_ended = !first.ok() || (*first)->has_ended;
                  if (!status.ok())
                    return reply(has_ended ? absl::NotFoundError("process already finished") : status);
                  ReplyEmpty(reply);
                });
}

void TaskService::State(const std::string& payload, Reply reply) {
  api::ProcessRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Process*> found = FindProcess(request.id(), request.exec_id());
  if (!found.ok()) return reply(found.status());
  const Process& process = **found;
  const Container& container = ContainerOf(process);
  api::StateResponse response;
  response.set_id(process.is_first() ? process.container_id : process.exec_id);
  response.set_bundle(container.bundle);
  response.set_pid(static_cast<uint32_t>(process.pid));
  response.set_status(ToStatus(process, container.is_paused));
  response.set_stdin(process.streams.input);
  response.set_stdout(process.streams.output);
  response.set_stderr(process.streams.error);
  response.set_terminal(process.streams.terminal);
  response.set_exit_status(process.exit_status);
  if (process.state == Process::kStopped) *response.mutable_exited_at() = ToTimestamp(process.exited_at);
  response.set_exec_id(process.exec_id);
  reply(response.SerializeAsString());
}

void TaskService::Wait(const std::string& payload, Reply reply) {
  api::ProcessRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Process*> found = FindProcess(request.id(), request.exec_id());
  if (!found.ok()) return reply(found.status());
  Process& process = **found;
  auto answer = [&process, reply] {
    api::WaitResponse response;
    response.set_exit_status(process.exit_status);
    *response.mutable_exited_at() = ToTimestamp(process.exited_at);
    reply(response.SerializeAsString());
  };
  if (process.state == Process::kStopped) return answer();
  process.waiters.push_back(std::move(answer));
}

void TaskService::Pids(const std::string& payload, Reply reply) {
  api::ContainerRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Container*> container = FindContainer(request.id());
  if (!container.ok()) return reply(container.status());
  api::PidsResponse response;
  if ((*container)->first.pid != 0 && (*container)->first.state != Process::kStopped)
    response.add_processes()->set_pid(static_cast<uint32_t>((*container)->first.pid));
  for (const auto& [id, exec] : (*container)->execs) {
    if (exec->state != Process::kRunning) continue;
    api::ProcessInfo* info = response.add_processes();
    info->set_pid(static_cast<uint32_t>(exec->pid));
    api::ProcessDetails details;
    details.set_exec_id(id);
    info->mutable_info()->set_type_url("containerd.runc.v1.ProcessDetails");
    details.SerializeToString(info->mutable_info()->mutable_value());
  }
  reply(response.SerializeAsString());
}

void TaskService::ResizePty(const std::string& payload, Reply reply) {
  api::ResizePtyRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Process*> found = FindProcess(request.id(), request.exec_id());
  if (!found.ok()) return reply(found.status());
  if ((*found)->io == nullptr)
    return reply(absl::FailedPreconditionError("the process has not been started"));
  absl::Status status = (*found)->io->Resize(request.width(), request.height());
  if (!status.ok()) return reply(status);
  ReplyEmpty(reply);
}

void TaskService::CloseIo(const std::string& payload, Reply reply) {
  api::CloseIORequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Process*> found = FindProcess(request.id(), request.exec_id());
  if (!found.ok()) return reply(found.status());
  if (request.stdin() && (*found)->io != nullptr) (*found)->io->CloseStdin();
  ReplyEmpty(reply);
}

}  // namespace runsc::shim
