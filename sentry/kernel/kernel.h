// Kernel: one a sandbox. It owns the tree of tasks and what is global to the guest.
//
// `task_tree_lock()` guards parents, children, thread-group membership, process groups, sessions
// and PID namespaces (Linux: tasklist_lock).
// What it needs of upper layers (the program loader, the system call table, filesystem types)
// is given to it at boot.
#ifndef SENTRY_KERNEL_KERNEL_H_
#define SENTRY_KERNEL_KERNEL_H_

#include <linux/filter.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/platform.h"
#include "sentry/futex/futex.h"
#include "sentry/kernel/host_threads.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/user_counts.h"
#include "sentry/keys/keyrings.h"
#include "sentry/memory/memory_file.h"
#include "sentry/time/guest_clock.h"
#include "sentry/time/timer_queue.h"

namespace runsc {

// Serves one system call of `task`: number in orig_rax, arguments in the registers.
using SyscallDispatcher = Result<int64_t> (*)(Task& task, uint64_t number, const SyscallArguments& arguments);

struct KernelOptions {
  std::unique_ptr<Platform> platform;
  std::unique_ptr<MemoryFile> memory_file;
  SyscallDispatcher dispatcher = nullptr;
  std::string host_name = "runsc";
  std::string domain_name = "(none)";
  unsigned cpu_count = 1;      // what the guest sees
  uint64_t total_memory = 0;   // what /proc/meminfo and sysinfo show, bytes
  uint64_t max_tasks = 32768;  // a fork bomb gets EAGAIN here
};

// Of a process that somebody outside starts.
struct TaskNamespaces {
  TaskNamespaces();
  TaskNamespaces(const TaskNamespaces& other);
  TaskNamespaces& operator=(const TaskNamespaces& other);
  ~TaskNamespaces();

  RefPtr<PidNamespace> pid;
  RefPtr<UtsNamespace> uts;
  RefPtr<IpcNamespace> ipc;
  RefPtr<TimeNamespace> time;
};

// What the first process of the sandbox starts with.
struct InitOptions {
  RefPtr<FDTable> fd_table;
  RefPtr<FsContext> fs;
  RefPtr<const Credentials> creds;
  std::string filename;  // path in the guest
  std::vector<std::string> argv, envp;
  RefPtr<Terminal> terminal;  // becomes its controlling terminal, or null
  SignalSet ignored_signals;  // what it inherits, as over execve(2)
  SignalSet blocked_signals;
  // A process like any other, although it is number 1: signals have their default actions, also stops,
  // as if its parent were a shell outside; orphans are reaped for it, as by the init of that shell's machine.
  bool is_ordinary = false;
  TaskNamespaces namespaces;         // null: the first ones; a PID namespace's first process is its init
  RefPtr<GuestContainer> container;  // null: the first
  // It runs no code before StartHeld: `create` is over, `start` has not come.
  bool is_held = false;
  std::array<ResourceLimit, ResourceLimits::kCount> limits;
  // A seccomp filter (classic BPF over struct seccomp_data, as seccomp(2) takes it; empty: none) that is in
  // force from the program's first instruction, and for all that come of it. Its execve(2) is not asked
  // about. Neither no_new_privs nor a capability is needed. EINVAL: Linux would not take the program.
  // no_new_privs is a matter of `creds`.
  std::vector<sock_filter> seccomp_program;
  uint32_t seccomp_flags = 0;  // SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW (without effect)
};

class Kernel {
 public:
  explicit Kernel(KernelOptions options);
  ~Kernel();

  Platform& platform() { return *platform_; }
  MemoryFile& memory_file() { return *memory_file_; }
  TimerQueue& timers() { return timers_; }
  UserCounts& user_tasks() { return user_tasks_; }    // RLIMIT_NPROC
  UserCounts& user_timers() { return user_timers_; }  // of timer_create(2); RLIMIT_SIGPENDING
  FutexTable& futexes() { return futexes_; }
  Keyrings& keyrings() { return keyrings_; }
  // What clock_gettime(2) tells; give it to ElfLoader::Create at boot.
  GuestClock& clock() { return clock_; }
  SyscallDispatcher dispatcher() const { return dispatcher_; }
  ProgramLoader& loader() { return *loader_; }
  void SetLoader(std::unique_ptr<ProgramLoader> loader) { loader_ = std::move(loader); }
  unsigned cpu_count() const { return cpu_count_; }
  uint64_t total_memory() const { return total_memory_; }
  uint64_t max_tasks() const { return max_tasks_; }
  int64_t boot_time_monotonic() const { return boot_time_monotonic_; }  // CLOCK_MONOTONIC, ns
  const std::string& boot_id() const { return boot_id_; }

  void RegisterFilesystem(std::unique_ptr<FilesystemType> type);
  FilesystemType* FindFilesystem(std::string_view name) const;  // null: ENODEV
  std::vector<const FilesystemType*> Filesystems() const;

  Mutex& task_tree_lock() ABSL_LOCK_RETURNED(task_tree_mu_) { return task_tree_mu_; }
  const RefPtr<IpcNamespace>& root_ipc_namespace() const { return ipc_; }
  RefPtr<IpcNamespace> MakeIpcNamespace(RefPtr<UserNamespace> user_ns);
  const RefPtr<UtsNamespace>& root_uts_namespace() const { return uts_; }
  const RefPtr<TimeNamespace>& root_time_namespace() const { return time_namespace_; }
  // Those of the task that asks; on another thread those of an ActingIn, or the first ones.
  RefPtr<IpcNamespace> current_ipc_namespace() const;
  RefPtr<UtsNamespace> current_uts_namespace() const;
  // While it lives, what a thread that is no task's does is done in these namespaces.
  class ActingIn {
   public:
    explicit ActingIn(const TaskNamespaces& namespaces);
    ~ActingIn();
  };
  const RefPtr<PidNamespace>& root_pid_namespace() const { return root_pid_namespace_; }
  // Makes the first process and starts it. Errors of loading are execve's.
  Result<RefPtr<ThreadGroup>> StartInit(InitOptions options);
  // A further process in the sandbox (runsc exec), a child of nobody: reaped by init.
  Result<RefPtr<ThreadGroup>> StartProcess(InitOptions options);
  // Lets a process go that was made with is_held; once. EAGAIN: the host has no thread for it, and it is
  // killed.
  Result<void> StartHeld(ThreadGroup& group);
  // No task of the container runs guest code until Resume(); those in a system call end it first. SIGKILL is
  // still obeyed. From any thread that is no task's, by one at a time. False: one would not leave guest code
  // in time. Linux counterpart: the cgroup freezer.
  bool Pause(GuestContainer& container);
  void Resume(GuestContainer& container);
  // Returns init's wait status once init is gone and every task with it.
  int WaitForInit();
  // Kills everything (SIGKILL); from any thread.
  void Kill();
  // The sandbox cannot go on: says why in the log, once, and has on_failure end it (without
  // one: kills everything). From any thread, also several times.
  void Fail(std::string_view why);
  // The first process; null before StartInit.
  RefPtr<ThreadGroup> init() const;

  // Opens a descriptor's file for pidfd_open, CLONE_PIDFD; given by the layer above at boot.
  std::function<RefPtr<FileDescription>(RefPtr<ThreadGroup>, int flags)> make_pidfd;

  // An ordinary init was stopped by `signal` (job control); given at boot, called with the task tree lock
  // held.
  std::function<void(int signal)> on_init_stopped;

  // Ends the process with a report; given at boot, called at most once, from any thread.
  std::function<void(std::string_view why)> on_failure;

  size_t task_count() const { return task_count_.load(std::memory_order_relaxed); }
  uint64_t total_forks() const { return total_forks_.load(std::memory_order_relaxed); }

 private:
  friend class Task;
  friend class ThreadGroup;
  friend class PidNamespace;
  friend class ProcessGroup;
  friend class TaskRunner;

  std::unique_ptr<Platform> platform_;
  std::unique_ptr<MemoryFile> memory_file_;
  std::unique_ptr<ProgramLoader> loader_;
  const SyscallDispatcher dispatcher_;
  const unsigned cpu_count_;
  const uint64_t total_memory_;
  const uint64_t max_tasks_;
  const int64_t boot_time_monotonic_;
  const std::string boot_id_;
  GuestClock clock_;
  UserCounts user_tasks_, user_timers_;
  TimerQueue timers_;
  FutexTable futexes_;
  Keyrings keyrings_;
  std::map<std::string, std::unique_ptr<FilesystemType>, std::less<>> filesystems_;  // fixed after boot
  std::atomic<size_t> task_count_{0};
  std::atomic<uint64_t> total_forks_{0};
  std::atomic<bool> failed_{false};
  const RefPtr<GuestContainer> first_container_;
  HostThreads host_threads_;
  WaitQueue barrier_queue_;  // a task has left guest code because it was asked to (membarrier)

  Result<RefPtr<ThreadGroup>> StartFirstTask(InitOptions options, bool is_init);

  mutable Mutex task_tree_mu_{LockRank::kTaskTree};
  RefPtr<PidNamespace> root_pid_namespace_;
  RefPtr<UtsNamespace> uts_;
  RefPtr<IpcNamespace> ipc_;
  const RefPtr<CgroupNamespace> cgroup_;
  const RefPtr<TimeNamespace> time_namespace_;
  RefPtr<ThreadGroup> init_ ABSL_GUARDED_BY(task_tree_mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_KERNEL_H_
