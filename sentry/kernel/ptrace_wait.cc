// What wait(2) tells of tracees, and how a traced task ends.
#include <sys/wait.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/tracee.h"

namespace runsc {

bool Tracee::IsTracedByGroupLocked(const ThreadGroup& group) const {
  return tracer_ != nullptr && tracer_->thread_group_.get() == &group;
}

void Tracee::NotifyExitLocked() {
  if (tracer_ == nullptr) return;
  ThreadGroup& to = *tracer_->thread_group_;
  const bool killed = (exit_status_ & 0x7f) != 0;
  siginfo_t info = MakeSignalInfo(SIGCHLD, killed ? CLD_KILLED : CLD_EXITED);
  info.si_pid = task_.numbers_.In(*to.pid_namespace_);
  RefPtr<const Credentials> creds = task_.GetCreds();
  info.si_uid = creds ? tracer_->VisibleUid(creds->ruid) : 0;
  info.si_status = killed ? exit_status_ & 0x7f : exit_status_ >> 8 & 0xff;
  {
    MutexLock lock(to.signal_mu_);
    if (!to.handlers_->Get(SIGCHLD).IsIgnored()) (void)to.SendLocked(info, nullptr, false);
  }
  to.child_queue_.Notify(EPOLLIN);
}

void Tracee::ReapLocked(std::vector<RefPtr<ThreadGroup>>& released) {
  ThreadGroup& group = *task_.thread_group_;
  if (group.leader_ == &task_) {
    // The parent has its turn now, if it is another one.
    if (group.IsZombie()) group.BecomeZombieLocked(released);
    return;
  }
  task_.ReleaseLocked();
  if (group.tasks_.size() == 1 && group.leader_ != nullptr && group.leader_->zombie_)
    group.AllTasksGoneLocked(released);
  MutexLock lock(group.signal_mu_);
  if (group.exec_task_ != nullptr) group.exec_task_->Wake();
}

void Tracee::ReleaseTraceesLocked(std::vector<RefPtr<ThreadGroup>>& released,
                                  std::vector<RefPtr<Task>>& released_tasks) {
  while (!tracees_.empty()) {
    RefPtr<Task> tracee = tracees_.back();
    Tracee& state = *tracee->tracee_;
    if ((state.options_.load(std::memory_order_relaxed) & PTRACE_O_EXITKILL) != 0 && !tracee->zombie_)
      tracee->thread_group_->BeginExit(SIGKILL);
    const bool same_parent = tracee->thread_group_->parent_ == task_.thread_group_.get();
    state.UnlinkLocked(released_tasks);
    // A process whose parent is told anyway is not told twice.
    const bool is_leader = tracee->thread_group_->leader_ == tracee.get();
    if (tracee->zombie_ && !(is_leader && same_parent)) state.ReapLocked(released);
    released_tasks.push_back(std::move(tracee));
  }
}

std::optional<WaitedChild> Tracee::TakeOwnReportLocked(const ThreadGroup& group, int options, bool& any,
                                                       std::vector<RefPtr<ThreadGroup>>& released,
                                                       std::vector<RefPtr<Task>>& released_tasks) {
  ThreadGroup& own = *task_.thread_group_;
  const bool is_leader = own.leader_ == &task_;
  const bool keep = (options & WNOWAIT) != 0;
  any = true;
  WaitedChild report;
  report.pid = task_.numbers_.In(*group.pid_namespace_);
  RefPtr<const Credentials> creds = task_.GetCreds();
  report.uid = creds ? creds->ruid : 0;
  report.usage = task_.GetCpuUsage();
  if (task_.zombie_) {
    // A leader is told of when all others are gone.
    if (is_leader && !own.IsZombie()) return std::nullopt;
    if ((options & WEXITED) == 0) return std::nullopt;
    report.status = is_leader ? own.exit_status() : exit_status_;
    report.code = (report.status & 0x7f) != 0 ? CLD_KILLED : CLD_EXITED;
    if (keep) return report;
    RefPtr<Task> self(&task_);
    RefPtr<ThreadGroup> process(&own);
    const bool parent_waits = is_leader && own.parent_ == &group;
    UnlinkLocked(released_tasks);
    if (parent_waits) {
      own.ReapLocked(released);
    } else {
      ReapLocked(released);
    }
    released_tasks.push_back(std::move(self));
    released.push_back(std::move(process));
    return report;
  }
  MutexLock lock(own.signal_mu_);
  if (!stopped_ || code_ == 0 || listening_ || resumed_) return std::nullopt;
  report.status = code_ << 8 | 0x7f;
  report.code = CLD_TRAPPED;
  if (!keep) code_ = 0;
  return report;
}

std::optional<WaitedChild> Tracee::TakeReportLocked(ThreadGroup& group, const Task* only, int options,
                                                    bool& any, absl::FunctionRef<bool(const Task&)> is_wanted,
                                                    std::vector<RefPtr<ThreadGroup>>& released,
                                                    std::vector<RefPtr<Task>>& released_tasks) {
  for (const auto& tracer : group.tasks_) {
    if (only != nullptr && tracer.get() != only) continue;
    for (const auto& tracee : tracer->tracee_->tracees_) {
      if (!is_wanted(*tracee)) continue;
      auto report = tracee->tracee_->TakeOwnReportLocked(group, options, any, released, released_tasks);
      if (report) return report;
    }
  }
  return std::nullopt;
}

}  // namespace runsc
