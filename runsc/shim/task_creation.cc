// TaskService: how containers come and go.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "platform/base/log.h"
#include "runsc/container/state_directory.h"
#include "runsc/shim/rootfs_mounts.h"
#include "runsc/shim/task_service.h"
#include "runsc/shim/timestamp.h"

namespace runsc::shim {
namespace {

constexpr char kPidFile[] = "init.pid";

std::string RootfsOf(const std::string& bundle) { return bundle + "/rootfs"; }

absl::Status MountAll(const api::CreateTaskRequest& request) {
  if (request.rootfs().empty()) return absl::OkStatus();
  std::vector<RootfsMount> mounts;
  for (const api::Mount& mount : request.rootfs())
    mounts.push_back(
        {mount.type(), mount.source(), mount.target(), {mount.options().begin(), mount.options().end()}});
  (void)::mkdir(RootfsOf(request.bundle()).c_str(), 0711);
  return MountRootfs(RootfsOf(request.bundle()), mounts);
}

api::TaskCreate ToEvent(const api::CreateTaskRequest& request, pid_t pid) {
  api::TaskCreate event;
  event.set_container_id(request.id());
  event.set_bundle(request.bundle());
  *event.mutable_rootfs() = request.rootfs();
  event.mutable_io()->set_stdin(request.stdin());
  event.mutable_io()->set_stdout(request.stdout());
  event.mutable_io()->set_stderr(request.stderr());
  event.mutable_io()->set_terminal(request.terminal());
  event.set_pid(static_cast<uint32_t>(pid));
  return event;
}

std::string RootFlag(const RuntimeOptions& options) {
  std::string root;
  for (const std::string& flag : options.global_flags) {
    if (flag.starts_with("--root=")) root = flag.substr(7);
  }
  return root;
}

}  // namespace

void TaskService::Create(const std::string& payload, Reply reply) {
  api::CreateTaskRequest request;
  if (!Parse(payload, &request, reply)) return;
  if (request.id().empty() || request.bundle().empty() || request.bundle()[0] != '/')
    return reply(absl::InvalidArgumentError("an id and the absolute path of a bundle are needed"));
  if (!request.checkpoint().empty())
    return reply(absl::UnimplementedError("restoring from a checkpoint is not implemented"));
  if (containers_.contains(request.id()))
    return reply(absl::AlreadyExistsError(fmt::format("container {}: already exists", request.id())));
  absl::StatusOr<RuntimeOptions> options = ReadOptions(request.options(), options_.root);
  if (!options.ok()) return reply(options.status());
  if (absl::Status saved = SaveOptions(request.bundle(), *options); !saved.ok()) return reply(saved);
  StreamNames streams{request.stdin(), request.stdout(), request.stderr(), request.terminal()};
  absl::StatusOr<std::unique_ptr<ProcessIo>> io = ProcessIo::Open(loop_, streams, OwnerOf(request.id()));
  if (!io.ok()) return reply(io.status());
  if (absl::Status mounted = MountAll(request); !mounted.ok()) return reply(mounted);

  auto container = std::make_unique<Container>();
  container->id = request.id();
  container->bundle = request.bundle();
  container->options = *std::move(options);
  container->first.container_id = request.id();
  container->first.streams = streams;
  container->first.io = *std::move(io);
  std::vector<std::string> arguments = {"create", "--bundle", request.bundle(), "--pid-file",
                                        request.bundle() + "/" + kPidFile};
  if (const std::string& socket = container->first.io->console_socket(); !socket.empty())
    arguments.insert(arguments.end(), {"--console-socket", socket});
  arguments.push_back(request.id());
  RunscCommand command = CommandFor(*container, std::move(arguments));
  command.streams = container->first.io->streams();
  containers_[request.id()] = std::move(container);
  commands_.Run(command, [this, request, reply](const absl::Status& status) {
    Container& made = *containers_.at(request.id());
    absl::Status created = status.ok() ? Created(made) : status;
    if (!created.ok()) {
      CreateFailed(request.id());
      return reply(created);
    }
    api::CreateTaskResponse response;
    response.set_pid(static_cast<uint32_t>(made.first.pid));
    reply(response.SerializeAsString());
    Publish("TaskCreate", "/tasks/create", ToEvent(request, made.first.pid));
    WatchForEnd(made.first);
  });
}

absl::Status TaskService::Created(Container& container) {
  absl::StatusOr<pid_t> pid = ReadPidFile(container.bundle + "/" + kPidFile);
  if (!pid.ok()) return pid.status();
  if (absl::Status status = container.first.io->ProcessMade(); !status.ok()) return status;
  container.first.pid = *pid;
  container.first.state = Process::kCreated;
  absl::StatusOr<ContainerState> state = StateDirectory(RootFlag(container.options)).Load(container.id);
  if (state.ok()) container.cgroup_paths = state->cgroup_paths;
  return absl::OkStatus();
}

// Nothing stays of it.
void TaskService::CreateFailed(const std::string& id) {
  Container& container = *containers_.at(id);
  (void)RunAndWait(CommandFor(container, {"delete", "--force", id}));
  if (absl::Status status = UnmountRootfs(RootfsOf(container.bundle)); !status.ok())
    LOG_ERROR("{}", std::string(status.message()));
  containers_.erase(id);
}

void TaskService::Delete(const std::string& payload, Reply reply) {
  api::ProcessRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Process*> found = FindProcess(request.id(), request.exec_id());
  if (!found.ok()) return reply(found.status());
  Process& process = **found;
  bool is_busy = process.state == Process::kStarting || process.is_being_deleted ||
                 (process.is_first() && process.state == Process::kAdded);
  if (is_busy) return reply(absl::FailedPreconditionError("the process is being started or deleted"));
  if (process.state == Process::kRunning)
    return reply(absl::FailedPreconditionError("a running process cannot be deleted"));
  if (process.io != nullptr) process.io->Finish();
  if (process.is_first()) return DeleteFirst(ContainerOf(process), std::move(reply));

  api::DeleteResponse response;
  response.set_pid(static_cast<uint32_t>(process.pid));
  response.set_exit_status(process.exit_status);
  *response.mutable_exited_at() = ToTimestamp(process.exited_at);
  CallWaiters(process);
  ContainerOf(process).execs.erase(request.exec_id());
  reply(response.SerializeAsString());
}

void TaskService::DeleteFirst(Container& container, Reply reply) {
  for (const auto& [id, exec] : container.execs) {
    if (exec->state == Process::kStarting)
      return reply(absl::FailedPreconditionError(fmt::format("process {} is being started", id)));
  }
  container.first.is_being_deleted = true;
  RunscCommand command = CommandFor(container, {"delete", "--force", container.id});
  commands_.Run(command, [this, id = container.id, reply](const absl::Status& status) {
    Container& gone = *containers_.at(id);
    gone.first.is_being_deleted = false;
    absl::Status done = status.ok() ? UnmountRootfs(RootfsOf(gone.bundle)) : status;
    if (!done.ok()) return reply(done);
    const Process& first = gone.first;
    api::TaskDelete event;
    event.set_container_id(id);
    event.set_pid(static_cast<uint32_t>(first.pid));
    event.set_exit_status(first.exit_status);
    *event.mutable_exited_at() = ToTimestamp(first.exited_at);
    api::DeleteResponse response;
    response.set_pid(event.pid());
    response.set_exit_status(event.exit_status());
    *response.mutable_exited_at() = event.exited_at();
    reaper_.Forget(first.pid);
    CallWaiters(gone.first);
    for (const auto& [exec_id, exec] : gone.execs) {
      // It went with the container, and its keeper is about to end.
      if (exec->state == Process::kRunning) EndByKill(*exec);
      CallWaiters(*exec);
    }
    containers_.erase(id);
    Publish("TaskDelete", "/tasks/delete", event);
    reply(response.SerializeAsString());
  });
}

}  // namespace runsc::shim
