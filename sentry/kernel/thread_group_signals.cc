// Sending signals, choosing who takes them, group stops and exits.
#include <algorithm>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/tracee.h"

namespace runsc {
namespace {

constexpr SignalSet kStopSignals =
    SignalSet::Of(SIGSTOP) | SignalSet::Of(SIGTSTP) | SignalSet::Of(SIGTTIN) | SignalSet::Of(SIGTTOU);
// However large RLIMIT_SIGPENDING is.
constexpr uint64_t kMaxQueuedSignals = 65536;

}  // namespace

Result<void> ThreadGroup::SendSignal(const siginfo_t& info, bool from_outside) {
  MutexLock lock(signal_mu_);
  return SendLocked(info, nullptr, from_outside);
}

Result<void> ThreadGroup::SendLocked(const siginfo_t& info, Task* target, bool from_outside) {
  int signal = info.si_signo;
  // A second SIGKILL ends what its tracer still holds.
  if (IsExiting() && signal == SIGKILL) BeginExitLocked(SIGKILL);
  if (IsExiting() || leader_ == nullptr) return Ok();
  if (!IsValidSignal(signal)) return Ok();  // clone(2) takes any number up to 255 for its end
  from_outside |= info.si_code == SI_KERNEL;
  if (kStopSignals.Has(signal)) {
    DiscardLocked(SignalSet::Of(SIGCONT));
  } else if (signal == SIGCONT) {
    ContinueLocked();
  }
  if (IsIgnoredLocked(target != nullptr ? *target : *leader_, signal, from_outside)) return Ok();
  SignalQueue& queue = target != nullptr ? target->pending_ : pending_;
  if (signal >= kSignalRtMin && queue.size() >= std::min(Limit(RLIMIT_SIGPENDING), kMaxQueuedSignals)) {
    if (info.si_code != SI_USER) return Errno(EAGAIN);
    if (queue.pending().Has(signal)) return Ok();
  }
  if (!queue.Push(info)) return Ok();
  signal_queue_.Notify(EPOLLIN);
  ChooseTaskLocked(signal, target, from_outside);
  return Ok();
}

bool ThreadGroup::IsProtectedInit() const {
  return IsInit() && !is_ordinary_init_ && !killable_init_.load(std::memory_order_relaxed);
}

bool ThreadGroup::IsIgnoredLocked(const Task& task, int signal, bool from_outside) const {
  SignalSet blocked(task.blocked_.load(std::memory_order_relaxed));
  if (task.saved_mask_) blocked = blocked | *task.saved_mask_;
  if (blocked.Has(signal) && !kUnblockableSignals.Has(signal)) return false;
  if (task.tracee_->IsTraced() && signal != SIGKILL) return false;  // the tracer wants to know
  SignalAction action = handlers_->Get(signal);
  if (action.IsIgnored()) return true;
  if (!action.IsDefault()) return false;
  if (IsProtectedInit() && !(from_outside && kUnblockableSignals.Has(signal))) return true;
  return DefaultActionOf(signal) == SignalDefault::kIgnore ||
         DefaultActionOf(signal) == SignalDefault::kContinue;
}

bool ThreadGroup::WantsLocked(const Task& task, int signal) const {
  if (task.exiting_) return false;
  if (signal == SIGKILL) return true;
  return !SignalSet(task.blocked_.load(std::memory_order_relaxed)).Has(signal) && !task.in_stop_ &&
         !task.tracee_->IsStoppedLocked();
}

void ThreadGroup::ChooseTaskLocked(int signal, Task* target, bool from_outside) {
  Task* chosen = nullptr;
  if (target != nullptr || WantsLocked(*leader_, signal)) {
    chosen = target != nullptr ? target : leader_;
    if (!WantsLocked(*chosen, signal)) return;
  } else {
    for (const auto& task : tasks_) {
      if (!WantsLocked(*task, signal)) continue;
      chosen = task.get();
      // One that has nothing to do yet is better.
      if (!task->work_pending_.load(std::memory_order_relaxed)) break;
    }
    if (chosen == nullptr) return;  // whoever unblocks it takes it
  }
  // What certainly ends the process does so at once: also a wait that only fatal signals interrupt
  // ends then.
  bool masked = chosen->saved_mask_ && chosen->saved_mask_->Has(signal);
  if (signal == SIGKILL || (!masked && !chosen->tracee_->IsTraced() && handlers_->Get(signal).IsDefault() &&
                            DefaultActionOf(signal) == SignalDefault::kTerminate && !IsProtectedInit())) {
    BeginExitLocked(signal);
    return;
  }
  chosen->Interrupt();
}

void ThreadGroup::RetargetLocked(const Task& task, SignalSet signals) {
  SignalSet pending = pending_.pending() & signals;
  if (pending.empty()) return;
  for (const auto& other : tasks_) {
    if (other.get() == &task || other->exiting_) continue;
    if (!(pending & ~SignalSet(other->blocked_.load(std::memory_order_relaxed))).empty()) other->Interrupt();
  }
}

void ThreadGroup::DiscardLocked(SignalSet signals) {
  pending_.Discard(signals);
  for (const auto& task : tasks_) task->pending_.Discard(signals);
}

SignalAction ThreadGroup::SetAction(int signal, const SignalAction& action) {
  MutexLock lock(signal_mu_);
  SignalAction old = handlers_->Exchange(signal, action);
  SignalDefault standard = DefaultActionOf(signal);
  if (action.IsIgnored() ||
      (action.IsDefault() && (standard == SignalDefault::kIgnore || standard == SignalDefault::kContinue)))
    DiscardLocked(SignalSet::Of(signal));
  return old;
}

SignalSet ThreadGroup::PendingSignals() const {
  MutexLock lock(signal_mu_);
  return pending_.pending();
}

void ThreadGroup::BeginExit(int wait_status) {
  MutexLock lock(signal_mu_);
  BeginExitLocked(wait_status);
}

void ThreadGroup::BeginExitLocked(int wait_status) {
  if (wait_status == SIGKILL) {
    for (const auto& task : tasks_) {
      task->tracee_->SetKilledLocked();
      if (IsExiting()) task->Interrupt();
    }
  }
  if (IsExiting()) return;
  exit_status_.store(wait_status, std::memory_order_relaxed);
  exiting_.store(true, std::memory_order_release);
  EndStopLocked();
  for (const auto& task : tasks_) {
    task->exit_requested_.store(true, std::memory_order_release);
    task->Interrupt();
  }
}

bool ThreadGroup::IsStopped() const {
  MutexLock lock(signal_mu_);
  return stopped_;
}

void ThreadGroup::BeginStopLocked(Task& task, int signal) {
  if (IsExiting() || exec_task_ != nullptr) return;
  continue_reported_ = true;
  if (task.stop_pending_) return;
  // A traced task may have been resumed while the process is stopped, and stops again: the first signal is
  // what the parent was told of.
  if (!stopped_) stop_signal_ = signal;
  stopping_ = 0;
  for (const auto& other : tasks_) {
    if (other->exiting_ || (other.get() != &task && other->in_stop_)) continue;
    other->stop_pending_ = true;
    other->tracee_->SetStopSignalLocked(signal, other.get() != &task);
    ++stopping_;
    other->Interrupt();
  }
}

bool ThreadGroup::FinishStopLocked() {
  if (stopping_ == 0 || --stopping_ != 0 || stopped_) return false;
  stopped_ = true;
  stop_reported_ = false;
  return true;
}

void ThreadGroup::EndStopLocked() {
  for (const auto& task : tasks_) {
    task->stop_dequeued_ = false;
    if (!task->stop_pending_ && !task->in_stop_) continue;
    task->stop_pending_ = task->in_stop_ = false;
    task->Interrupt();
  }
  stopped_ = false;
  stopping_ = 0;
  stop_reported_ = true;
}

void ThreadGroup::ContinueLocked() {
  DiscardLocked(kStopSignals);
  for (const auto& task : tasks_) task->tracee_->OnContinueLocked();
  bool was_stopped = stopped_;
  bool was_stopping = stopping_ != 0;
  EndStopLocked();
  if (!was_stopped && !was_stopping) return;
  continue_reported_ = false;
  notify_code_ = was_stopped ? CLD_CONTINUED : CLD_STOPPED;
}

bool ThreadGroup::HasWorkLocked(const Task& task) const {
  if (task.exit_requested_.load(std::memory_order_relaxed) || task.stop_pending_) return true;
  if (task.tracee_->HasTrapLocked()) return true;
  if (notify_code_ != 0) return true;
  SignalSet blocked(task.blocked_.load(std::memory_order_relaxed));
  return !((task.pending_.pending() | pending_.pending()) & ~blocked).empty();
}

ThreadGroup::Work ThreadGroup::NextWork(Task& task) {
  Work work;
  MutexLock lock(signal_mu_);
  task.work_pending_.store(false, std::memory_order_seq_cst);
  for (;;) {
    if (task.exit_requested_.load(std::memory_order_relaxed)) {
      work.kind = Work::Kind::kExit;
      return work;
    }
    if (notify_code_ != 0) {
      work.kind = Work::Kind::kNotify;
      work.notify_code = std::exchange(notify_code_, 0);
      return work;
    }
    if (task.stop_pending_ && !task.tracee_->IsTraced()) {
      work.kind = Work::Kind::kStop;
      return work;
    }
    if (task.stop_pending_) task.tracee_->SetTrapStopLocked();
    if (task.tracee_->HasTrapLocked()) {
      work.kind = Work::Kind::kTrap;
      return work;
    }
    SignalSet blocked(task.blocked_.load(std::memory_order_relaxed));
    std::optional<siginfo_t> info = task.pending_.Pop(blocked);
    if (!info) info = pending_.Pop(blocked);
    if (!info) return work;
    if (task.tracee_->IsTraced() && info->si_signo != SIGKILL) {
      work.kind = Work::Kind::kOffer;
      work.info = *info;
      return work;
    }
    work = WorkOfSignalLocked(task, *info);
    if (work.kind != Work::Kind::kNone) return work;
  }
}

ThreadGroup::Work ThreadGroup::WorkOfSignalLocked(Task& task, const siginfo_t& info) {
  Work work;
  work.info = info;
  const int signal = info.si_signo;
  SignalAction action = handlers_->Get(signal);
  if (action.IsIgnored()) return work;
  if (!action.IsDefault()) {
    if ((action.flags & SA_RESETHAND) != 0) {
      SignalAction reset = action;
      reset.handler = 0;
      handlers_->Exchange(signal, reset);
    }
    work.kind = Work::Kind::kDeliver;
    work.action = action;
    return work;
  }
  if (IsProtectedInit() && !kUnblockableSignals.Has(signal)) return work;
  switch (DefaultActionOf(signal)) {
    case SignalDefault::kIgnore:
    case SignalDefault::kContinue:
      break;
    case SignalDefault::kStop:
      task.stop_dequeued_ = true;
      work.kind = Work::Kind::kStopBy;
      break;
    case SignalDefault::kTerminate:
    case SignalDefault::kCore:
      BeginExitLocked(signal);
      break;
  }
  return work;
}

}  // namespace runsc
