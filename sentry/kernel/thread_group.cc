#include "sentry/kernel/thread_group.h"

#include <algorithm>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timers.h"
#include "sentry/kernel/tracee.h"

namespace runsc {
namespace {

void Add(CpuUsage& to, const CpuUsage& usage) {
  to.user += usage.user;
  to.system += usage.system;
  to.minor_faults += usage.minor_faults;
  to.voluntary_switches += usage.voluntary_switches;
  to.peak_resident = std::max(to.peak_resident, usage.peak_resident);
}

}  // namespace

ThreadGroup::ThreadGroup(Kernel& kernel, RefPtr<PidNamespace> pid_namespace, RefPtr<SignalHandlers> handlers,
                         int exit_signal)
    : kernel_(kernel),
      pid_namespace_(std::move(pid_namespace)),
      posix_timers_(std::make_unique<PosixTimers>(*this)),
      exit_signal_(exit_signal),
      handlers_(std::move(handlers)) {}

ThreadGroup::~ThreadGroup() { CHECK(tasks_.empty() && children_.empty()); }

pid_t ThreadGroup::pid() const { return numbers_.own(); }
pid_t ThreadGroup::root_pid() const { return numbers_.root(); }
bool ThreadGroup::IsInit() const { return numbers_.own() == 1; }

RefPtr<Task> ThreadGroup::leader() const {
  MutexLock lock(signal_mu_);
  return RefPtr<Task>(leader_);
}

std::vector<RefPtr<Task>> ThreadGroup::Tasks() const {
  MutexLock lock(signal_mu_);
  return tasks_;
}

size_t ThreadGroup::task_count() const {
  MutexLock lock(signal_mu_);
  return tasks_.size();
}

RefPtr<ThreadGroup> ThreadGroup::parent() const {
  MutexLock lock(kernel_.task_tree_mu_);
  return RefPtr<ThreadGroup>(parent_);
}

std::vector<RefPtr<ThreadGroup>> ThreadGroup::Children() const {
  MutexLock lock(kernel_.task_tree_mu_);
  return {children_.begin(), children_.end()};
}

RefPtr<ProcessGroup> ThreadGroup::process_group() const {
  MutexLock lock(kernel_.task_tree_mu_);
  return process_group_;
}

RefPtr<Session> ThreadGroup::session() const {
  MutexLock lock(kernel_.task_tree_mu_);
  return process_group_ ? process_group_->session() : RefPtr<Session>();
}

RefPtr<SignalHandlers> ThreadGroup::handlers() const {
  MutexLock lock(signal_mu_);
  return handlers_;
}

CpuUsage ThreadGroup::UsageLocked() const {
  CpuUsage usage = dead_usage_;
  for (const auto& task : tasks_) Add(usage, task->GetCpuUsage());
  return usage;
}

// Each living thread is asked of the host: not under a lock that others wait for.
CpuUsage ThreadGroup::GetCpuUsage() const {
  MutexLock lock(signal_mu_);
  return UsageLocked();
}

CpuUsage ThreadGroup::GetChildrenCpuUsage() const {
  MutexLock lock(kernel_.task_tree_mu_);
  return children_usage_;
}

void ThreadGroup::JoinProcessGroupLocked(RefPtr<ProcessGroup> group) {
  if (process_group_ == group) return;
  group->AddMemberLocked(*this);
  if (process_group_) process_group_->RemoveMemberLocked(*this);
  process_group_ = std::move(group);
}

Result<pid_t> ThreadGroup::CreateSession() {
  RefPtr<ProcessGroup> old;  // may be the last reference; dropped without the lock
  MutexLock lock(kernel_.task_tree_mu_);
  if (process_group_->numbers().ids == numbers_.ids) return Errno(EPERM);
  if (numbers_.space->FindProcessGroupLocked(numbers_.own()) != nullptr) return Errno(EPERM);
  old = process_group_;
  auto session = MakeRef<Session>(kernel_, this, numbers_);
  JoinProcessGroupLocked(MakeRef<ProcessGroup>(kernel_, session, numbers_));
  return pid();
}

Result<void> ThreadGroup::SetProcessGroup(pid_t pid, pid_t pgid) {
  RefPtr<ProcessGroup> old;
  if (pgid < 0) return Errno(EINVAL);
  MutexLock lock(kernel_.task_tree_mu_);
  ThreadGroup* target = pid == 0 ? this : pid_namespace_->FindThreadGroupLocked(pid);
  if (target == nullptr) return Errno(ESRCH);
  const RefPtr<Session>& session = process_group_->session();
  if (target != this) {
    if (target->parent_ != this) return Errno(ESRCH);
    if (target->process_group_->session() != session) return Errno(EPERM);
    if (target->has_execed.load()) return Errno(EACCES);
  }
  if (target->process_group_->session()->leader() == target) return Errno(EPERM);
  pid_t target_pid = target->numbers_.In(*pid_namespace_);
  if (pgid == 0) pgid = target_pid;
  RefPtr<ProcessGroup> group(pid_namespace_->FindProcessGroupLocked(pgid));
  if (pgid == target_pid && !group) group = MakeRef<ProcessGroup>(kernel_, session, target->numbers_);
  if (!group || group->session() != session) return Errno(EPERM);
  old = target->process_group_;
  target->JoinProcessGroupLocked(std::move(group));
  return Ok();
}

Uid ThreadGroup::VisibleUid(Uid uid) const {
  RefPtr<Task> task = leader();
  return task ? task->VisibleUid(uid) : uid;
}

siginfo_t ThreadGroup::ChildSignalLocked(const ThreadGroup& parent, int code, int status) const {
  siginfo_t info = MakeSignalInfo(SIGCHLD, code);
  info.si_pid = numbers_.In(*parent.pid_namespace_);
  RefPtr<const Credentials> creds = leader_->GetCreds();
  info.si_uid = creds && parent.leader_ != nullptr ? parent.leader_->VisibleUid(creds->ruid) : 0;
  info.si_status = status;
  CpuUsage usage = UsageLocked();
  constexpr int64_t kNanosecondsPerTick = 10'000'000;  // USER_HZ is 100
  info.si_utime = usage.user / kNanosecondsPerTick;
  info.si_stime = usage.system / kNanosecondsPerTick;
  return info;
}

void ThreadGroup::NotifyParentLocked(int code) {
  ThreadGroup* parent = parent_;
  if (leader_ == nullptr) return;
  int status = SIGCONT;
  if (code == CLD_STOPPED) {
    MutexLock lock(signal_mu_);
    status = stop_signal_;
  }
  if (is_ordinary_init_ && code == CLD_STOPPED && kernel_.on_init_stopped) kernel_.on_init_stopped(status);
  if (parent == nullptr || is_adopted_) return;
  siginfo_t info = ChildSignalLocked(*parent, code, status);
  {
    MutexLock lock(parent->signal_mu_);
    SignalAction action = parent->handlers_->Get(SIGCHLD);
    if (!action.IsIgnored() && (action.flags & SA_NOCLDSTOP) == 0)
      (void)parent->SendLocked(info, nullptr, false);
  }
  parent->child_queue_.Notify(EPOLLIN);
}

void ThreadGroup::AllTasksGoneLocked(std::vector<RefPtr<ThreadGroup>>& released) {
  Tracee& leader = *leader_->tracee_;
  if (!leader.IsTracedLocked() || (parent_ != nullptr && leader.IsTracedByGroupLocked(*parent_)))
    return BecomeZombieLocked(released);
  zombie_.store(true, std::memory_order_release);
  exit_queue_.Notify(EPOLLIN | EPOLLRDNORM);
  leader.NotifyExitLocked();
}

void ThreadGroup::BecomeZombieLocked(std::vector<RefPtr<ThreadGroup>>& released) {
  zombie_.store(true, std::memory_order_release);
  exit_queue_.Notify(EPOLLIN | EPOLLRDNORM);
  ThreadGroup* parent = parent_;
  if (parent == nullptr || is_adopted_) return ReapLocked(released);
  int status = exit_status();
  int signal = exit_signal();
  bool killed = (status & 0x7f) != 0;
  bool vanish = false;
  if (signal != 0) {
    siginfo_t info = ChildSignalLocked(*parent, killed ? CLD_KILLED : CLD_EXITED,
                                       killed ? status & 0x7f : status >> 8 & 0xff);
    info.si_signo = signal;
    MutexLock lock(parent->signal_mu_);
    bool send = true;
    if (signal == SIGCHLD) {
      SignalAction action = parent->handlers_->Get(SIGCHLD);
      vanish = action.IsIgnored() || (action.flags & SA_NOCLDWAIT) != 0;
      send = !action.IsIgnored();
    }
    if (send) (void)parent->SendLocked(info, nullptr, false);
  }
  if (vanish) {
    // What nobody has waited for is not counted (getrusage(2), RUSAGE_CHILDREN).
    is_adopted_ = true;
    ReapLocked(released);
  }
  parent->child_queue_.Notify(EPOLLIN);
}

void ThreadGroup::ReapLocked(std::vector<RefPtr<ThreadGroup>>& released) {
  RefPtr<Task> leader(leader_);
  std::vector<RefPtr<Task>> unlinked;
  leader->tracee_->UnlinkLocked(unlinked);
  leader->ReleaseLocked();
  process_group_->RemoveMemberLocked(*this);
  if (parent_ != nullptr) {
    if (!is_adopted_) {
      Add(parent_->children_usage_, dead_usage_);
      Add(parent_->children_usage_, children_usage_);
    }
    auto self = std::find(parent_->children_.begin(), parent_->children_.end(), this);
    released.push_back(std::move(*self));
    parent_->children_.erase(self);
    parent_ = nullptr;
  } else {
    released.emplace_back(this);
  }
}

ThreadGroup* ThreadGroup::NewParentLocked() const {
  for (ThreadGroup* group = parent_; group != nullptr; group = group->parent_) {
    if (group->pid_namespace_ != pid_namespace_) break;
    if (group->child_subreaper.load() && !group->IsExiting()) return group;
  }
  ThreadGroup* init = pid_namespace_->init_;
  return init != this ? init : nullptr;
}

void ThreadGroup::ReparentChildrenLocked(std::vector<RefPtr<ThreadGroup>>& released) {
  ThreadGroup* new_parent = NewParentLocked();
  std::list<RefPtr<ThreadGroup>> children = std::move(children_);
  children_.clear();
  while (!children.empty()) {
    RefPtr<ThreadGroup> child = std::move(children.front());
    children.pop_front();
    child->parent_ = new_parent;
    child->is_adopted_ =
        new_parent != nullptr && new_parent->is_ordinary_init_ && !new_parent->child_subreaper.load();
    child->exit_signal_.store(SIGCHLD);
    if (new_parent != nullptr) new_parent->children_.push_back(child);
    for (const auto& task : child->tasks_) {
      int signal = task->parent_death_signal.load();
      if (signal != 0)
        (void)child->SendSignal(MakeUserSignalInfo(signal, SI_USER, numbers_.In(*child->pid_namespace_), 0));
    }
    if (child->IsZombie()) {
      child->AllTasksGoneLocked(released);
    } else if (child->process_group_ != process_group_ &&
               child->process_group_->session() == process_group_->session()) {
      child->process_group_->HangUpIfOrphanedLocked(nullptr);
    }
    released.push_back(std::move(child));
  }
}

}  // namespace runsc
