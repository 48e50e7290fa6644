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
#include "platform/base/result.h"
#include "sentry/kernel/guest_container.h"
#include "sentry/kernel/pid_namespace.h"
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
struct WaitedChild;

// CPU time used, nanoseconds.
struct CpuUsage {
  int64_t user = 0;
  int64_t system = 0;
  uint64_t minor_faults = 0;
  uint64_t voluntary_switches = 0;
  uint64_t peak_resident = 0;  // bytes; of several processes the largest. Filled for dead ones only
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
  const PidNumbers& numbers() const { return numbers_; }
  RefPtr<Task> leader() const;
  std::vector<RefPtr<Task>> Tasks() const;
  size_t task_count() const;
  RefPtr<ThreadGroup> parent() const;
  std::vector<RefPtr<ThreadGroup>> Children() const;
  RefPtr<ProcessGroup> process_group() const;
  RefPtr<Session> session() const;
  const RefPtr<ProcessGroup>& ProcessGroupLocked() const { return process_group_; }  // task tree lock held

  // setsid(2). EPERM: it leads a process group already.
  Result<pid_t> CreateSession();
  // setpgid(2), by a task of this process; numbers of its PID namespace. EINVAL, ESRCH, EPERM, EACCES.
  Result<void> SetProcessGroup(pid_t pid, pid_t pgid);

  ResourceLimits& limits() { return limits_; }
  uint64_t Limit(int resource) const { return limits_.Get(resource).current; }
  CpuUsage GetCpuUsage() const;          // living and dead threads
  CpuUsage GetChildrenCpuUsage() const;  // waited-for children

  // --- signals ---
  Mutex& signal_lock() ABSL_LOCK_RETURNED(signal_mu_) { return signal_mu_; }
  RefPtr<SignalHandlers> handlers() const;
  // To the process: any task that does not block it takes it. Never fails for the caller's view
  // (EAGAIN: RLIMIT_SIGPENDING, real-time only). The init of a PID namespace takes signals that it has no
  // handler for only from outside (SIGKILL, SIGSTOP): `from_outside`, or si_code SI_KERNEL.
  Result<void> SendSignal(const siginfo_t& info, bool from_outside = false);
  // What the process is shown of a kernel's user id.
  Uid VisibleUid(Uid uid) const;
  // rt_sigaction(2): the old action; what is pending and becomes ignored is dropped.
  SignalAction SetAction(int signal, const SignalAction& action);
  SignalSet PendingSignals() const;  // of the process
  // Notified with EPOLLIN when a signal becomes pending for any task (signalfd).
  WaitQueue& signal_queue() { return signal_queue_; }
  // exit_group(2), a fatal signal: every task exits with this wait status.
  void BeginExit(int wait_status);
  bool IsExiting() const { return exiting_.load(std::memory_order_acquire); }
  bool IsStopped() const;
  // Whether all tasks are gone, and the wait status.
  bool IsZombie() const { return zombie_.load(std::memory_order_acquire); }
  int exit_status() const { return exit_status_.load(std::memory_order_relaxed); }
  int exit_signal() const { return exit_signal_.load(std::memory_order_relaxed); }
  bool IsInit() const;  // of its PID namespace
  // See InitOptions::is_ordinary.
  bool IsOrdinaryInit() const { return is_ordinary_init_; }
  // Notified (EPOLLIN) when it becomes a zombie (pidfd); and when a child changes state (wait).
  WaitQueue& exit_queue() { return exit_queue_; }
  WaitQueue& child_queue() { return child_queue_; }

  // prctl(PR_SET_CHILD_SUBREAPER).
  std::atomic<bool> child_subreaper{false};
  std::atomic<int> oom_score_adj{0};
  std::atomic<uint32_t> membarrier_registered{0};  // MEMBARRIER_CMD_REGISTER_*
  std::atomic<bool> no_huge_pages{false};          // prctl(PR_SET_THP_DISABLE): kept, without effect
  // Whether it has called execve(2) since fork (setpgid(2)).
  std::atomic<bool> has_execed{false};
  PosixTimers& posix_timers() { return *posix_timers_; }
  // Of the sandbox's containers the one that it belongs to; never null in one that runs.
  const RefPtr<GuestContainer>& container() const { return container_; }

 private:
  friend class Kernel;
  friend class Task;
  friend class TaskRunner;
  friend class PidNamespace;
  friend class ProcessGroup;
  friend class SeccompState;
  friend class Terminal;
  friend class Tracee;

  // What a task has to do before it may run guest code; found under the signal lock, done without it.
  struct Work {
    enum class Kind { kNone, kExit, kStop, kStopBy, kNotify, kDeliver, kTrap, kOffer };
    Kind kind = Kind::kNone;
    siginfo_t info{};          // kStopBy, kDeliver, kOffer (to the tracer, before anything else)
    SignalAction action;       // kDeliver
    bool was_offered = false;  // to the tracer
    int notify_code = 0;       // kNotify: CLD_STOPPED or CLD_CONTINUED
  };
  Work NextWork(Task& task);
  // What the action for a signal that `task` has taken wants done.
  Work WorkOfSignalLocked(Task& task, const siginfo_t& info) ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  bool HasWorkLocked(const Task& task) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);

  Result<void> SendLocked(const siginfo_t& info, Task* target, bool from_outside)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  bool IsIgnoredLocked(const Task& task, int signal, bool from_outside) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  // Whether a queued signal should wake this task.
  bool WantsLocked(const Task& task, int signal) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  void ChooseTaskLocked(int signal, Task* target, bool from_outside)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  // Other tasks than `task` look for the process's pending signals of `signals`, as it will not take them.
  void RetargetLocked(const Task& task, SignalSet signals) ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  void DiscardLocked(SignalSet signals) ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  void BeginExitLocked(int wait_status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  // Group stop: every task stops, the last one tells the parent; SIGCONT and exits undo it.
  void BeginStopLocked(Task& task, int signal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  bool FinishStopLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);  // whether the parent is to be told
  void EndStopLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  void ContinueLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(signal_mu_);
  bool IsProtectedInit() const;

  // With the task tree lock held.
  siginfo_t ChildSignalLocked(const ThreadGroup& parent, int code, int status) const;
  void NotifyParentLocked(int code);  // CLD_STOPPED, CLD_CONTINUED
  // All tasks are gone: the tracer of the leader is told first, if it is not the parent.
  void AllTasksGoneLocked(std::vector<RefPtr<ThreadGroup>>& released);
  // Then the parent is told, or it vanishes. The references are to be dropped without the lock.
  void BecomeZombieLocked(std::vector<RefPtr<ThreadGroup>>& released);
  void ReapLocked(std::vector<RefPtr<ThreadGroup>>& released);
  void ReparentChildrenLocked(std::vector<RefPtr<ThreadGroup>>& released);
  ThreadGroup* NewParentLocked() const;
  void JoinProcessGroupLocked(RefPtr<ProcessGroup> group);
  CpuUsage UsageLocked() const;
  std::optional<WaitedChild> TakeReportLocked(ThreadGroup& child, int options,
                                              std::vector<RefPtr<ThreadGroup>>& released);

  Kernel& kernel_;
  const RefPtr<PidNamespace> pid_namespace_;
  PidNumbers numbers_;                // fixed once it is in the tree
  bool is_ordinary_init_ = false;     // fixed before it runs
  RefPtr<GuestContainer> container_;  // fixed before it runs
  ResourceLimits limits_;
  WaitQueue signal_queue_, exit_queue_, child_queue_;
  std::unique_ptr<PosixTimers> posix_timers_;
  std::atomic<bool> exiting_{false};
  std::atomic<bool> zombie_{false};
  std::atomic<int> exit_status_{0};
  std::atomic<int> exit_signal_;

  mutable Mutex signal_mu_{LockRank::kSignal};
  RefPtr<SignalHandlers> handlers_ ABSL_GUARDED_BY(signal_mu_);
  SignalQueue pending_ ABSL_GUARDED_BY(signal_mu_);
  bool stopped_ ABSL_GUARDED_BY(signal_mu_) = false;  // every task has stopped
  int stop_signal_ ABSL_GUARDED_BY(signal_mu_) = 0;
  int stopping_ ABSL_GUARDED_BY(signal_mu_) = 0;  // tasks that have yet to stop
  bool stop_reported_ ABSL_GUARDED_BY(signal_mu_) = true;
  bool continue_reported_ ABSL_GUARDED_BY(signal_mu_) = true;
  int notify_code_ ABSL_GUARDED_BY(signal_mu_) = 0;        // the next task to run tells the parent
  int live_ ABSL_GUARDED_BY(signal_mu_) = 0;               // tasks that have not begun to exit
  Task* exec_task_ ABSL_GUARDED_BY(signal_mu_) = nullptr;  // waits for the others to go
  std::atomic<bool> killable_init_{false};                 // a fault of its own kills even a namespace's init

  // Written with Kernel::task_tree_lock() and the signal lock held, read with either.
  Task* leader_ = nullptr;
  std::vector<RefPtr<Task>> tasks_;
  CpuUsage dead_usage_;
  // Guarded by Kernel::task_tree_lock().
  ThreadGroup* parent_ = nullptr;
  bool is_adopted_ = false;  // by an ordinary init, which does not know of it
  std::list<RefPtr<ThreadGroup>> children_;
  RefPtr<ProcessGroup> process_group_;
  CpuUsage children_usage_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_THREAD_GROUP_H_
