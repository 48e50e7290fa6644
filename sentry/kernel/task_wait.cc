// wait4(2), waitid(2).
#include <sys/wait.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/tracee.h"
#include "sentry/kernel/wait_request.h"

namespace runsc {
namespace {

bool HasWantedKind(const WaitRequest& request, const ThreadGroup& child) {
  bool is_clone = child.exit_signal() != SIGCHLD;
  return (request.options & __WALL) != 0 || is_clone == ((request.options & __WCLONE) != 0);
}

bool HasWantedId(const WaitRequest& request, const ThreadGroup& child, pid_t child_pid, pid_t child_group) {
  switch (request.which) {
    case WaitRequest::Which::kAny:
      return true;
    case WaitRequest::Which::kProcess:
      return request.process ? request.process == &child : request.id == child_pid;
    case WaitRequest::Which::kProcessGroup:
      return request.id == child_group;
  }
  return false;
}

}  // namespace

// What `child` has to report, if anything; marks it as reported unless WNOWAIT.
std::optional<WaitedChild> ThreadGroup::TakeReportLocked(ThreadGroup& child, int options,
                                                         std::vector<RefPtr<ThreadGroup>>& released) {
  WaitedChild report;
  report.pid = child.numbers_.In(*pid_namespace_);
  RefPtr<const Credentials> creds = child.leader_ != nullptr ? child.leader_->GetCreds() : nullptr;
  report.uid = creds ? creds->ruid : 0;
  bool keep = (options & WNOWAIT) != 0;
  if (child.IsZombie()) {
    if ((options & WEXITED) == 0) return std::nullopt;
    report.status = child.exit_status();
    report.code = (report.status & 0x7f) != 0 ? CLD_KILLED : CLD_EXITED;
    report.usage = child.UsageLocked();
    if (!keep) child.ReapLocked(released);
    return report;
  }
  MutexLock lock(child.signal_mu_);
  if ((options & WSTOPPED) != 0 && child.stopped_ && !child.stop_reported_) {
    if (!keep) child.stop_reported_ = true;
    report.usage = child.UsageLocked();
    report.code = CLD_STOPPED;
    report.status = child.stop_signal_ << 8 | 0x7f;
    return report;
  }
  if ((options & WCONTINUED) != 0 && !child.continue_reported_) {
    if (!keep) child.continue_reported_ = true;
    report.usage = child.UsageLocked();
    report.code = CLD_CONTINUED;
    report.status = 0xffff;
    return report;
  }
  return std::nullopt;
}

Result<WaitedChild> Task::Wait(const WaitRequest& request) {
  ThreadGroup& group = *thread_group_;
  ScopedWait wait(*this, group.child_queue_, EPOLLIN);
  for (;;) {
    std::vector<RefPtr<ThreadGroup>> released;  // dropped without the lock
    std::vector<RefPtr<Task>> released_tasks;
    bool any = false;
    {
      MutexLock tree(kernel_.task_tree_mu_);
      PidNamespace& space = *group.pid_namespace_;
      pid_t own_group = group.process_group_->numbers().In(space);
      WaitRequest wanted = request;
      if (wanted.which == WaitRequest::Which::kProcessGroup && wanted.id == 0) wanted.id = own_group;
      auto look_at = [&](ThreadGroup& child) -> std::optional<WaitedChild> {
        if (child.is_adopted_) return std::nullopt;
        if (!HasWantedKind(wanted, child) ||
            !HasWantedId(wanted, child, child.numbers_.In(space), child.process_group_->numbers().In(space)))
          return std::nullopt;
        // What it traces itself is looked at below; a zombie that another traces is that one's first.
        const Tracee& tracee = *child.leader_->tracee_;
        if (tracee.IsTracedByGroupLocked(group)) return std::nullopt;
        // Of a zombie there is nothing else to wait for (Linux: wait_task_zombie()).
        if (child.IsZombie() && (wanted.options & WEXITED) == 0) return std::nullopt;
        any = true;
        if (child.IsZombie() && tracee.IsTracedLocked()) return std::nullopt;
        RefPtr<ThreadGroup> keep(&child);
        auto report = group.TakeReportLocked(child, request.options, released);
        if (report) released.push_back(std::move(keep));
        return report;
      };
      if (wanted.which == WaitRequest::Which::kProcess) {
        ThreadGroup* child = wanted.process ? wanted.process.get()
                                            : space.FindThreadGroupLocked(static_cast<pid_t>(wanted.id));
        if (child != nullptr && child->parent_ == &group) {
          if (auto report = look_at(*child)) return *report;
        }
      } else {
        for (const auto& child : group.children_) {
          if (auto report = look_at(*child)) return *report;
        }
      }
      auto is_wanted = [&](const Task& task) {
        const ThreadGroup& process = *task.thread_group_;
        return HasWantedId(wanted, process, task.numbers_.In(space),
                           process.process_group_ ? process.process_group_->numbers().In(space) : 0);
      };
      const Task* only = (request.options & __WNOTHREAD) != 0 ? this : nullptr;
      if (auto report = Tracee::TakeReportLocked(group, only, request.options, any, is_wanted, released,
                                                 released_tasks))
        return *report;
    }
    if (!any) return Errno(ECHILD);
    if ((request.options & WNOHANG) != 0) return WaitedChild{};
    RETURN_IF_ERROR(Block());
  }
}

}  // namespace runsc
