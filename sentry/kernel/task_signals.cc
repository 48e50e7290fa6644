// A task's own signals: masks, taking, forcing, stops, delivery and the way back.
#include <cstring>

#include "platform/base/log.h"
#include "sentry/arch/signal_frame.h"
#include "sentry/arch/xsave.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timers.h"
#include "sentry/kernel/tracee.h"

namespace runsc {
namespace {

constexpr uint64_t kSaRestorer = 0x04000000;

}  // namespace

SignalSet Task::blocked() const { return SignalSet(blocked_.load(std::memory_order_relaxed)); }

void Task::SetBlocked(SignalSet set) {
  set = set & ~kUnblockableSignals;
  if (set == blocked()) return;
  MutexLock lock(thread_group_->signal_mu_);
  SetBlockedLocked(set);
}

void Task::SetBlockedLocked(SignalSet set) {
  ThreadGroup& group = *thread_group_;
  group.signal_mu_.AssertHeld();
  SignalSet newly_blocked = set & ~blocked();
  blocked_.store(set.bits(), std::memory_order_relaxed);
  group.RetargetLocked(*this, newly_blocked);
  if (group.HasWorkLocked(*this)) Interrupt();
}

void Task::SetTemporaryMask(SignalSet set) {
  MutexLock lock(thread_group_->signal_mu_);
  if (!saved_mask_) saved_mask_ = blocked();
  SetBlockedLocked(set & ~kUnblockableSignals);
}

Result<void> Task::SendSignal(const siginfo_t& info) {
  MutexLock lock(thread_group_->signal_mu_);
  return thread_group_->SendLocked(info, this, false);
}

void Task::ForceSignal(const siginfo_t& info) {
  ThreadGroup& group = *thread_group_;
  int signal = info.si_signo;
  MutexLock lock(group.signal_mu_);
  SignalAction action = group.handlers_->Get(signal);
  SignalSet mask = blocked();
  if (mask.Has(signal) || action.IsIgnored()) {
    action.handler = 0;
    group.handlers_->Exchange(signal, action);
    mask.Remove(signal);
    blocked_.store(mask.bits(), std::memory_order_relaxed);
  }
  if (action.IsDefault() && !tracee_->IsTraced()) group.killable_init_.store(true, std::memory_order_relaxed);
  pending_.Push(info);
  Interrupt();
}

SignalSet Task::PendingSignals() const {
  MutexLock lock(thread_group_->signal_mu_);
  return pending_.pending() | thread_group_->pending_.pending();
}

std::optional<siginfo_t> Task::TakeSignal(SignalSet set) {
  ThreadGroup& group = *thread_group_;
  std::optional<siginfo_t> info;
  {
    MutexLock lock(group.signal_mu_);
    SignalSet others = ~(set & ~kUnblockableSignals);
    info = pending_.Pop(others);
    if (!info) info = group.pending_.Pop(others);
  }
  if (info && info->si_code == SI_TIMER) group.posix_timers_->OnSignalTaken(*info);
  return info;
}

void Task::FinishInterruptedSyscall(const SignalAction* action) {
  int code = std::exchange(restart_code_, 0);
  bool again = false;
  switch (code) {
    case 0:
      return;
    case ERESTARTNOINTR:
      again = true;
      break;
    case ERESTARTSYS:
      again = action == nullptr || (action->flags & SA_RESTART) != 0;
      break;
    default:  // ERESTARTNOHAND, ERESTART_RESTARTBLOCK
      again = action == nullptr;
  }
  if (!again) {
    restart_block_ = nullptr;
    registers_.rax = static_cast<uint64_t>(-static_cast<int64_t>(EINTR));
    return;
  }
  constexpr uint64_t kRestartSyscall = 219;
  constexpr uint64_t kSyscallInstructionLength = 2;
  registers_.rax = code == ERESTART_RESTARTBLOCK ? kRestartSyscall : static_cast<uint64_t>(syscall_number_);
  registers().rip -= kSyscallInstructionLength;
}

bool Task::DoWork() {
  using Kind = ThreadGroup::Work::Kind;
  ThreadGroup& group = *thread_group_;
  for (;;) {
    ThreadGroup::Work work = group.NextWork(*this);
    if (work.kind == Kind::kOffer) {
      if (work.info.si_code == SI_TIMER) group.posix_timers_->OnSignalTaken(work.info);
      siginfo_t info = work.info;
      if (!tracee_->OfferSignal(info)) continue;
      MutexLock lock(group.signal_mu_);
      work = group.WorkOfSignalLocked(*this, info);
      if (work.kind == Kind::kNone) continue;
      work.was_offered = true;
    }
    switch (work.kind) {
      case Kind::kExit:
        return false;
      case Kind::kNotify: {
        MutexLock lock(kernel_.task_tree_mu_);
        group.NotifyParentLocked(work.notify_code);
        break;
      }
      case Kind::kStop:
        StopUntilContinued();
        break;
      case Kind::kTrap:
        tracee_->Trap();
        break;
      case Kind::kStopBy: {
        // Nobody could continue an orphaned group that stops at its terminal.
        if (work.info.si_signo != SIGSTOP && group.process_group()->IsOrphaned()) break;
        MutexLock lock(group.signal_mu_);
        if (std::exchange(stop_dequeued_, false)) group.BeginStopLocked(*this, work.info.si_signo);
        break;
      }
      case Kind::kDeliver:
        if (work.info.si_code == SI_TIMER && !work.was_offered) group.posix_timers_->OnSignalTaken(work.info);
        FinishInterruptedSyscall(&work.action);
        Deliver(work.info, work.action);
        tracee_->OnHandlerEntered();
        break;
      case Kind::kOffer:
      case Kind::kNone:
        FinishInterruptedSyscall(nullptr);
        if (!saved_mask_) return true;
        {
          // No handler ran: the mask of before the call is in force again, and may let something in.
          MutexLock lock(group.signal_mu_);
          SignalSet mask = *saved_mask_;
          saved_mask_.reset();
          SetBlockedLocked(mask);
          if (!group.HasWorkLocked(*this)) return true;
        }
        break;
    }
  }
}

void Task::StopUntilContinued() {
  ThreadGroup& group = *thread_group_;
  bool notify = false;
  {
    MutexLock lock(group.signal_mu_);
    if (!stop_pending_ || tracee_->IsTraced()) return;
    stop_pending_ = false;
    in_stop_ = true;
    notify = !tracee_->TakeUncountedLocked() && group.FinishStopLocked();
  }
  if (notify) {
    MutexLock lock(kernel_.task_tree_mu_);
    group.NotifyParentLocked(CLD_STOPPED);
  }
  for (;;) {
    {
      wake_word_.fetch_and(~kInterrupted, std::memory_order_acq_rel);
      MutexLock lock(group.signal_mu_);
      if (!in_stop_) return;
      if (exit_requested_.load(std::memory_order_relaxed)) {
        in_stop_ = false;
        return;
      }
    }
    Sleep(kInterrupted, Deadline::Never(), 'T');
  }
}

void Task::Deliver(const siginfo_t& info, const SignalAction& action) {
  ThreadGroup& group = *thread_group_;
  int signal = info.si_signo;
  std::vector<std::byte> fp_state(kernel_.platform().fp_state_size());
  SignalFrameOptions options;
  options.info = info;
  options.write_info = (action.flags & SA_SIGINFO) != 0;
  options.use_signal_stack = (action.flags & SA_ONSTACK) != 0;
  options.handler = action.handler;
  options.restorer = action.restorer;
  options.mask = (saved_mask_ ? *saved_mask_ : blocked()).bits();
  options.signal_stack = signal_stack_;
  options.fault = fault_;
  options.fp_state = fp_state;
  // A frame needs somewhere to return to.
  bool pushed = (action.flags & kSaRestorer) != 0 && context_->GetFpState(fp_state).ok() &&
                PushSignalFrame(*memory_, registers(), options).ok();
  if (!pushed) return ForceSegv(signal);
  (void)context_->SetFpState(InitialFpState(fp_state.size()));
  if ((static_cast<uint32_t>(signal_stack_.ss_flags) & kSsAutodisarm) != 0) {
    signal_stack_ = stack_t{};
    signal_stack_.ss_flags = SS_DISABLE;
  }

  MutexLock lock(group.signal_mu_);
  saved_mask_.reset();
  SignalSet mask = blocked() | SignalSet(action.mask);
  if ((action.flags & SA_NODEFER) == 0) mask.Add(signal);
  SetBlockedLocked(mask & ~kUnblockableSignals);
}

void Task::ForceSegv(int failed_signal) {
  if (failed_signal == SIGSEGV) thread_group_->SetAction(SIGSEGV, SignalAction{});
  LOG_DEBUG("task {}: a signal frame for signal {} could not be written or read", root_tid(), failed_signal);
  ForceSignal(MakeSignalInfo(SIGSEGV, SI_KERNEL));
}

int64_t Task::SignalReturn() {
  auto frame = PopSignalFrame(*memory_, registers(), kernel_.platform().fp_state_size());
  if (!frame.ok() || !context_->SetFpState(frame->fp_state).ok()) {
    ForceSegv(0);
    return 0;
  }
  SetBlocked(SignalSet(frame->mask));
  // As sigaltstack(2) would, but without saying what is wrong.
  uint32_t mode = static_cast<uint32_t>(frame->signal_stack.ss_flags) & ~kSsAutodisarm;
  if (!IsOnSignalStack(signal_stack_, registers_.rsp)) {
    constexpr size_t kMinimum = 2048;
    if (mode == SS_DISABLE) {
      signal_stack_ = stack_t{};
      signal_stack_.ss_flags = SS_DISABLE;
    } else if ((mode == 0 || mode == SS_ONSTACK) && frame->signal_stack.ss_size >= kMinimum) {
      signal_stack_ = frame->signal_stack;
      signal_stack_.ss_flags =
          static_cast<int>(static_cast<uint32_t>(frame->signal_stack.ss_flags) & kSsAutodisarm);
    }
  }
  return static_cast<int64_t>(registers_.rax);
}

}  // namespace runsc
