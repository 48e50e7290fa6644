// Task: a guest thread, and the host thread that runs its part of the kernel.
//
// "Task thread only" state is touched by nobody else. What others read (name, credentials,
// memory manager, fd table, fs context) is published under `state_mu_` and has a Get… form for
// them. Signals are guarded by the thread group's signal lock.
//
// The one place where a task waits is Block(); the one way to get it out of guest code
// or out of Block() is Interrupt(). Stops, exits, exec's de-thread and signals all use it.
// Linux counterpart: struct task_struct.
#ifndef SENTRY_KERNEL_TASK_H_
#define SENTRY_KERNEL_TASK_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "platform/platform.h"
#include "sentry/auth/credentials.h"
#include "sentry/kernel/fd_table.h"
#include "sentry/kernel/fs_context.h"
#include "sentry/kernel/pid_namespace.h"
#include "sentry/kernel/program_loader.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/kernel/uts_namespace.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/time/clock.h"
#include "sentry/vfs/path_walk.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

struct SyscallArguments {
  uint64_t value[6];
};

struct CloneOptions {
  uint64_t flags = 0;  // CLONE_*, without the exit signal
  int exit_signal = 0;
  uint64_t stack = 0;  // the new stack pointer; 0: the parent's
  uint64_t tls = 0;
  UserPtr<int32_t> parent_tid, child_tid;
  UserPtr<int32_t> pidfd;
};

class Task final : public RefCounted {
 public:
  // The task whose host thread this is. Only on task threads.
  static Task& Current();
  static Task* CurrentOrNull();

  // --- identity ---
  Kernel& kernel() const { return kernel_; }
  ThreadGroup& thread_group() const { return *thread_group_; }
  pid_t tid() const;       // in its own PID namespace
  pid_t root_tid() const;  // in the root namespace; never changes but by exec's de-thread
  PidNamespace& pid_namespace() const { return thread_group_->pid_namespace(); }
  std::string name() const;  // comm
  void SetName(std::string_view name);

  // --- resources. Bare form: task thread only. Get form: any thread, null after exit. ---
  MemoryManager& memory() const { return *memory_; }
  RefPtr<MemoryManager> GetMemory() const;
  FDTable& fd_table() const { return *fd_table_; }
  RefPtr<FDTable> GetFDTable() const;
  FsContext& fs() const { return *fs_; }
  RefPtr<FsContext> GetFs() const;
  const Credentials& creds() const { return *creds_; }
  RefPtr<const Credentials> GetCreds() const;
  void SetCreds(RefPtr<const Credentials> creds);  // task thread only
  RefPtr<UtsNamespace> uts() const;
  void SetFDTable(RefPtr<FDTable> table);  // unshare, close_range(CLOSE_RANGE_UNSHARE), exec
  void SetFs(RefPtr<FsContext> fs);
  uint64_t Limit(int resource) const { return thread_group_->Limit(resource); }
  MemoryLimits memory_limits() const;

  // An open file; EBADF, also for O_PATH descriptors.
  Result<RefPtr<FileDescription>> GetFile(int fd) const;
  // O_PATH descriptors too.
  Result<RefPtr<FileDescription>> GetFileOrPath(int fd) const;
  // A new descriptor for an open file, subject to RLIMIT_NOFILE.
  Result<int> AddFile(RefPtr<FileDescription> file, bool close_on_exec, int minimum = 0);

  // --- paths ---
  PathContext path_context() const;
  // Where a path argument starts: AT_FDCWD or a directory's descriptor. EBADF, ENOTDIR are left to the walk.
  Result<VfsPath> StartOf(int dirfd) const;
  // ENAMETOOLONG, EFAULT.
  Result<std::string> ReadPath(UserPath path);

  // --- guest state; task thread only ---
  Registers& registers() { return registers_; }
  Context& context() { return *context_; }
  SyscallArguments syscall_arguments() const;

  // --- blocking; task thread only ---
  // Waits until Wake(), the deadline (ETIMEDOUT), or an interruption (ERESTARTSYS: a signal, a stop
  // or an exit is to be dealt with; the system call is to give up). A Wake() since the last Block()
  // makes it return at once. Hold no lock.
  Result<void> Block(Deadline deadline);
  Result<void> Block() { return Block(Deadline::Never()); }
  // The same, but only SIGKILL and exits interrupt it (vfork, coredump).
  Result<void> BlockKillable();
  void Wake();  // any thread
  // Whether a system call should give up now: an unblocked signal, a stop, an exit.
  bool HasPendingWork() const;
  // Makes the task leave guest code or Block() and look for work. Any thread.
  void Interrupt();
  // What restart_syscall(2) will call, after ERESTART_RESTARTBLOCK.
  using RestartBlock = std::function<Result<int64_t>(Task&)>;
  void SetRestartBlock(RestartBlock block) { restart_block_ = std::move(block); }
  RestartBlock TakeRestartBlock() { return std::exchange(restart_block_, nullptr); }

  // --- signals ---
  SignalSet blocked() const;       // signal mask
  void SetBlocked(SignalSet set);  // task thread only
  // The mask in force until the next signal is delivered or the call returns (sigsuspend, ppoll, pselect,
  // epoll_pwait): the old mask comes back by itself.
  void SetTemporaryMask(SignalSet set);
  // To this thread (tgkill(2), synchronous faults). EAGAIN as in sigqueue(3).
  Result<void> SendSignal(const siginfo_t& info);
  // A fault of its own code: not blockable, kills if blocked or ignored.
  void ForceSignal(const siginfo_t& info);
  SignalSet PendingSignals() const;  // the thread's and the process's
  // sigtimedwait(2), signalfd: takes a pending signal of `set`.
  std::optional<siginfo_t> TakeSignal(SignalSet set);
  stack_t& signal_stack() { return signal_stack_; }

  // --- life ---
  Result<pid_t> Clone(const CloneOptions& options);
  // execve(2); on success the registers are the new program's.
  Result<void> Execve(LoadRequest request);
  // exit(2): ends this thread when the system call returns.
  void PrepareExit(int wait_status);
  // exit_group(2).
  void PrepareGroupExit(int wait_status);
  CpuUsage GetCpuUsage() const;
  // 'R', 'S', 'T', 'Z', … for /proc.
  char StateLetter() const;

  // Registered by set_tid_address(2), set_robust_list(2); task thread only.
  UserPtr<int32_t> clear_child_tid;
  UserAddr robust_list;
  std::atomic<int> parent_death_signal{0};
  std::atomic<uint64_t> cpu_affinity{~uint64_t{0}};
  std::atomic<int> nice{0};
  std::atomic<uint64_t> timer_slack{50000};  // ns
  std::atomic<int> personality{0};
  std::atomic<int> current_syscall{-1};  // being served; -1 none
  // CLOCK_MONOTONIC, ns: /proc/pid/stat's starttime.
  int64_t start_time() const { return start_time_; }

 private:
  friend class Kernel;
  friend class ThreadGroup;
  friend class PidNamespace;
  friend class TaskRunner;
  Task(Kernel& kernel, RefPtr<ThreadGroup> thread_group);
  ~Task() override;

  Kernel& kernel_;
  const int64_t start_time_ = MonotonicNow();
  RefPtr<ThreadGroup> thread_group_;
  std::unique_ptr<Context> context_;
  Registers registers_{};
  RestartBlock restart_block_;
  stack_t signal_stack_{};

  // Written by the task thread under state_mu_, read by it without.
  mutable Mutex state_mu_{LockRank::kTaskState};
  RefPtr<MemoryManager> memory_;
  RefPtr<FDTable> fd_table_;
  RefPtr<FsContext> fs_;
  RefPtr<const Credentials> creds_;
  RefPtr<UtsNamespace> uts_;
  std::string name_;

  // Futex word of Block(): bit 0 woken, bit 1 interrupted.
  std::atomic<uint32_t> wake_word_{0};
  std::atomic<bool> exit_requested_{false};
  std::atomic<char> state_letter_{'R'};

  // Guarded by thread_group_->signal_lock().
  SignalQueue pending_;
  std::atomic<uint64_t> blocked_{0};
  std::optional<SignalSet> saved_mask_;

  // Guarded by Kernel::task_tree_lock(): ids by namespace level.
  std::vector<pid_t> ids_;
};

// A Waiter that wakes a task: register it, try, Block(), try again.
class TaskWaiter final : public Waiter {
 public:
  explicit TaskWaiter(Task& task) : task_(task) {}
  bool Notify(EventMask) override {
    task_.Wake();
    return true;
  }

 private:
  Task& task_;
};

// Registers for the scope's life.
class ScopedWait {
 public:
  ScopedWait(Task& task, WaitQueue& queue, EventMask mask, bool exclusive = false)
      : waiter_(task), queue_(queue) {
    queue_.Add(waiter_, mask, exclusive);
  }
  ~ScopedWait() { queue_.Remove(waiter_); }

 private:
  TaskWaiter waiter_;
  WaitQueue& queue_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TASK_H_
