#include "sentry/kernel/terminal.h"

#include <signal.h>

#include "sentry/kernel/kernel.h"

namespace runsc {

Result<void> Terminal::BecomeControlling(Task& task, bool steal) {
  RefPtr<Session> lost;  // released after the locks
  Kernel& kernel = task.kernel();
  MutexLock tree(kernel.task_tree_lock());
  ThreadGroup& group = task.thread_group();
  RefPtr<ProcessGroup> process_group = group.ProcessGroupLocked();
  const RefPtr<Session>& session = process_group->session();
  MutexLock lock(mu_);
  bool is_leader = session->leader() == &group;
  if (is_leader && session_ == session) return Ok();
  if (!is_leader || session->terminal()) return Errno(EPERM);
  if (session_) {
    if (!steal || !task.creds().HasCapability(CAP_SYS_ADMIN)) return Errno(EPERM);
    session_->SetTerminal(nullptr);
    lost = std::move(session_);
  }
  session->SetTerminal(RefPtr<Terminal>(this));
  session_ = session;
  foreground_ = process_group;
  return Ok();
}

Result<void> Terminal::GiveUp(Task& task) {
  RefPtr<Terminal> self(this);
  RefPtr<Session> session = task.thread_group().session();
  if (session->terminal() != this) return Errno(ENOTTY);
  bool is_leader = false;
  {
    MutexLock tree(task.kernel().task_tree_lock());
    is_leader = session->leader() == &task.thread_group();
  }
  // Only a leader's loss is the session's loss; for others it is forgotten in Linux per process, which
  // matters to nobody but them.
  if (is_leader) Disconnect(false);
  return Ok();
}

Result<pid_t> Terminal::ForegroundGroup(Task& task) {
  RefPtr<Session> session = task.thread_group().session();
  MutexLock lock(mu_);
  if (session_ != session) return Errno(ENOTTY);
  return foreground_ ? task.pid_namespace().IdOf(*foreground_) : 0;
}

Result<void> Terminal::SetForegroundGroup(Task& task, pid_t group) {
  RETURN_IF_ERROR(CheckBackground(task, SIGTTOU));
  RefPtr<Session> session = task.thread_group().session();
  {
    MutexLock lock(mu_);
    if (session_ != session) return Errno(ENOTTY);
  }
  if (group < 0) return Errno(EINVAL);
  RefPtr<ProcessGroup> wanted = task.pid_namespace().FindProcessGroup(group);
  if (!wanted) return Errno(ESRCH);
  if (wanted->session() != session) return Errno(EPERM);
  MutexLock lock(mu_);
  std::swap(foreground_, wanted);
  return Ok();
}

Result<pid_t> Terminal::SessionId(Task& task) {
  RefPtr<Session> session = task.thread_group().session();
  MutexLock lock(mu_);
  if (!session_ || session_ != session) return Errno(ENOTTY);
  return task.pid_namespace().IdOf(*session_);
}

void Terminal::SignalForeground(int signal) {
  RefPtr<ProcessGroup> group;
  {
    MutexLock lock(mu_);
    group = foreground_;
  }
  if (group) group->SendSignal(signal);
}

void Terminal::Hangup() { Disconnect(true); }

void Terminal::Disconnect(bool signal_leader) {
  RefPtr<ProcessGroup> group;
  RefPtr<Session> session;
  {
    MutexLock lock(mu_);
    group = std::move(foreground_);
    session = std::move(session_);
  }
  if (session) {
    session->SetTerminal(nullptr);
    if (signal_leader) session->HangUpLeader();
  }
  if (group) {
    group->SendSignal(SIGHUP);
    group->SendSignal(SIGCONT);
  }
}

Result<void> Terminal::CheckBackground(Task& task, int signal) {
  RefPtr<ProcessGroup> group = task.thread_group().process_group();
  {
    MutexLock lock(mu_);
    if (session_ != group->session() || !foreground_ || foreground_ == group) return Ok();
  }
  return StopInBackground(task, signal);
}

Result<void> Terminal::StopInBackground(Task& task, int signal) {
  RefPtr<ProcessGroup> group = task.thread_group().process_group();
  bool ignored = task.blocked().Has(signal) || task.thread_group().handlers()->Get(signal).IsIgnored();
  if (signal == SIGTTIN) {
    if (ignored || group->IsOrphaned()) return Errno(EIO);
  } else {
    if (ignored) return Ok();
    if (group->IsOrphaned()) return Errno(EIO);
  }
  group->SendSignal(signal);
  return Errno(ERESTARTSYS);
}

}  // namespace runsc
