#include "runsc/shim/task_service.h"

#include <fmt/format.h>

#include <charconv>

#include "platform/base/log.h"
#include "runsc/oci/json_reader.h"
#include "runsc/shim/metrics.h"

namespace runsc::shim {
namespace {

// Version 3 has the same methods and messages.
bool IsTaskService(std::string_view name) {
  return name == "containerd.task.v2.Task" || name == "containerd.task.v3.Task";
}

}  // namespace

TaskService::TaskService(EventLoop& loop, ChildReaper& reaper, EventPublisher& publisher,
                         ServiceOptions options, std::function<void()> shut_down)
    : loop_(loop),
      reaper_(reaper),
      publisher_(publisher),
      options_(std::move(options)),
      shut_down_(std::move(shut_down)),
      commands_(loop, reaper) {}

TaskService::Method TaskService::FindMethod(std::string_view name) {
  struct Entry {
    std::string_view name;
    Method method;
  };
  static constexpr Entry kMethods[] = {
      {"Create", &TaskService::Create},       {"Start", &TaskService::Start},
      {"Delete", &TaskService::Delete},       {"Exec", &TaskService::Exec},
      {"Kill", &TaskService::Kill},           {"State", &TaskService::State},
      {"Wait", &TaskService::Wait},           {"Pids", &TaskService::Pids},
      {"ResizePty", &TaskService::ResizePty}, {"CloseIO", &TaskService::CloseIo},
      {"Pause", &TaskService::Pause},         {"Resume", &TaskService::Resume},
      {"Update", &TaskService::Update},       {"Stats", &TaskService::Stats},
      {"Connect", &TaskService::Connect},     {"Shutdown", &TaskService::Shutdown},
  };
  for (const Entry& entry : kMethods) {
    if (entry.name == name) return entry.method;
  }
  return nullptr;
}

void TaskService::Handle(Call call) {
  Method method = IsTaskService(call.service) ? FindMethod(call.method) : nullptr;
  if (method == nullptr)  // Checkpoint, for one
    return call.reply(absl::UnimplementedError(
        fmt::format("{} of {} is not implemented by this shim", call.method, call.service)));
  LOG_DEBUG("{}", call.method);
  (this->*method)(call.payload,
                  [name = call.method, reply = std::move(call.reply)](absl::StatusOr<std::string> result) {
                    if (!result.ok()) LOG_INFO("{}: {}", name, std::string(result.status().message()));
                    reply(std::move(result));
                  });
}

absl::StatusOr<Container*> TaskService::FindContainer(const std::string& id) {
  auto found = containers_.find(id);
  if (found == containers_.end()) return absl::NotFoundError(fmt::format("container {}: not found", id));
  return found->second.get();
}

absl::StatusOr<Process*> TaskService::FindProcess(const std::string& id, const std::string& exec_id) {
  absl::StatusOr<Container*> container = FindContainer(id);
  if (!container.ok()) return container.status();
  if (exec_id.empty()) return &(*container)->first;
  auto found = (*container)->execs.find(exec_id);
  if (found == (*container)->execs.end())
    return absl::NotFoundError(fmt::format("process {} of container {}: not found", exec_id, id));
  return found->second.get();
}

RunscCommand TaskService::CommandFor(const Container& container, std::vector<std::string> arguments) const {
  RunscCommand command;
  command.program = container.options.program;
  command.global_flags = container.options.global_flags;
  command.arguments = std::move(arguments);
  return command;
}

IoOwner TaskService::OwnerOf(const std::string& container_id) const {
  return {options_.name_space, container_id, options_.socket_prefix};
}

void TaskService::Publish(std::string_view name, std::string_view topic,
                          const google::protobuf::MessageLite& event) {
  publisher_.Publish(topic, fmt::format("containerd.events.{}", name), event);
}

void TaskService::SetPaused(const std::string& payload, bool paused, Reply reply) {
  api::ContainerRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Container*> container = FindContainer(request.id());
  if (!container.ok()) return reply(container.status());
  RunscCommand command = CommandFor(**container, {paused ? "pause" : "resume", request.id()});
  commands_.Run(command, [this, id = request.id(), paused, reply](const absl::Status& status) {
    if (!status.ok()) return reply(status);
    if (auto found = FindContainer(id); found.ok()) (*found)->is_paused = paused;
    ReplyEmpty(reply);
    api::TaskEvent event;
    event.set_container_id(id);
    if (paused) {
      Publish("TaskPaused", "/tasks/paused", event);
    } else {
      Publish("TaskResumed", "/tasks/resumed", event);
    }
  });
}

void TaskService::Pause(const std::string& payload, Reply reply) {
  SetPaused(payload, true, std::move(reply));
}
void TaskService::Resume(const std::string& payload, Reply reply) {
  SetPaused(payload, false, std::move(reply));
}

void TaskService::Update(const std::string& payload, Reply reply) {
  api::UpdateTaskRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Container*> container = FindContainer(request.id());
  if (!container.ok()) return reply(container.status());
  RunscCommand command =
      CommandFor(**container, {"update", "--resources", RunscCommand::kInputFile, request.id()});
  command.input = request.resources().value();
  commands_.Run(command, [reply](const absl::Status& status) {
    if (!status.ok()) return reply(status);
    ReplyEmpty(reply);
  });
}

void TaskService::Stats(const std::string& payload, Reply reply) {
  api::ContainerRequest request;
  if (!Parse(payload, &request, reply)) return;
  absl::StatusOr<Container*> container = FindContainer(request.id());
  if (!container.ok()) return reply(container.status());
  const Cgroup::Paths& paths = (*container)->cgroup_paths;
  if (paths.empty()) return reply(absl::FailedPreconditionError("the container has no control group"));
  std::unique_ptr<Cgroup> cgroup = OpenCgroup(paths);
  api::StatsResponse response;
  *response.mutable_stats() = ToMetrics(cgroup->Stats(), cgroup->OomKills(), paths.contains(""));
  reply(response.SerializeAsString());
}

void TaskService::Connect(const std::string& payload, Reply reply) {
  api::ContainerRequest request;
  if (!Parse(payload, &request, reply)) return;
  api::ConnectResponse response;
  response.set_shim_pid(static_cast<uint32_t>(::getpid()));
  if (auto found = FindContainer(request.id()); found.ok())
    response.set_task_pid(static_cast<uint32_t>((*found)->first.pid));
  reply(response.SerializeAsString());
}

void TaskService::Shutdown(const std::string& payload, Reply reply) {
  ReplyEmpty(reply);
  if (containers_.empty()) shut_down_();
}

absl::StatusOr<pid_t> ReadPidFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadTextFile(path, 32);
  if (!text.ok()) return text.status();
  pid_t pid = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), pid);
  if (error != std::errc() || pid <= 0)
    return absl::InternalError(fmt::format("{}: no number of a process", path));
  return pid;
}

}  // namespace runsc::shim
