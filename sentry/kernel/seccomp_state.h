// SeccompState: which system calls a task may make: its mode and its chain of filters.
//
// A filter is immutable and knows the one before it; tasks that were forked, or brought along by
// SECCOMP_FILTER_FLAG_TSYNC, share chains. Every filter of the chain is asked about every call, and the
// strictest answer counts (seccomp(2)); calls that all of them allow whatever the arguments are, are known
// beforehand.
//
// Threading: Check() by the task's own thread. Changes are made under the process's signal lock; a chain only
// grows until the task is gone, so that the task's own thread may use the pointer it has seen.
// Linux counterpart: struct seccomp, struct seccomp_filter.
#ifndef SENTRY_KERNEL_SECCOMP_STATE_H_
#define SENTRY_KERNEL_SECCOMP_STATE_H_

#include <atomic>
#include <vector>

#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/kernel/seccomp_listener.h"
#include "sentry/kernel/seccomp_program.h"

namespace runsc {

class Task;

class SeccompFilter final : public RefCounted {
 public:
  SeccompFilter(SeccompProgram program, RefPtr<SeccompFilter> previous, bool log,
                RefPtr<SeccompListener> listener);
  // Together with those before it, it has more instructions than Linux lets a call run through (ENOMEM).
  bool IsTooLong() const;
  const SeccompFilter* previous() const { return previous_.get(); }
  const SeccompProgram& program() const { return program_; }
  SeccompListener* listener() const { return listener_.get(); }
  int depth() const { return depth_; }  // filters in the chain up to this one
  // Whether this filter and all before it allow the call whatever its arguments are.
  bool Allows(uint64_t number) const { return number < SeccompProgram::kNumbers && allowed_[number]; }
  bool HasListener() const;  // this or one before
  bool Contains(const SeccompFilter* filter) const;
  struct Verdict {
    uint32_t value = 0;  // SECCOMP_RET_* and data
    const SeccompFilter* filter = nullptr;
  };
  Verdict Ask(const seccomp_data& data) const;
  bool logs() const { return log_; }
  // A task has it: its listener is told when none has any more.
  void SetInForce() { in_force_ = true; }

 private:
  ~SeccompFilter() override;

  const SeccompProgram program_;
  RefPtr<SeccompFilter> previous_;
  const bool log_;
  const RefPtr<SeccompListener> listener_;
  bool in_force_ = false;  // set before others can know it
  const int depth_;
  size_t path_length_;  // instructions, and what Linux counts for each filter besides
  SeccompProgram::NumberSet allowed_;
};

class SeccompState {
 public:
  explicit SeccompState(Task& task) : task_(task) {}

  // SECCOMP_MODE_*.
  int mode() const { return mode_.load(std::memory_order_acquire); }
  // Any thread.
  RefPtr<SeccompFilter> GetFilter() const;
  // Task thread only; null without filters.
  const SeccompFilter* filter() const { return current_.load(std::memory_order_acquire); }

  // --- task thread only ---
  // seccomp(2): EINVAL: there are filters.
  Result<void> SetStrict();
  struct InstallOptions {
    uint32_t flags = 0;                // SECCOMP_FILTER_FLAG_TSYNC, _TSYNC_ESRCH and _LOG count here
    RefPtr<SeccompListener> listener;  // of SECCOMP_FILTER_FLAG_NEW_LISTENER
  };
  // Adds a filter, whoever may have been asked already whether this task may. 0, or with TSYNC the id of a
  // thread that could not be brought along (nothing has changed then). EINVAL, EBUSY, ENOMEM, ESRCH.
  Result<pid_t> Install(SeccompProgram program, const InstallOptions& options);
  // What becomes of the call that the registers hold. `after_trace`: a tracer has been asked.
  SyscallDecision Check(bool after_trace = false);

  // A new task gets its maker's; the signal lock of the maker's process is held.
  void InheritLocked(const SeccompState& parent);
  // Before the task runs.
  void Start(RefPtr<SeccompFilter> filter);
  // The task is gone: whoever listens to filters that nobody has any more is told.
  void Release();
  bool no_new_privs() const { return no_new_privs_.load(std::memory_order_relaxed); }

 private:
  Result<pid_t> InstallLocked(const RefPtr<SeccompFilter>& filter, const InstallOptions& options);
  pid_t FindUnrelatedLocked() const;
  void SetFilterLocked(RefPtr<SeccompFilter> filter);
  SyscallDecision Act(SeccompFilter::Verdict verdict, const seccomp_data& data, bool after_trace);
  SyscallDecision CheckStrict(int number);
  SyscallDecision Trap(const seccomp_data& data, int data_value);
  SyscallDecision KillThread(int signal);
  SyscallDecision AskTracer(uint32_t message);

  Task& task_;
  std::atomic<int> mode_{0};
  std::atomic<bool> no_new_privs_{false};  // given by another thread
  std::atomic<const SeccompFilter*> current_{nullptr};
  RefPtr<SeccompFilter> filter_;  // owns what current_ says; guarded by the process's signal lock
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_SECCOMP_STATE_H_
