// ChildReaper: waits for all children of a shim: the commands it runs, and, as it is a subreaper (prctl(2)),
// the monitors and keepers that these leave behind.
//
// `runsc create` tells the number of its monitor when it has ended; the monitor may have ended before that.
// So while a command runs, the ends of processes that nobody has asked for are remembered.
#ifndef RUNSC_SHIM_CHILD_REAPER_H_
#define RUNSC_SHIM_CHILD_REAPER_H_

#include <sys/types.h>

#include <functional>
#include <map>

#include "platform/base/unique_fd.h"
#include "runsc/shim/event_loop.h"

namespace runsc::shim {

class ChildReaper {
 public:
  using Ended = std::function<void(int wait_status)>;

  // Blocks SIGCHLD and makes this process a subreaper.
  explicit ChildReaper(EventLoop& loop);
  ~ChildReaper();
  ChildReaper(const ChildReaper&) = delete;
  ChildReaper& operator=(const ChildReaper&) = delete;

  // Calls `ended` from the loop once `pid` has ended, also if it has already.
  void Expect(pid_t pid, Ended ended);
  void Forget(pid_t pid) { expected_.erase(pid); }

  // Ends are remembered between the two.
  void BeginCommand() { ++commands_; }
  void EndCommand();

 private:
  void Reap();

  EventLoop& loop_;
  UniqueFd signals_;
  std::map<pid_t, Ended> expected_;
  std::map<pid_t, int> unclaimed_;
  int commands_ = 0;
};

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_CHILD_REAPER_H_
