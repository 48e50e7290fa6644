// clone(2), fork(2), vfork(2), unshare(2).
#include <sched.h>

#include <algorithm>
#include <climits>

#include "sentry/ipc/ipc_namespace.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespace_handle.h"
#include "sentry/kernel/posix_timers.h"
#include "sentry/kernel/scheduling.h"
#include "sentry/kernel/seccomp_state.h"
#include "sentry/kernel/task_runner.h"
#include "sentry/kernel/tracee.h"
#include "sentry/kernel/vfork_done.h"
#include "sentry/memory/live_limits.h"

namespace runsc {
namespace {

constexpr uint64_t kCloneClearSighand = 0x100000000;
constexpr uint64_t kPrivilegedNamespaces =
    CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWTIME;

// Which namespaces may be made. A user namespace that is made along gives the capability for the others.
// Those that are missing look as in a kernel built without them.
Result<void> CheckNamespaces(uint64_t flags, const Credentials& creds) {
  const bool may_make = (flags & CLONE_NEWUSER) != 0 || creds.HasOwnCapability(CAP_SYS_ADMIN);
  if ((flags & kPrivilegedNamespaces) != 0 && !may_make) return Errno(EPERM);
  if ((flags & CLONE_NEWNET) != 0) return Errno(EINVAL);
  return Ok();
}

// Linux: alloc_pid(). In each namespace that a number is chosen in.
Result<void> CheckMayChooseId(const Credentials& creds, const PidNamespace& innermost, size_t count) {
  const PidNamespace* space = &innermost;
  for (; count != 0 && space != nullptr; --count, space = space->parent().get()) {
    const UserNamespace& owner = *space->user_ns();
    if (!creds.HasCapabilityIn(owner, CAP_CHECKPOINT_RESTORE) && !creds.HasCapabilityIn(owner, CAP_SYS_ADMIN))
      return Errno(EPERM);
  }
  return Ok();
}

// Linux: sched_fork().
void InheritScheduling(const Task& parent, Task& child) {
  Scheduling scheduling = GetScheduling(parent);
  int nice = parent.nice.load();
  if (scheduling.reset_on_fork) {
    if (scheduling.priority != 0 || scheduling.policy == SCHED_DEADLINE) {
      scheduling = {};
      nice = 0;
    }
    nice = std::max(nice, 0);
    scheduling.reset_on_fork = false;
  }
  SetScheduling(child, scheduling);
  child.nice.store(nice);
}

}  // namespace

Result<void> Task::CheckCloneFlags(const CloneOptions& options) const {
  uint64_t flags = options.flags;
  auto has = [flags](uint64_t wanted) { return (flags & wanted) == wanted; };
  if (has(CLONE_NEWNS | CLONE_FS) || has(CLONE_NEWUSER | CLONE_FS)) return Errno(EINVAL);
  if (has(CLONE_THREAD) && !has(CLONE_SIGHAND)) return Errno(EINVAL);
  if (has(CLONE_SIGHAND) && !has(CLONE_VM)) return Errno(EINVAL);
  if (has(CLONE_SIGHAND | kCloneClearSighand)) return Errno(EINVAL);
  if (has(CLONE_PARENT) && thread_group_->IsInit()) return Errno(EINVAL);
  if (has(CLONE_THREAD) && ((flags & (CLONE_NEWUSER | CLONE_NEWPID)) != 0 || child_pid_namespace_))
    return Errno(EINVAL);
  if (has(CLONE_NEWIPC | CLONE_SYSVSEM)) return Errno(EINVAL);
  if (has(CLONE_PIDFD) && (flags & (CLONE_DETACHED | CLONE_THREAD)) != 0) return Errno(EINVAL);
  RETURN_IF_ERROR(CheckNamespaces(flags, creds()));
  // What one task was promised is not for two.
  const Scheduling own = GetScheduling(*this);
  if (own.policy == SCHED_DEADLINE && !own.reset_on_fork) return Errno(EAGAIN);
  return Ok();
}

Result<RefPtr<FsContext>> Task::CopyMountNamespace(RefPtr<UserNamespace> owner) const {
  FsContext::View view = fs_->Get();
  absl::flat_hash_map<const Mount*, RefPtr<Mount>> translate;
  ASSIGN_OR_RETURN(RefPtr<MountNamespace> mounts, view.mounts->Clone(std::move(owner), &translate));
  for (VfsPath* path : {&view.root, &view.cwd}) {
    auto found = translate.find(path->mount.get());
    if (found != translate.end()) path->mount = found->second;
  }
  return MakeRef<FsContext>(std::move(mounts), std::move(view.root), std::move(view.cwd), view.umask);
}

// Linux: timens_on_fork(). With memory in common the child stays where its parent is, until it calls
// execve(2).
Result<void> Task::CopyTimeNamespace(Task& child, uint64_t flags) const {
  child.time_namespace_ = time_namespace_;
  child.child_time_namespace_ = child_time_namespace_;
  if ((flags & CLONE_NEWTIME) != 0)
    child.child_time_namespace_ =
        MakeRef<TimeNamespace>(child.creds_->user_ns, child_time_namespace_->offsets());
  if ((flags & CLONE_VM) != 0 || child.child_time_namespace_ == time_namespace_) return Ok();
  child.time_namespace_ = child.child_time_namespace_;
  child.time_namespace_->Freeze();
  const TimeOffsets offsets = child.time_namespace_->offsets();
  if (offsets == time_namespace_->offsets()) return Ok();
  return kernel_.loader().SetTimeOffsets(*child.memory_, offsets);
}

Result<void> Task::CopyResources(Task& child, const CloneOptions& options) {
  uint64_t flags = options.flags;
  const RefPtr<UserNamespace>& owner = child.creds_->user_ns;
  if ((flags & CLONE_VM) != 0) {
    child.memory_ = memory_;
  } else {
    ASSIGN_OR_RETURN(child.memory_, memory_->Fork());
  }
  child.fd_table_ = (flags & CLONE_FILES) != 0 ? fd_table_ : fd_table_->Fork();
  if ((flags & CLONE_FS) != 0) {
    child.fs_ = fs_;
  } else if ((flags & CLONE_NEWNS) != 0) {
    ASSIGN_OR_RETURN(child.fs_, CopyMountNamespace(owner));
  } else {
    child.fs_ = fs_->Fork();
  }
  child.uts_ = (flags & CLONE_NEWUTS) != 0 ? uts_->Clone(owner) : uts_;
  child.ipc_ = (flags & CLONE_NEWIPC) != 0 ? kernel_.MakeIpcNamespace(owner) : ipc_;
  child.cgroup_ = (flags & CLONE_NEWCGROUP) != 0 ? MakeRef<CgroupNamespace>(owner) : cgroup_;
  RETURN_IF_ERROR(CopyTimeNamespace(child, flags));
  if ((flags & CLONE_SYSVSEM) != 0) child.semaphore_undo_ = RefPtr<SemaphoreUndo>(&semaphore_undo());
  RETURN_IF_ERROR(
      kernel_.keyrings().Inherit({*creds_, keyrings_}, child.keyrings_, (flags & CLONE_THREAD) != 0));
  child.name_ = name();

  child.registers_ = registers();
  child.registers_.rax = 0;
  child.registers_.orig_rax = ~uint64_t{0};
  if (options.stack != 0) child.registers_.rsp = options.stack;
  if ((flags & CLONE_SETTLS) != 0) child.registers_.fs_base = options.tls;
  child.initial_fp_state_.resize(kernel_.platform().fp_state_size());
  RETURN_IF_ERROR(context_->GetFpState(child.initial_fp_state_));
  // A new thread in the same memory cannot share the signal stack; a vfork child runs alone.
  if ((flags & (CLONE_VM | CLONE_VFORK)) != CLONE_VM) child.signal_stack_ = signal_stack_;
  child.blocked_.store(blocked_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  child.cpu_affinity.store(cpu_affinity.load());
  InheritScheduling(*this, child);
  child.timer_slack.store(timer_slack.load());
  child.personality.store(personality.load());
  child.io_priority.store(io_priority.load());
  child.mce_policy.store(mce_policy.load());
  child.io_flusher.store(io_flusher.load());
  child.memory_policy.store(memory_policy.load());
  child.login_uid.store(login_uid.load());
  child.login_session.store(login_session.load());
  if ((flags & CLONE_CHILD_SETTID) != 0) child.set_child_tid_ = options.child_tid;
  if ((flags & CLONE_CHILD_CLEARTID) != 0) child.clear_child_tid = options.child_tid;
  return Ok();
}

bool Task::IsOverProcessLimitLocked() const {
  const Credentials& creds = *creds_;
  uint64_t limit = Limit(RLIMIT_NPROC);
  if (limit == RLIM_INFINITY || creds.ruid == 0 || creds.HasCapability(CAP_SYS_RESOURCE) ||
      creds.HasCapability(CAP_SYS_ADMIN))
    return false;
  return kernel_.user_tasks().Of(creds.ruid) >= limit;
}

void Task::SetNumbersLocked(PidNumbers numbers) {
  tid_.store(numbers.own(), std::memory_order_relaxed);
  root_tid_.store(numbers.root(), std::memory_order_relaxed);
  numbers_ = std::move(numbers);
}

void Task::EnterNamespacesLocked(PidNumbers numbers) {
  for (PidNamespace* space = numbers.space.get(); space != nullptr; space = space->parent().get())
    space->tasks_[numbers.ids[space->level()]] = this;
  SetNumbersLocked(std::move(numbers));
  counted_ = kernel_.user_tasks().Add(creds_->ruid);
  kernel_.task_count_.fetch_add(1, std::memory_order_relaxed);
}

Result<void> Task::EnterTree(Task& child, const CloneOptions& options) {
  ThreadGroup& group = *thread_group_;
  ThreadGroup& child_group = *child.thread_group_;
  bool is_thread = &child_group == &group;
  const bool is_traced =
      (options.flags & CLONE_PTRACE) != 0 || tracee_->CloneEvent(options.flags, options.exit_signal) != 0;
  MutexLock tree(kernel_.task_tree_mu_);
  const uint64_t most = std::min(kernel_.max_tasks(), live_limits.tasks.load(std::memory_order_relaxed));
  if (kernel_.task_count() >= most || IsOverProcessLimitLocked()) return Errno(EAGAIN);
  {
    MutexLock lock(group.signal_mu_);
    // A signal that came while we forked goes to the parent alone, before there is a child.
    if (group.HasWorkLocked(*this)) return Errno(ERESTARTNOINTR);
    RETURN_IF_ERROR(CheckMayChooseId(*creds_, *child_group.pid_namespace_, options.set_tid.size()));
    ASSIGN_OR_RETURN(PidNumbers numbers, child_group.pid_namespace_->AllocateLocked(options.set_tid));
    child.EnterNamespacesLocked(std::move(numbers));
    child.seccomp_->InheritLocked(*seccomp_);
    if (is_thread && is_traced) child.tracee_->InheritLocked(*tracee_);
    if (is_thread) {
      group.tasks_.emplace_back(&child);
      ++group.live_;
    }
  }
  kernel_.total_forks_.fetch_add(1, std::memory_order_relaxed);
  if (is_thread) return Ok();

  // Nobody else can reach the new process before the tree lock is released.
  child_group.signal_mu_.AssertHeld();
  child_group.numbers_ = child.numbers_;
  child_group.leader_ = &child;
  child_group.tasks_.emplace_back(&child);
  child_group.live_ = 1;
  PidNamespace& space = *child_group.pid_namespace_;
  if (child.numbers_.own() == 1) space.init_ = &child_group;
  ThreadGroup* parent = (options.flags & CLONE_PARENT) != 0 ? group.parent_ : &group;
  child_group.parent_ = parent;
  if (parent != nullptr) parent->children_.emplace_back(&child_group);
  child_group.JoinProcessGroupLocked(group.process_group_);
  if (is_traced) child.tracee_->InheritLocked(*tracee_);
  return Ok();
}

void Task::Abandon() {
  std::vector<RefPtr<ThreadGroup>> released;
  std::vector<RefPtr<Task>> released_tasks;
  {
    MutexLock tree(kernel_.task_tree_mu_);
    bool is_thread = thread_group_->leader_ != this;
    tracee_->UnlinkLocked(released_tasks);
    {
      MutexLock lock(thread_group_->signal_mu_);
      exiting_ = true;
      --thread_group_->live_;
    }
    if (is_thread) {
      ReleaseLocked();
    } else {
      thread_group_->zombie_.store(true);
      thread_group_->ReapLocked(released);
    }
  }
  FinishVfork();
  ReleaseResources(false);
}

Result<pid_t> Task::Clone(const CloneOptions& options) {
  uint64_t flags = options.flags;
  RETURN_IF_ERROR(CheckCloneFlags(options));
  bool is_thread = (flags & CLONE_THREAD) != 0;

  RefPtr<ThreadGroup> group = thread_group_;
  RefPtr<const Credentials> child_creds = creds_;
  if ((flags & CLONE_NEWUSER) != 0) {
    ASSIGN_OR_RETURN(child_creds, CredsInNewUserNamespace());
  }
  if (!is_thread) {
    RefPtr<PidNamespace> space(&pid_namespace());
    if (child_pid_namespace_) space = child_pid_namespace_;
    if ((flags & CLONE_NEWPID) != 0) {
      ASSIGN_OR_RETURN(space, PidNamespace::Make(std::move(space), child_creds->user_ns));
    }
    RefPtr<SignalHandlers> handlers = group->handlers();
    if ((flags & CLONE_SIGHAND) == 0) {
      handlers = handlers->Copy();
      if ((flags & kCloneClearSighand) != 0) handlers->ResetForExec();
    }
    int exit_signal = (flags & CLONE_PARENT) != 0 ? group->exit_signal() : options.exit_signal;
    group = MakeRef<ThreadGroup>(kernel_, std::move(space), std::move(handlers), exit_signal);
    group->container_ = thread_group_->container_;
    group->limits_.SetAll(thread_group_->limits_.GetAll());
    group->oom_score_adj.store(thread_group_->oom_score_adj.load());
    group->membarrier_registered.store(thread_group_->membarrier_registered.load());
  }
  auto child = RefPtr<Task>::Adopt(new Task(kernel_, group));
  child->creds_ = std::move(child_creds);
  RETURN_IF_ERROR(CopyResources(*child, options));

  int pidfd = -1;
  if ((flags & CLONE_PIDFD) != 0) {
    ASSIGN_OR_RETURN(pidfd, fd_table_->Reserve(0, Limit(RLIMIT_NOFILE)));
    if (auto written = memory_->Write(options.pidfd, int32_t{pidfd}); !written.ok()) {
      fd_table_->Cancel(pidfd);
      return written.error();
    }
  }
  RefPtr<VforkDone> vfork_done;
  if ((flags & CLONE_VFORK) != 0) child->vfork_done_ = vfork_done = MakeRef<VforkDone>(*this);

  Result<void> entered = EnterTree(*child, options);
  if (!entered.ok()) {
    if (pidfd >= 0) fd_table_->Cancel(pidfd);
    return entered.error();
  }
  if (!is_thread && Limit(RLIMIT_CPU) != RLIM_INFINITY) group->posix_timers().UpdateCpuLimit();
  pid_t pid = pid_namespace().IdOf(*child);
  if (pidfd >= 0) {
    RefPtr<FileDescription> file;
    if (kernel_.make_pidfd) file = kernel_.make_pidfd(group, 0);
    if (file) {
      fd_table_->Install(pidfd, std::move(file), true);
    } else {
      fd_table_->Cancel(pidfd);
    }
  }
  if ((flags & CLONE_PARENT_SETTID) != 0) (void)memory_->Write(options.parent_tid, int32_t{pid});
  if (auto started = TaskRunner::Start(child); !started.ok()) {
    child->Abandon();
    return started.error();
  }
  if (const int event = tracee_->CloneEvent(flags, options.exit_signal); event != 0)
    tracee_->Event(event, static_cast<uint64_t>(tracee_->IdForTracer(*child)));
  if (vfork_done) {
    while (!vfork_done->done.load(std::memory_order_acquire)) {
      if (!BlockKillable().ok()) break;  // the child goes on with the memory for itself
    }
    tracee_->Event(PTRACE_EVENT_VFORK_DONE, static_cast<uint64_t>(tracee_->IdForTracer(*child)));
  }
  return pid;
}

Result<void> Task::Unshare(uint64_t flags) {
  constexpr uint64_t kKnown = CLONE_THREAD | CLONE_FS | CLONE_NEWNS | CLONE_SIGHAND | CLONE_VM | CLONE_FILES |
                              CLONE_SYSVSEM | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUSER |
                              CLONE_NEWPID | CLONE_NEWCGROUP | CLONE_NEWTIME;
  if ((flags & ~kKnown) != 0) return Errno(EINVAL);
  if ((flags & CLONE_NEWUSER) != 0) flags |= CLONE_THREAD | CLONE_FS;
  if ((flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)) != 0 && thread_group_->task_count() > 1)
    return Errno(EINVAL);
  if ((flags & CLONE_VM) != 0 && memory_->ref_count() > 1) return Errno(EINVAL);
  RETURN_IF_ERROR(CheckNamespaces(flags, creds()));
  // What may fail comes first.
  RefPtr<const Credentials> new_creds = creds_;
  if ((flags & CLONE_NEWUSER) != 0) {
    ASSIGN_OR_RETURN(new_creds, CredsInNewUserNamespace());
  }
  const RefPtr<UserNamespace>& owner = new_creds->user_ns;
  RefPtr<FsContext> fs;
  if ((flags & CLONE_NEWNS) != 0) {
    ASSIGN_OR_RETURN(fs, CopyMountNamespace(owner));
  } else if ((flags & CLONE_FS) != 0) {
    fs = fs_->Fork();
  }
  if ((flags & CLONE_NEWPID) != 0) {
    if (child_pid_namespace_) return Errno(EINVAL);
    ASSIGN_OR_RETURN(child_pid_namespace_, PidNamespace::Make(RefPtr<PidNamespace>(&pid_namespace()), owner));
  }
  if (fs) SetFs(std::move(fs));
  if ((flags & CLONE_FILES) != 0) SetFDTable(fd_table_->Fork());
  if ((flags & CLONE_NEWIPC) != 0) SetIpc(kernel_.MakeIpcNamespace(owner));
  if ((flags & CLONE_SYSVSEM) != 0) DropSemaphoreUndo();
  if ((flags & CLONE_NEWUTS) != 0) {
    RefPtr<UtsNamespace> uts = uts_->Clone(owner);
    MutexLock lock(state_mu_);
    std::swap(uts_, uts);
  }
  if ((flags & CLONE_NEWCGROUP) != 0) {
    auto cgroup = MakeRef<CgroupNamespace>(owner);
    MutexLock lock(state_mu_);
    std::swap(cgroup_, cgroup);
  }
  if ((flags & CLONE_NEWTIME) != 0) {
    auto time = MakeRef<TimeNamespace>(owner, child_time_namespace_->offsets());
    MutexLock lock(state_mu_);
    std::swap(child_time_namespace_, time);
  }
  if ((flags & CLONE_NEWUSER) != 0) CommitCreds(std::move(new_creds));
  return Ok();
}

}  // namespace runsc
