// Tracee: how a task is traced (ptrace(2)), and whom it traces itself.
//
// A tracee stops on its own thread, in Stop(), and stays there until its tracer resumes it, lets it go or
// dies, or a SIGKILL comes. While it is stopped the tracer may use its registers, under the signal lock of
// the tracee's process; what only the tracee's thread may do (its FP state) is handed to it as an errand.
//
// Threading: who traces whom is written under the task tree lock and the tracee's signal lock, and read under
// either. The rest of a tracee's state is guarded by its signal lock.
// Linux counterpart: kernel/ptrace.c, and what kernel/signal.c has of it; the stops are named as in
// ptrace(2).
#ifndef SENTRY_KERNEL_TRACEE_H_
#define SENTRY_KERNEL_TRACEE_H_

#include <sys/ptrace.h>

#include <atomic>
#include <functional>
#include <vector>

#include "sentry/kernel/task.h"
#include "sentry/kernel/wait_request.h"

namespace runsc {

// How a stopped tracee goes on.
enum class ResumeMode : uint8_t { kContinue, kSyscall, kStep, kEmulate, kEmulateStep };

class Tracee {
 public:
  static constexpr int kEventStop = PTRACE_EVENT_STOP;
  // What PTRACE_SETOPTIONS takes.
  static constexpr uint32_t kKnownOptions = 0xff | PTRACE_O_EXITKILL;

  explicit Tracee(Task& task) : task_(task) {}

  bool IsTraced() const { return traced_.load(std::memory_order_acquire); }
  // For /proc/PID/status; null: nobody.
  RefPtr<Task> GetTracer() const;

  // --- the tracee's thread ---
  // Whether each instruction is a stop.
  bool IsStepping() const { return stepping_.load(std::memory_order_relaxed); }
  bool HasOption(uint32_t option) const;
  // Offers a signal that the task has taken; false: it is not to have it (now). `info` may be another one
  // after.
  bool OfferSignal(siginfo_t& info);
  // A pending group stop, PTRACE_INTERRUPT or a change of the group stop.
  void Trap();
  // Before and after a system call. False: the call is not to be made.
  bool OnSyscallEntry();
  void OnSyscallExit(bool is_step);
  // PTRACE_EVENT_…, if the tracer asked for it.
  void Event(int event, uint64_t message);
  void OnExec(pid_t old_id);
  void OnExit(int wait_status);
  // A signal handler was entered in a single step.
  void OnHandlerEntered();
  // execve(2) of a set-user-ID program: its tracer may not have what it would get.
  bool IsUnsafeForExec() const;
  // What clone(2) of a traced task is to report (PTRACE_EVENT_…); 0: nothing.
  int CloneEvent(uint64_t flags, int exit_signal) const;
  // The id of `task` as the tracer knows it.
  pid_t IdForTracer(const Task& task) const;
  // A new task of a traced one is traced, too (`automatically`, or with CLONE_PTRACE); task tree lock held.
  void InheritLocked(Tracee& parent);
  void RememberExitStatus(int wait_status) { exit_status_ = wait_status; }

  // --- the tracer's thread ---
  static Result<void> TraceMe(Task& task);
  static Result<void> Attach(Task& tracer, Task& target, bool seize, uint32_t options);
  // ESRCH unless `tracer` traces this task (and it is stopped, if asked). `use` runs under the signal lock.
  Result<void> WhileStopped(Task& tracer, absl::FunctionRef<Result<void>()> use);
  Result<void> CheckTracer(Task& tracer) const;
  Result<void> Resume(Task& tracer, ResumeMode mode, int signal);
  Result<void> Detach(Task& tracer, int signal);
  Result<void> SetOptions(Task& tracer, uint32_t options);
  Result<void> Interrupt(Task& tracer);
  Result<void> Listen(Task& tracer);
  Result<void> Kill(Task& tracer);
  // Has the stopped tracee's own thread do something; its result. ESRCH also if it does not stay stopped.
  Result<void> RunErrand(Task& tracer, std::function<Result<void>(Task&)> errand);
  // In `use` of WhileStopped():
  Registers& registers() { return task_.registers_; }
  void RegistersChanged();
  const siginfo_t* info() const { return has_info_ ? &info_ : nullptr; }
  void SetInfo(const siginfo_t& info) { info_ = info; }
  uint64_t message() const { return message_; }
  SignalSet blocked() const;
  void SetBlocked(SignalSet set);
  std::vector<siginfo_t> Pending(bool of_process) const;

  // --- wait(2); task tree lock held ---
  // What a tracee of one of `group`'s tasks (`only`: of that one) has to tell. `any`: there is one that may.
  static std::optional<WaitedChild> TakeReportLocked(ThreadGroup& group, const Task* only, int options,
                                                     bool& any,
                                                     absl::FunctionRef<bool(const Task&)> is_wanted,
                                                     std::vector<RefPtr<ThreadGroup>>& released,
                                                     std::vector<RefPtr<Task>>& released_tasks);
  bool IsTracedByGroupLocked(const ThreadGroup& group) const;
  bool IsTracedLocked() const { return tracer_ != nullptr; }
  // This task has ended, and its tracer is told. (Not: it is the last, and its tracer its parent.)
  void NotifyExitLocked();
  // It leaves its tracer's list.
  void UnlinkLocked(std::vector<RefPtr<Task>>& released);
  // The task ends: its tracees go on without it.
  void ReleaseTraceesLocked(std::vector<RefPtr<ThreadGroup>>& released,
                            std::vector<RefPtr<Task>>& released_tasks);

  // --- for ThreadGroup; signal lock held ---
  bool HasTrapLocked() const { return trap_stop_ || trap_notify_; }
  bool IsStoppedLocked() const { return stopped_; }
  void SetStopSignalLocked(int signal, bool is_other);
  void SetTrapStopLocked() { trap_stop_ = true; }
  void OnContinueLocked();
  void SetKilledLocked() { killed_ = true; }
  // Whether this task's part of a group stop is not among those that are counted.
  bool TakeUncountedLocked() { return std::exchange(uncounted_stop_, false); }

 private:
  struct Errand : RefCounted {
    std::function<Result<void>(Task&)> run;
    Result<void> result;
    std::atomic<bool> done{false};
    RefPtr<Task> client;
  };
  struct StopOptions {
    int code = 0;           // as wait(2) tells it, above the low byte
    int why = CLD_TRAPPED;  // or CLD_STOPPED
    const siginfo_t* info = nullptr;
    uint64_t message = 0;
    bool is_exit = false;  // the task ends anyway: only a SIGKILL from now on cuts it short
  };
  // Returns the signal that the tracer resumed it with; 0: none.
  int Stop(const StopOptions& options);
  bool EnterStop(const StopOptions& options);
  void StayStopped(bool is_exit);
  int LeaveStop();
  // A stop with SIGTRAP and this si_code.
  int Notify(int code, uint64_t message, int why = CLD_TRAPPED);
  bool ReportSyscall(uint64_t message);
  void NotifyStopLocked(int why, int status);
  void LinkLocked(Task& tracer, bool seized, uint32_t options);
  void ClearLinkLocked();
  void SetResumeModeLocked(ResumeMode mode);
  bool IsStoppedForLocked(const Task& tracer) const;
  void FinishErrand(RefPtr<Errand> errand);
  // Out of its process, which may be all gone by that.
  void ReapLocked(std::vector<RefPtr<ThreadGroup>>& released);
  std::optional<WaitedChild> TakeOwnReportLocked(const ThreadGroup& group, int options, bool& any,
                                                 std::vector<RefPtr<ThreadGroup>>& released,
                                                 std::vector<RefPtr<Task>>& released_tasks);

  Task& task_;
  std::vector<RefPtr<Task>> tracees_;  // of this task; task tree lock
  Task* tracer_ = nullptr;             // see above
  std::atomic<bool> traced_{false};    // whether there is one
  std::atomic<bool> stepping_{false};
  std::atomic<uint32_t> options_{0};        // PTRACE_O_*
  RefPtr<const Credentials> tracer_creds_;  // with tracer_
  int exit_status_ = 0;                     // before it is a zombie

  // Guarded by the signal lock.
  bool seized_ = false;
  bool trap_stop_ = false, trap_notify_ = false;
  bool listening_ = false;
  bool uncounted_stop_ = false;
  int stop_signal_ = 0;  // of the last group stop
  bool stopped_ = false;
  int code_ = 0;  // what wait(2) has yet to tell
  siginfo_t info_{};
  bool has_info_ = false;
  uint64_t message_ = 0;
  bool resumed_ = false;
  int resume_signal_ = 0;
  bool killed_ = false;
  RefPtr<Errand> errand_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TRACEE_H_
