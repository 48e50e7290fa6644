// TaskService: the service of a shim ("containerd.task.v2.Task"; containerd's runtime/v2/README.md): what
// containerd asks for is done by running commands of runsc, and what happens is told as events.
//
// One thread. A method that runs a command replies when that has ended; others are answered meanwhile. What a
// running command concerns stays: it is not deleted while it is being started or deleted.
#ifndef RUNSC_SHIM_TASK_SERVICE_H_
#define RUNSC_SHIM_TASK_SERVICE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "runsc/shim/command_runner.h"
#include "runsc/shim/event_publisher.h"
#include "runsc/shim/proto/events.pb.h"
#include "runsc/shim/proto/task.pb.h"
#include "runsc/shim/task.h"
#include "runsc/shim/ttrpc_server.h"

namespace runsc::shim {

struct ServiceOptions {
  std::string name_space;
  std::string root;           // the default of runsc --root
  std::string socket_prefix;  // see IoOwner
};

class TaskService {
 public:
  // `shut_down` is called when containerd asks for it and no container is left.
  TaskService(EventLoop& loop, ChildReaper& reaper, EventPublisher& publisher, ServiceOptions options,
              std::function<void()> shut_down);

  void Handle(Call call);

 private:
  using Method = void (TaskService::*)(const std::string& payload, Reply reply);
  static Method FindMethod(std::string_view name);

  // One a method: decodes, checks, does. In task_service.cc, task_creation.cc and task_processes.cc.
  void Create(const std::string& payload, Reply reply);
  void Start(const std::string& payload, Reply reply);
  void Delete(const std::string& payload, Reply reply);
  void Exec(const std::string& payload, Reply reply);
  void Kill(const std::string& payload, Reply reply);
  void State(const std::string& payload, Reply reply);
  void Wait(const std::string& payload, Reply reply);
  void Pids(const std::string& payload, Reply reply);
  void ResizePty(const std::string& payload, Reply reply);
  void CloseIo(const std::string& payload, Reply reply);
  void Pause(const std::string& payload, Reply reply);
  void Resume(const std::string& payload, Reply reply);
  void Update(const std::string& payload, Reply reply);
  void Stats(const std::string& payload, Reply reply);
  void Connect(const std::string& payload, Reply reply);
  void Shutdown(const std::string& payload, Reply reply);

  absl::StatusOr<Container*> FindContainer(const std::string& id);
  absl::StatusOr<Process*> FindProcess(const std::string& id, const std::string& exec_id);
  Container& ContainerOf(const Process& process) { return *containers_.at(process.container_id); }

  RunscCommand CommandFor(const Container& container, std::vector<std::string> arguments) const;
  IoOwner OwnerOf(const std::string& container_id) const;
  absl::Status Created(Container& container);
  void CreateFailed(const std::string& id);
  void StartFirst(Container& container, Reply reply);
  void StartExec(Process& process, Reply reply);
  absl::Status ExecStarted(Process& process, const std::string& pid_file);
  void DeleteFirst(Container& container, Reply reply);
  void SetPaused(const std::string& payload, bool paused, Reply reply);
  void WatchForEnd(Process& process);
  void TellEnd(Process& process);
  void EndByKill(Process& process);
  static void CallWaiters(Process& process);

  void Publish(std::string_view name, std::string_view topic, const google::protobuf::MessageLite& event);

  EventLoop& loop_;
  ChildReaper& reaper_;
  EventPublisher& publisher_;
  const ServiceOptions options_;
  const std::function<void()> shut_down_;
  CommandRunner commands_;
  std::map<std::string, std::unique_ptr<Container>> containers_;
};

// Decodes a request; false if it replied that it is none.
template <typename Message>
bool Parse(const std::string& payload, Message* request, const Reply& reply) {
  if (request->ParseFromString(payload)) return true;
  reply(absl::InvalidArgumentError("the request is malformed"));
  return false;
}

inline void ReplyEmpty(const Reply& reply) { reply(std::string()); }

// The number in a pid file.
absl::StatusOr<pid_t> ReadPidFile(const std::string& path);

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_TASK_SERVICE_H_
