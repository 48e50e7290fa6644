// Attaching, resuming and letting go: what a tracer does to a tracee.
#include <sched.h>

#include <algorithm>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/ptrace_access.h"
#include "sentry/kernel/seccomp_state.h"
#include "sentry/kernel/tracee.h"

namespace runsc {

void Tracee::LinkLocked(Task& tracer, bool seized, uint32_t options) {
  task_.thread_group_->signal_mu_.AssertHeld();
  tracer_ = &tracer;
  tracer_creds_ = tracer.GetCreds();
  seized_ = seized;
  options_.store(options, std::memory_order_relaxed);
  traced_.store(true, std::memory_order_release);
  tracer.tracee_->tracees_.emplace_back(&task_);
  // From now on every call is to be seen.
  task_.UpdateSyscallPolicy();
}

void Tracee::ClearLinkLocked() {
  ThreadGroup& group = *task_.thread_group_;
  group.signal_mu_.AssertHeld();
  tracer_ = nullptr;
  traced_.store(false, std::memory_order_release);
  options_.store(0, std::memory_order_relaxed);
  seized_ = trap_stop_ = trap_notify_ = false;
  SetResumeModeLocked(ResumeMode::kContinue);
  // It joins the group stop that it took no part in.
  if (!task_.exiting_ && !task_.stop_pending_ && (group.stopped_ || group.stopping_ != 0)) {
    task_.stop_pending_ = true;
    uncounted_stop_ = true;
  }
  task_.Interrupt();
}

void Tracee::UnlinkLocked(std::vector<RefPtr<Task>>& released) {
  if (tracer_ == nullptr) return;
  auto& tracees = tracer_->tracee_->tracees_;
  auto self = std::find(tracees.begin(), tracees.end(), &task_);
  CHECK(self != tracees.end());
  released.push_back(std::move(*self));
  tracees.erase(self);
  RefPtr<const Credentials> creds = std::move(tracer_creds_);
  MutexLock lock(task_.thread_group_->signal_mu_);
  ClearLinkLocked();
}

void Tracee::SetResumeModeLocked(ResumeMode mode) {
  uint32_t work = 0;
  if (mode == ResumeMode::kSyscall) work = Task::kTraceEntryWork | Task::kTraceExitWork;
  if (mode == ResumeMode::kEmulate || mode == ResumeMode::kEmulateStep) work = Task::kEmulateWork;
  const uint32_t rest = task_.syscall_work.load() & Task::kSeccompWork;
  task_.syscall_work.store(rest | work);
  stepping_.store(mode == ResumeMode::kStep || mode == ResumeMode::kEmulateStep);
  task_.UpdateSyscallPolicy();
}

Result<void> Tracee::TraceMe(Task& task) {
  MutexLock tree(task.kernel_.task_tree_lock());
  ThreadGroup* parent = task.thread_group_->parent_;
  if (task.tracee_->tracer_ != nullptr) return Errno(EPERM);
  // Nobody would trace it: as if its parent's security module had refused.
  if (parent == nullptr || task.thread_group_->is_adopted_ || parent->IsExiting() ||
      parent->leader_ == nullptr)
    return Errno(EPERM);
  // Linux: cap_ptrace_traceme().
  RefPtr<const Credentials> by = parent->leader_->GetCreds();
  const Credentials& own = task.creds();
  if (!by) return Errno(EPERM);
  const bool is_equal = by->user_ns == own.user_ns && own.permitted.IsSubsetOf(by->permitted);
  if (!is_equal && !by->HasCapabilityIn(*own.user_ns, CAP_SYS_PTRACE)) return Errno(EPERM);
  MutexLock lock(task.thread_group_->signal_mu_);
  task.tracee_->LinkLocked(*parent->leader_, false, 0);
  return Ok();
}

Result<void> Tracee::Attach(Task& tracer, Task& target, bool seize, uint32_t options) {
  ThreadGroup& group = *target.thread_group_;
  if (&group == tracer.thread_group_.get()) return Errno(EPERM);
  RETURN_IF_ERROR(CheckPtraceAccess(tracer, target));
  Tracee& tracee = *target.tracee_;
  bool was_stopped = false;
  {
    MutexLock tree(tracer.kernel_.task_tree_lock());
    MutexLock lock(group.signal_mu_);
    if (target.zombie_ || target.exiting_ || tracee.tracer_ != nullptr) return Errno(EPERM);
    tracee.LinkLocked(tracer, seize, options);
    if (!seize) (void)group.SendLocked(MakeSignalInfo(SIGSTOP, SI_KERNEL), &target, true);
    // One that is stopped already goes over into a stop of its tracer's.
    was_stopped = std::exchange(target.in_stop_, false);
    if (was_stopped) tracee.trap_stop_ = true;
    target.Interrupt();
  }
  // Nobody may see it in between.
  while (was_stopped) {
    ScopedWait wait(tracer, tracer.thread_group_->child_queue_, EPOLLIN);
    {
      MutexLock lock(group.signal_mu_);
      if (tracee.stopped_ || !tracee.trap_stop_ || tracee.tracer_ != &tracer || target.exiting_) break;
    }
    if (!tracer.Block(Deadline::After(1'000'000)).ok() && tracer.HasPendingWork()) break;
  }
  return Ok();
}

void Tracee::InheritLocked(Tracee& parent) {
  // The new task does not run yet, and nobody else can reach it.
  Task* tracer = parent.tracer_;
  if (tracer == nullptr) return;
  task_.thread_group_->signal_mu_.AssertHeld();
  LinkLocked(*tracer, parent.seized_, parent.options_.load(std::memory_order_relaxed));
  if (seized_) {
    trap_stop_ = true;
  } else {
    task_.pending_.Push(MakeSignalInfo(SIGSTOP, SI_USER));
  }
  task_.work_pending_.store(true, std::memory_order_seq_cst);
}

bool Tracee::IsStoppedForLocked(const Task& tracer) const {
  return tracer_ == &tracer && stopped_ && !listening_ && !resumed_ && !killed_;
}

Result<void> Tracee::WhileStopped(Task& tracer, absl::FunctionRef<Result<void>()> use) {
  MutexLock lock(task_.thread_group_->signal_mu_);
  if (!IsStoppedForLocked(tracer)) return Errno(ESRCH);
  return use();
}

Result<void> Tracee::CheckTracer(Task& tracer) const {
  MutexLock lock(task_.thread_group_->signal_mu_);
  return tracer_ == &tracer ? Ok() : Result<void>(Errno(ESRCH));
}

Result<void> Tracee::Resume(Task& tracer, ResumeMode mode, int signal) {
  return WhileStopped(tracer, [&]() -> Result<void> {
    if (signal < 0 || signal > kSignalMax) return Errno(EIO);
    SetResumeModeLocked(mode);
    resume_signal_ = signal;
    resumed_ = true;
    task_.Interrupt();
    return Ok();
  });
}

Result<void> Tracee::Detach(Task& tracer, int signal) {
  if (signal < 0 || signal > kSignalMax) return Errno(EIO);
  std::vector<RefPtr<Task>> released;  // dropped without the locks
  MutexLock tree(task_.kernel_.task_tree_lock());
  RETURN_IF_ERROR(WhileStopped(tracer, [&]() -> Result<void> {
    resume_signal_ = signal;
    resumed_ = true;
    return Ok();
  }));
  UnlinkLocked(released);
  return Ok();
}

Result<void> Tracee::SetOptions(Task& tracer, uint32_t options) {
  if ((options & ~kKnownOptions) != 0) return Errno(EINVAL);
  return WhileStopped(tracer, [&]() -> Result<void> {
    options_.store(options, std::memory_order_relaxed);
    return Ok();
  });
}

Result<void> Tracee::Interrupt(Task& tracer) {
  MutexLock lock(task_.thread_group_->signal_mu_);
  if (tracer_ != &tracer) return Errno(ESRCH);
  if (!seized_) return Errno(EIO);
  if (task_.exiting_) return Ok();
  trap_stop_ = true;
  task_.Interrupt();
  return Ok();
}

Result<void> Tracee::Listen(Task& tracer) {
  return WhileStopped(tracer, [&]() -> Result<void> {
    if (!seized_ || !has_info_ || info_.si_code >> 8 != kEventStop) return Errno(EIO);
    listening_ = true;
    if (trap_notify_) task_.Interrupt();
    return Ok();
  });
}

Result<void> Tracee::Kill(Task& tracer) {
  RETURN_IF_ERROR(CheckTracer(tracer));
  return task_.SendSignal(
      MakeUserSignalInfo(SIGKILL, SI_USER, tracer.tid(), task_.VisibleUid(tracer.creds().ruid)));
}

Result<void> Tracee::RunErrand(Task& tracer, std::function<Result<void>(Task&)> run) {
  auto errand = MakeRef<Errand>();
  errand->run = std::move(run);
  errand->client = RefPtr<Task>(&tracer);
  RETURN_IF_ERROR(WhileStopped(tracer, [&]() -> Result<void> {
    if (errand_) return Errno(ESRCH);
    errand_ = errand;
    task_.Interrupt();
    return Ok();
  }));
  while (!errand->done.load(std::memory_order_acquire)) RETURN_IF_ERROR(tracer.BlockKillable());
  return errand->result;
}

// Whether an interrupted call goes on is the registers' matter, as on Linux, where there is nothing else.
void Tracee::RegistersChanged() {
  const Registers& r = task_.registers_;
  const int64_t error = -static_cast<int64_t>(r.rax);
  const bool restarts = static_cast<int64_t>(r.orig_rax) >= 0 && Errno(ERESTARTSYS).IsRestart() &&
                        (error == ERESTARTSYS || error == ERESTARTNOINTR || error == ERESTARTNOHAND ||
                         error == ERESTART_RESTARTBLOCK);
  task_.restart_code_ = restarts ? static_cast<int>(error) : 0;
  task_.syscall_number_ = static_cast<int64_t>(r.orig_rax);
}

SignalSet Tracee::blocked() const { return task_.saved_mask_ ? *task_.saved_mask_ : task_.blocked(); }

void Tracee::SetBlocked(SignalSet set) {
  task_.thread_group_->signal_mu_.AssertHeld();
  task_.saved_mask_.reset();
  task_.blocked_.store((set & ~kUnblockableSignals).bits(), std::memory_order_relaxed);
}

std::vector<siginfo_t> Tracee::Pending(bool of_process) const {
  task_.thread_group_->signal_mu_.AssertHeld();
  SignalQueue queue = of_process ? task_.thread_group_->pending_ : task_.pending_;
  std::vector<siginfo_t> signals;
  while (std::optional<siginfo_t> info = queue.Pop(SignalSet())) signals.push_back(*info);
  return signals;
}

void Tracee::SetStopSignalLocked(int signal, bool is_other) {
  stop_signal_ = signal;
  uncounted_stop_ = false;
  if (is_other && seized_) trap_notify_ = true;
}

void Tracee::OnContinueLocked() {
  uncounted_stop_ = false;
  if (!seized_ || tracer_ == nullptr) return;
  trap_notify_ = true;
  task_.Interrupt();
}

}  // namespace runsc
