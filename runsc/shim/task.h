// What a shim knows of its containers and their processes.
#ifndef RUNSC_SHIM_TASK_H_
#define RUNSC_SHIM_TASK_H_

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runsc/cgroup/cgroup.h"
#include "runsc/shim/oom_watcher.h"
#include "runsc/shim/options.h"
#include "runsc/shim/process_io.h"

namespace runsc::shim {

// A process of a container: the first one, or one of an exec. Its pid is that of the monitor or keeper that
// stands for it.
struct Process {
  enum State {
    kAdded,    // of an exec: nothing is there yet
    kCreated,  // of the first one: made, waits for Start
    kStarting,
    kRunning,
    kStopped
  };

  std::string container_id, exec_id;  // exec_id "": the first one
  StreamNames streams;
  std::string spec;  // of an exec: JSON
  State state = kAdded;
  bool is_being_deleted = false;
  pid_t pid = 0;
  // The end, which is told only once the start has been.
  bool has_ended = false;
  uint32_t exit_status = 0;  // 128+n after signal n
  timespec exited_at{};
  std::unique_ptr<ProcessIo> io;
  std::vector<std::function<void()>> waiters;  // called at the end

  bool is_first() const { return exec_id.empty(); }
};

struct Container {
  std::string id, bundle;
  RuntimeOptions options;
  Cgroup::Paths cgroup_paths;
  bool is_paused = false;
  Process first;
  std::map<std::string, std::unique_ptr<Process>> execs;
  std::unique_ptr<OomWatcher> oom_watcher;
};

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_TASK_H_
