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

#include "absl/container/inlined_vector.h"
#include "platform/platform.h"
#include "sentry/arch/signal_frame.h"
#include "sentry/auth/credentials.h"
#include "sentry/kernel/cgroup_namespace.h"
#include "sentry/kernel/fd_table.h"
#include "sentry/kernel/fs_context.h"
#include "sentry/kernel/pid_namespace.h"
#include "sentry/kernel/program_loader.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/kernel/user_counts.h"
#include "sentry/kernel/uts_namespace.h"
#include "sentry/keys/keyrings.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/time/clock.h"
#include "sentry/time/cycle_clock.h"
#include "sentry/time/time_namespace.h"
#include "sentry/vfs/path_walk.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

struct SyscallArguments {
  uint64_t value[6];
};

class IpcNamespace;
class SeccompState;
class SemaphoreUndo;
class Tracee;
struct NamespaceHandle;
struct WaitRequest;
struct WaitedChild;

struct CloneOptions {
  uint64_t flags = 0;  // CLONE_*, without the exit signal
  int exit_signal = 0;
  uint64_t stack = 0;  // the new stack pointer; 0: the parent's
  uint64_t tls = 0;
  UserPtr<int32_t> parent_tid, child_tid;
  UserPtr<int32_t> pidfd;
  std::vector<pid_t> set_tid;  // clone3(2): the numbers wanted, that of the innermost PID namespace first
};

class Task final : public RefCounted {
 public:
  // The task whose host thread this is. Only on task threads.
  static Task& Current();
  static Task* CurrentOrNull();

  // --- identity ---
  Kernel& kernel() const { return kernel_; }
  ThreadGroup& thread_group() const { return *thread_group_; }
  pid_t tid() const { return tid_.load(std::memory_order_relaxed); }  // in its own PID namespace
  // In the root namespace; never changes but by exec's de-thread.
  pid_t root_tid() const { return root_tid_.load(std::memory_order_relaxed); }
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
  // Publishes changed credentials. A process whose rights have changed cannot be dumped or traced by its
  // equals.
  void CommitCreds(RefPtr<const Credentials> creds);
  // What this task is shown of a kernel's user id. Any thread; holding at most the signal lock.
  Uid VisibleUid(Uid uid) const;
  RefPtr<UtsNamespace> uts() const;
  RefPtr<IpcNamespace> ipc() const;  // null after exit
  RefPtr<CgroupNamespace> cgroup_namespace() const;
  // The bare form is for the task's thread, and never null there.
  const TimeNamespace& time_namespace() const { return *time_namespace_; }
  RefPtr<TimeNamespace> GetTimeNamespace(bool for_children = false) const;
  // What SEM_UNDO keeps, made at first use; task thread only.
  SemaphoreUndo& semaphore_undo();
  RefPtr<SemaphoreUndo> GetSemaphoreUndo() const;  // any thread; null: none was made
  // setns(2): enters all of the namespaces, or none, if the caller may.
  Result<void> EnterNamespaces(std::span<const NamespaceHandle> handles);
  // Those that keys are possessed through; guarded by the lock of Kernel::keyrings().
  TaskKeyrings& keyrings() { return keyrings_; }
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
  // All of them, to be read or changed: by its own thread, or by its tracer while it is stopped.
  Registers& registers() {
    context_->CompleteRegisters(registers_);
    return registers_;
  }
  // Those that a system call came with: rip, rax, orig_rax and the arguments.
  const Registers& call_registers() const { return registers_; }
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
  // Any thread. What a task's thread wakes is woken at its next MakeWakes().
  void Wake();
  // Wakes whom this task has woken since the last time. Before it returns to guest code, sleeps, or ends: by
  // then it holds no lock, so that the woken does not run into one. Task thread only; hold no lock.
  void MakeWakes() {
    if (!wakes_.empty()) MakeAllWakes();
  }
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
  // rt_sigreturn(2): the registers are the frame's; returns their rax.
  int64_t SignalReturn();

  // --- life ---
  Result<pid_t> Clone(const CloneOptions& options);
  // unshare(2).
  Result<void> Unshare(uint64_t flags);
  // execve(2); on success the registers are the new program's.
  Result<void> Execve(LoadRequest request);
  // wait4(2), waitid(2). ECHILD; ERESTARTSYS.
  Result<WaitedChild> Wait(const WaitRequest& request);
  // exit(2): ends this thread when the system call returns.
  void PrepareExit(int wait_status);
  // exit_group(2).
  void PrepareGroupExit(int wait_status);
  CpuUsage GetCpuUsage() const;
  // 'R', 'S', 'T', 'Z', … for /proc.
  char StateLetter() const { return state_letter_.load(std::memory_order_relaxed); }
  // membarrier(2): returns once every other task that is meant has left guest code, or was not in it, since
  // the call.
  enum class BarrierScope : uint8_t { kMemory, kRegistered, kAll };  // kMemory: who shares this memory
  Result<void> MemoryBarrier(BarrierScope scope);

  // --- what comes between guest code and system calls ---
  SeccompState& seccomp() const { return *seccomp_; }  // sentry/kernel/seccomp_state.h
  Tracee& tracee() const { return *tracee_; }          // sentry/kernel/tracee.h
  // What is to be done about each system call before and after it is served; any thread. Whoever changes it
  // or the filters calls UpdateSyscallPolicy().
  static constexpr uint32_t kSeccompWork = 1, kTraceEntryWork = 2, kTraceExitWork = 4, kEmulateWork = 8;
  std::atomic<uint32_t> syscall_work{0};
  // The platform forgets which results it knows, before the task is in guest code the next time.
  void UpdateSyscallPolicy() { syscall_policy_.fetch_add(1, std::memory_order_seq_cst); }
  // prctl(PR_SET_NO_NEW_PRIVS), by itself or (SECCOMP_FILTER_FLAG_TSYNC) by another thread. Any thread.
  bool HasNoNewPrivs() const;

  // Registered by set_tid_address(2), set_robust_list(2); task thread only.
  UserPtr<int32_t> clear_child_tid;
  UserAddr robust_list;  // robust_list_head
  std::atomic<int> parent_death_signal{0};
  std::atomic<uint64_t> cpu_affinity{~uint64_t{0}};
  std::atomic<int> nice{0};
  std::atomic<uint64_t> timer_slack{50000};  // ns
  std::atomic<int> personality{0};
  std::atomic<int> io_priority{0};         // ioprio_set(2); 0: of no class
  std::atomic<int> mce_policy{2};          // prctl(PR_MCE_KILL), PR_MCE_KILL_DEFAULT; kept, without effect
  std::atomic<bool> io_flusher{false};     // prctl(PR_SET_IO_FLUSHER); kept, without effect
  std::atomic<uint32_t> memory_policy{0};  // set_mempolicy(2), as numa_policy.h packs it
  // Who logged in and in which session, for audits: /proc/pid/loginuid, sessionid. UINT32_MAX: nobody.
  std::atomic<uint32_t> login_uid{UINT32_MAX};
  std::atomic<uint32_t> login_session{UINT32_MAX};
  std::atomic<int> current_syscall{-1};  // being served; -1 none
  // CLOCK_MONOTONIC, ns: /proc/pid/stat's starttime.
  int64_t start_time() const { return start_time_; }

 private:
  friend class Kernel;
  friend class ThreadGroup;
  friend class PidNamespace;
  friend class SeccompState;
  friend class TaskRunner;
  friend class Tracee;
  // Told by a vfork child when it has left its parent's memory.
  struct VforkDone;

  Task(Kernel& kernel, RefPtr<ThreadGroup> thread_group);
  ~Task() override;

  // --- sleeping (task_block.cc); bits of wake_word_ ---
  static constexpr uint32_t kWoken = 1, kInterrupted = 2, kSleeping = 4;
  // Waits for any of `bits`, takes them, and returns them; 0 at the deadline.
  uint32_t Sleep(uint32_t bits, Deadline deadline, char state);
  void SetWakeBits(uint32_t bits);
  void MakeAllWakes();

  // --- before guest code (task_signals.cc) ---
  // Deals with everything pending. False: the task is to exit.
  bool DoWork();
  void StopUntilContinued();
  void Deliver(const siginfo_t& info, const SignalAction& action);
  // The one place that decides how an interrupted system call goes on: `action` is the handler that is
  // about to run, null if none is.
  void FinishInterruptedSyscall(const SignalAction* action);
  void ForceSegv(int failed_signal);
  void SetBlockedLocked(SignalSet set);

  // --- namespaces (task_namespaces.cc) ---
  void SetIpc(RefPtr<IpcNamespace> ipc);
  void DropSemaphoreUndo();
  struct NamespaceSet;  // to be entered
  Result<void> PrepareToEnter(const NamespaceHandle& handle, NamespaceSet& set) const;
  Result<void> CheckMayEnter(const Namespace& space, const NamespaceSet& set) const;
  // Credentials in a new user namespace below the own one. EPERM: in a chroot, or for a user without an id;
  // ENOSPC.
  Result<RefPtr<const Credentials>> CredsInNewUserNamespace() const;
  // That of its children too.
  Result<void> EnterTimeNamespace(RefPtr<TimeNamespace> space);

  // --- clone (task_clone.cc) ---
  Result<void> CheckCloneFlags(const CloneOptions& options) const;
  Result<void> CopyResources(Task& child, const CloneOptions& options);
  Result<RefPtr<FsContext>> CopyMountNamespace(RefPtr<UserNamespace> owner) const;
  Result<void> CopyTimeNamespace(Task& child, uint64_t flags) const;
  Result<void> EnterTree(Task& child, const CloneOptions& options);
  bool IsOverProcessLimitLocked() const;

  // --- exec and exit (task_exec.cc, task_exit.cc) ---
  Result<void> KillOtherThreads();
  void BecomeLeader();
  void Exit();
  void ReleaseResources(bool group_dead);
  void WalkRobustList();
  void FinishVfork();
  void LeaveTree(bool group_dead);
  void EnterNamespacesLocked(PidNumbers numbers);
  void ReleaseLocked();  // out of its group and its namespaces
  void SetNumbersLocked(PidNumbers numbers);
  void Abandon();  // it never ran: undoes EnterTree
  int64_t HostCpuTime() const;

  Kernel& kernel_;
  const int64_t start_time_ = MonotonicNow();
  RefPtr<ThreadGroup> thread_group_;
  const std::unique_ptr<Context> context_;
  const std::unique_ptr<SeccompState> seccomp_;
  const std::unique_ptr<Tracee> tracee_;
  std::atomic<uint32_t> syscall_policy_{0};
  Registers registers_{};  // of a system call only what SwitchToCall says, until registers() is called
  RestartBlock restart_block_;
  stack_t signal_stack_{};
  // Task thread only.
  int restart_code_ = 0;  // ERESTART*: the system call is to go on after signals
  int64_t syscall_number_ = -1;
  FaultContext fault_;
  std::vector<std::byte> initial_fp_state_;  // set when the thread starts
  UserPtr<int32_t> set_child_tid_;           // CLONE_CHILD_SETTID
  RefPtr<VforkDone> vfork_done_;
  TaskKeyrings keyrings_;
  RefPtr<PidNamespace> child_pid_namespace_;  // unshare(CLONE_NEWPID)
  int exit_status_ = 0;
  absl::InlinedVector<RefPtr<Task>, 4> wakes_;  // to be made

  // Written by the task thread under state_mu_, read by it without.
  mutable Mutex state_mu_{LockRank::kTaskState};
  RefPtr<MemoryManager> memory_;
  RefPtr<FDTable> fd_table_;
  RefPtr<FsContext> fs_;
  RefPtr<const Credentials> creds_;
  UserCounts::Share
      counted_;  // as one of the user's; written by the task thread, and where it enters and leaves the tree
  RefPtr<UtsNamespace> uts_;
  RefPtr<IpcNamespace> ipc_;
  RefPtr<CgroupNamespace> cgroup_;
  RefPtr<TimeNamespace> time_namespace_, child_time_namespace_;
  RefPtr<SemaphoreUndo> semaphore_undo_;  // shared with CLONE_SYSVSEM
  std::string name_;

  std::atomic<uint32_t> wake_word_{0};
  // Pending work may exist: looked at before each return to guest code. Set with Interrupt(); cleared under
  // the signal lock.
  std::atomic<bool> work_pending_{false};
  std::atomic<bool> in_guest_{false};
  std::atomic<uint64_t> guest_exits_{0};  // how often it has left guest code
  std::atomic<bool> exit_requested_{false};
  std::atomic<char> state_letter_{'R'};

  // CPU accounting.
  std::atomic<clockid_t> host_clock_{-1};     // of its host thread; -1 before and after
  std::atomic<int64_t> host_clock_start_{0};  // what it showed when the task began
  std::atomic<int64_t> host_time_{0};         // ns; when the thread has ended
  CycleStopwatch guest_time_;
  mutable std::atomic<int64_t> told_system_time_{0};  // ns; the most that GetCpuUsage has said
  std::atomic<uint64_t> faults_{0}, sleeps_{0};

  // Guarded by thread_group_->signal_lock().
  SignalQueue pending_;
  std::atomic<uint64_t> blocked_{0};
  std::optional<SignalSet> saved_mask_;  // written by the task thread only
  bool stop_pending_ = false;            // has yet to join a group stop
  bool in_stop_ = false;
  bool stop_dequeued_ = false;  // took a stop signal, and no SIGCONT came since
  bool exiting_ = false;        // takes no more signals

  // Guarded by Kernel::task_tree_lock().
  PidNumbers numbers_;
  bool zombie_ = false;
  std::atomic<pid_t> tid_{0}, root_tid_{0};  // copies of its own and its root number
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
