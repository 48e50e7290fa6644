// TaskRunner: what a host thread does for its task: from its start, through guest code, system calls, faults
// and pending work, to its exit.
// Linux counterpart: the entry code, exit_to_user_mode_loop.
#ifndef SENTRY_KERNEL_TASK_RUNNER_H_
#define SENTRY_KERNEL_TASK_RUNNER_H_

#include <csignal>

#include "sentry/kernel/task.h"
#include "sentry/kernel/thread_group.h"

namespace runsc {

class TaskRunner {
 public:
  // Has a host thread run the task and keep the reference. EAGAIN.
  static Result<void> Start(RefPtr<Task> task);

 private:
  explicit TaskRunner(Task& task) : task_(task), container_(*task.thread_group().container()) {}
  static void Main(void* argument);
  void Run();
  void RunGuest();
  void WaitUntilResumed();
  // Tells the platform who the task is, if that has changed.
  void UpdateKnownResults();
  void HandleSyscall();
  void ServeSyscall();
  // What is asked before a call is served. False: it is not to be; `result` is its result.
  bool EnterSyscall(Result<int64_t>& result);
  void HandleFault(const SwitchResult& result);
  bool IsReadable(uint64_t address) const;
  void SendFault(int signal, int code, uint64_t address);

  Task& task_;
  const GuestContainer& container_;
  // What the platform knows (getppid is not in it: others change it).
  RefPtr<const Credentials> known_creds_;
  pid_t known_tid_ = 0;
  uint32_t known_policy_ = 0;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TASK_RUNNER_H_
