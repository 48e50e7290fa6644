// PollSet: a set of open files that one system call waits for.
// Owned by the call; used by the task's own thread.
#ifndef SENTRY_SYSCALLS_POLL_SET_H_
#define SENTRY_SYSCALLS_POLL_SET_H_

#include <deque>
#include <vector>

#include "sentry/kernel/task.h"

namespace runsc {

class PollSet {
 public:
  explicit PollSet(Task& task) : task_(task) {}
  ~PollSet();
  PollSet(const PollSet&) = delete;
  PollSet& operator=(const PollSet&) = delete;

  // poll(2) always waits for EPOLLERR and EPOLLHUP, too; select(2) does not.
  void Add(RefPtr<FileDescription> file, EventMask wanted);
  // How many of the files are ready; waits for one, unless `immediate`. 0: the deadline; ERESTARTSYS.
  Result<size_t> Wait(bool immediate, Deadline deadline);
  // What the i-th file was ready for when Wait returned.
  EventMask ready(size_t index) const { return targets_[index].ready; }

 private:
  struct Target {
    RefPtr<FileDescription> file;
    EventMask wanted = 0;
    EventMask ready = 0;
    WaitQueue* queue = nullptr;
  };
  size_t Look();

  Task& task_;
  std::vector<Target> targets_;
  std::deque<TaskWaiter> waiters_;  // one a target, once registered
};

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_POLL_SET_H_
