// ThreadGroup: a process: what its threads share and wait(2) tells of it.
//
// Threading: any thread. `signal_lock()` (kSignal) guards pending signals, stop state and
// the signal masks of its tasks; the task tree lock (Kernel) guards membership, parent, children,
// process group and session; the rest says so itself.
// Linux counterpart: struct signal_struct.
#ifndef SENTRY_KERNEL_THREAD_GROUP_H_
#define SENTRY_KERNEL_THREAD_GROUP_H_

#include <atomic>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/kernel/process_group.h"
#include "sentry/kernel/resource_limits.h"
#include "sentry/kernel/signal.h"
#include "sentry/time/timer_queue.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

class Kernel;
class PidNamespace;
class PosixTimers;
class Task;

// CPU time used, nanoseconds.
struct CpuUsage {
  int64_t user = 0;
  int64_t system = 0;
  uint64_t minor_faults = 0;
  uint64_t voluntary_switches = 0;
};

class ThreadGroup final : public RefCounted {
 public:
  ThreadGroup(Kernel& kernel, RefPtr<PidNamespace> pid_namespace, RefPtr<SignalHandlers> handlers,
              int exit_signal);
  ~ThreadGroup() override;

  Kernel& kernel() const { return kernel_; }
  PidNamespace& pid_namespace() const { return *pid_namespace_; }
  pid_t pid() const;       // in its own PID namespace
  pid_t root_pid() const;  // in the root namespace
  RefPtr<Task> leader() const;
  std::vector<RefPtr<Task>> Tasks() const;
  size_t task_count() const;
  RefPtr<ThreadGroup> parent() const;
  std::vector<RefPtr<ThreadGroup>> Children() const;
  RefPtr<ProcessGroup> process_group() const;
  RefPtr<Session> session() const;

  ResourceLimits& limits() { return limits_; }
  uint64_t Limit(int resource) const { return limits_.Get(resource).current; }
  CpuUsage GetCpuUsage() const;          // living and dead threads
  CpuUsage GetChildrenCpuUsage() const;  // waited-for children

  // --- signals ---
  Mutex& signal_lock() ABSL_LOCK_RETURNED(signal_mu_) { return signal_mu_; }
  RefPtr<SignalHandlers> handlers() const;
  // To the process: any task that does not block it takes it. Never fails for the caller's view
  // (EAGAIN: RLIMIT_SIGPENDING, real-time only).
  Result<void> SendSignal(const siginfo_t& info);
  // Notified with EPOLLIN when a signal becomes pending for any task (signalfd).
  WaitQueue& signal_queue() { return signal_queue_; }
  // exit_group(2), a fatal signal: every task exits with this wait status.
  void BeginExit(int wait_status);
  bool IsExiting() const { return exiting_.load(std::memory_order_acquire); }
  bool IsStopped() const;
  // Whether all tasks are gone, and the wait status.
  bool IsZombie() const;
  int exit_status() const { return exit_status_.load(std::memory_order_relaxed); }
  int exit_signal() const { return exit_signal_.load(std::memory_order_relaxed); }
  // Notified (EPOLLIN) when it becomes a zombie (pidfd); and when a child changes state (wait).
  WaitQueue& exit_queue() { return exit_queue_; }
  WaitQueue& child_queue() { return child_queue_; }

  // prctl(PR_SET_CHILD_SUBREAPER).
  std::atomic<bool> child_subreaper{false};
  std::atomic<int> oom_score_adj{0};
  // Whether it has called execve(2) since fork (setpgid(2)).
  std::atomic<bool> has_execed{false};
  PosixTimers& posix_timers() { return *posix_timers_; }

 private:
  friend class Kernel;
  friend class Task;
  friend class PidNamespace;
  friend class ProcessGroup;

  Kernel& kernel_;
  const RefPtr<PidNamespace> pid_namespace_;
  ResourceLimits limits_;
  WaitQueue signal_queue_, exit_queue_, child_queue_;
  std::unique_ptr<PosixTimers> posix_timers_;
  std::atomic<bool> exiting_{false};
  std::atomic<int> exit_status_{0};
  std::atomic<int> exit_signal_;

  mutable Mutex signal_mu_{LockRank::kSignal};
  RefPtr<SignalHandlers> handlers_ ABSL_GUARDED_BY(signal_mu_);
  SignalQueue pending_ ABSL_GUARDED_BY(signal_mu_);
  bool stopped_ ABSL_GUARDED_BY(signal_mu_) = false;  // group stop in force
  int stop_signal_ ABSL_GUARDED_BY(signal_mu_) = 0;
  bool stop_reported_ ABSL_GUARDED_BY(signal_mu_) = true;
  bool continue_reported_ ABSL_GUARDED_BY(signal_mu_) = true;

  // Guarded by Kernel::task_tree_lock().
  Task* leader_ = nullptr;
  std::vector<Task*> tasks_;
  ThreadGroup* parent_ = nullptr;
  std::list<RefPtr<ThreadGroup>> children_;
  RefPtr<ProcessGroup> process_group_;
  CpuUsage dead_usage_, children_usage_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_THREAD_GROUP_H_
