// CommandRunner: runs commands of this same binary (`runsc create`, …) for the shim, and tells how they
// ended.
//
// Commands, and not the library behind them in a forked child: a container's monitor is a fork of `create`
// and lives as long as the container. From a fresh program it inherits nothing of the shim: no descriptor, no
// client's bytes in its memory, no signal mask. And there is one way in which containers are made, whoever
// asks for them. It costs an execve(2).
#ifndef RUNSC_SHIM_COMMAND_RUNNER_H_
#define RUNSC_SHIM_COMMAND_RUNNER_H_

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "platform/base/unique_fd.h"
#include "runsc/shim/child_reaper.h"

namespace runsc::shim {

struct RunscCommand {
  std::string program = "/proc/self/exe";
  std::vector<std::string> global_flags;
  std::vector<std::string> arguments;         // the command's name first
  std::array<int, 3> streams = {-1, -1, -1};  // -1: /dev/null
  std::string input;                          // what kInputFile reads, if it is among the arguments
  static constexpr char kInputFile[] = "/proc/self/fd/4";
};

class CommandRunner {
 public:
  using Done = std::function<void(const absl::Status&)>;

  CommandRunner(EventLoop& loop, ChildReaper& reaper) : loop_(loop), reaper_(reaper) {}

  // `done` is called from the loop, later; an error has the message that the command logged.
  void Run(const RunscCommand& command, Done done);

 private:
  EventLoop& loop_;
  ChildReaper& reaper_;
};

// The same without a loop: waits for its end.
absl::Status RunAndWait(const RunscCommand& command);

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_COMMAND_RUNNER_H_
