// Stops of a traced task, on its own thread.
#include <sched.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/tracee.h"

namespace runsc {
namespace {

constexpr int kSyscallTrap = SIGTRAP | 0x80;
constexpr uint64_t kSyscallEntryMessage = 1, kSyscallExitMessage = 2;  // PTRACE_EVENTMSG_SYSCALL_*

int CodeOf(int event, int signal) { return event << 8 | signal; }

}  // namespace

RefPtr<Task> Tracee::GetTracer() const {
  MutexLock lock(task_.thread_group_->signal_mu_);
  return RefPtr<Task>(tracer_);
}

bool Tracee::HasOption(uint32_t option) const {
  return IsTraced() && (options_.load(std::memory_order_relaxed) & option) != 0;
}

pid_t Tracee::IdForTracer(const Task& task) const {
  if (!IsTraced()) return 0;
  MutexLock tree(task_.kernel_.task_tree_lock());
  if (tracer_ == nullptr) return 0;
  return task.numbers_.In(*tracer_->thread_group_->pid_namespace_);
}

// Tells the tracer of a stop; task tree lock held.
void Tracee::NotifyStopLocked(int why, int status) {
  ThreadGroup& to = *tracer_->thread_group_;
  siginfo_t info = MakeSignalInfo(SIGCHLD, why);
  info.si_pid = task_.numbers_.In(*to.pid_namespace_);
  info.si_uid = tracer_->VisibleUid(task_.creds().ruid);
  info.si_status = status & 0x7f;
  {
    MutexLock lock(to.signal_mu_);
    SignalAction action = to.handlers_->Get(SIGCHLD);
    if (!action.IsIgnored() && (action.flags & SA_NOCLDSTOP) == 0) (void)to.SendLocked(info, nullptr, false);
  }
  to.child_queue_.Notify(EPOLLIN);
}

bool Tracee::EnterStop(const StopOptions& options) {
  ThreadGroup& group = *task_.thread_group_;
  (void)task_.registers();  // now, for the tracer
  MutexLock tree(task_.kernel_.task_tree_lock());
  bool group_stopped = false;
  {
    MutexLock lock(group.signal_mu_);
    if (tracer_ == nullptr) return false;
    if (!options.is_exit && task_.exit_requested_.load(std::memory_order_relaxed)) return false;
    stopped_ = true;
    task_.state_letter_.store('t', std::memory_order_relaxed);  // before anybody is told
    resumed_ = killed_ = false;
    code_ = options.code;
    has_info_ = options.info != nullptr;
    if (has_info_) info_ = *options.info;
    message_ = options.message;
    resume_signal_ = 0;
    if (options.why == CLD_STOPPED && std::exchange(task_.stop_pending_, false))
      group_stopped = !TakeUncountedLocked() && group.FinishStopLocked();
    trap_stop_ = false;
    if (has_info_ && info_.si_code >> 8 == kEventStop) trap_notify_ = false;
  }
  NotifyStopLocked(options.why, options.code);
  if (group_stopped && tracer_->thread_group_.get() != group.parent_) group.NotifyParentLocked(CLD_STOPPED);
  return true;
}

void Tracee::FinishErrand(RefPtr<Errand> errand) {
  errand->done.store(true, std::memory_order_release);
  errand->client->Wake();
}

void Tracee::StayStopped(bool is_exit) {
  ThreadGroup& group = *task_.thread_group_;
  for (;;) {
    task_.wake_word_.fetch_and(~Task::kInterrupted, std::memory_order_acq_rel);
    RefPtr<Errand> errand;
    {
      MutexLock lock(group.signal_mu_);
      if (resumed_ || killed_ || tracer_ == nullptr) return;
      if (!is_exit && task_.exit_requested_.load(std::memory_order_relaxed)) return;
      if (listening_ && HasTrapLocked()) return;
      errand = std::move(errand_);
    }
    if (errand) {
      errand->result = errand->run(task_);
      FinishErrand(std::move(errand));
      continue;
    }
    task_.Sleep(Task::kInterrupted, Deadline::Never(), 't');
    task_.state_letter_.store('t', std::memory_order_relaxed);
  }
}

int Tracee::LeaveStop() {
  RefPtr<Errand> errand;
  int signal = 0;
  {
    MutexLock lock(task_.thread_group_->signal_mu_);
    stopped_ = listening_ = has_info_ = false;
    task_.state_letter_.store('R', std::memory_order_relaxed);
    code_ = 0;
    message_ = 0;
    signal = std::exchange(resume_signal_, 0);
    errand = std::move(errand_);
    // What came while it was stopped.
    task_.work_pending_.store(true, std::memory_order_seq_cst);
  }
  if (errand) {
    errand->result = Errno(ESRCH);
    FinishErrand(std::move(errand));
  }
  return signal;
}

int Tracee::Stop(const StopOptions& options) {
  if (!EnterStop(options)) return 0;
  StayStopped(options.is_exit);
  return LeaveStop();
}

int Tracee::Notify(int code, uint64_t message, int why) {
  siginfo_t info = MakeSignalInfo(code & 0x7f, code);
  info.si_pid = task_.tid();
  info.si_uid = task_.VisibleUid(task_.creds().ruid);
  return Stop({.code = code, .why = why, .info = &info, .message = message});
}

bool Tracee::OfferSignal(siginfo_t& info) {
  ThreadGroup& group = *task_.thread_group_;
  {
    MutexLock lock(group.signal_mu_);
    task_.stop_dequeued_ = true;
  }
  int signal = 0;
  {
    // What PTRACE_SETSIGINFO left counts: read before the next stop.
    siginfo_t shown = info;
    if (!EnterStop({.code = info.si_signo, .info = &shown})) {
      signal = info.si_signo;
    } else {
      StayStopped(false);
      {
        MutexLock lock(group.signal_mu_);
        info = info_;
      }
      signal = LeaveStop();
    }
  }
  if (signal == 0) return false;
  if (signal != info.si_signo) {
    RefPtr<Task> tracer = GetTracer();
    pid_t pid = tracer ? task_.pid_namespace().IdOf(tracer->thread_group()) : 0;
    RefPtr<const Credentials> creds = tracer ? tracer->GetCreds() : nullptr;
    info =
        MakeUserSignalInfo(signal, SI_USER, pid, creds ? task_.creds().user_ns->VisibleUid(creds->ruid) : 0);
  }
  if (signal == SIGKILL) {
    group.BeginExit(SIGKILL);
    return false;
  }
  MutexLock lock(group.signal_mu_);
  if (!task_.blocked().Has(signal)) return true;
  (void)group.SendLocked(info, &task_, false);  // blocked by now: for later
  return false;
}

void Tracee::Trap() {
  ThreadGroup& group = *task_.thread_group_;
  int signal = 0;
  bool seized = false;
  {
    MutexLock lock(group.signal_mu_);
    seized = seized_;
    signal = stop_signal_;
    if (seized && !group.stopped_ && group.stopping_ == 0) signal = SIGTRAP;
    if (signal == 0) signal = SIGTRAP;
    if (!IsTraced()) {
      trap_stop_ = trap_notify_ = false;
      return;
    }
  }
  if (!seized) {
    (void)Stop({.code = signal, .why = CLD_STOPPED});
    return;
  }
  siginfo_t info = MakeSignalInfo(signal, CodeOf(kEventStop, signal));
  info.si_pid = task_.tid();
  info.si_uid = task_.VisibleUid(task_.creds().ruid);
  (void)Stop({.code = CodeOf(kEventStop, signal), .why = CLD_STOPPED, .info = &info});
}

bool Tracee::ReportSyscall(uint64_t message) {
  if (!IsTraced()) return true;
  const int signal = Notify(HasOption(PTRACE_O_TRACESYSGOOD) ? kSyscallTrap : SIGTRAP, message);
  // As if somebody had sent it: not quite what resuming with a signal is elsewhere, but what Linux does.
  if (signal != 0) (void)task_.SendSignal(MakeUserSignalInfo(signal, SI_KERNEL, 0, 0));
  return !task_.exit_requested_.load(std::memory_order_acquire);
}

bool Tracee::OnSyscallEntry() {
  const uint32_t work = task_.syscall_work.load(std::memory_order_acquire);
  if ((work & (Task::kTraceEntryWork | Task::kEmulateWork)) == 0) return true;
  if (!ReportSyscall(kSyscallEntryMessage)) return false;
  return (work & Task::kEmulateWork) == 0;
}

void Tracee::OnSyscallExit(bool is_step) {
  if (!IsTraced() || task_.exit_requested_.load(std::memory_order_acquire)) return;
  if (is_step) {
    siginfo_t info = MakeSignalInfo(SIGTRAP, TRAP_BRKPT);
    info.si_addr = reinterpret_cast<void*>(task_.registers_.rip);
    return task_.ForceSignal(info);
  }
  (void)ReportSyscall(kSyscallExitMessage);
}

void Tracee::Event(int event, uint64_t message) {
  static_assert(PTRACE_O_TRACESECCOMP == 1 << PTRACE_EVENT_SECCOMP);
  if (HasOption(1U << event)) (void)Notify(CodeOf(event, SIGTRAP), message);
}

void Tracee::OnExec(pid_t old_id) {
  if (!IsTraced()) return;
  if (HasOption(PTRACE_O_TRACEEXEC)) return Event(PTRACE_EVENT_EXEC, static_cast<uint64_t>(old_id));
  bool seized = false;
  {
    MutexLock lock(task_.thread_group_->signal_mu_);
    seized = seized_;
  }
  if (!seized)
    (void)task_.SendSignal(
        MakeUserSignalInfo(SIGTRAP, SI_USER, task_.tid(), task_.VisibleUid(task_.creds().ruid)));
}

void Tracee::OnExit(int wait_status) {
  if (!HasOption(PTRACE_O_TRACEEXIT) || wait_status == SIGKILL) return;
  siginfo_t info = MakeSignalInfo(SIGTRAP, CodeOf(PTRACE_EVENT_EXIT, SIGTRAP));
  info.si_pid = task_.tid();
  info.si_uid = task_.VisibleUid(task_.creds().ruid);
  (void)Stop({.code = CodeOf(PTRACE_EVENT_EXIT, SIGTRAP),
              .info = &info,
              .message = static_cast<uint64_t>(wait_status),
              .is_exit = true});
}

void Tracee::OnHandlerEntered() {
  if (IsTraced() && IsStepping()) (void)Notify(SIGTRAP, 0);
}

bool Tracee::IsUnsafeForExec() const {
  if (!IsTraced()) return false;
  MutexLock lock(task_.thread_group_->signal_mu_);
  return tracer_ != nullptr &&
         !(tracer_creds_ && tracer_creds_->HasCapabilityIn(*task_.creds().user_ns, CAP_SYS_PTRACE));
}

int Tracee::CloneEvent(uint64_t flags, int exit_signal) const {
  if ((flags & CLONE_UNTRACED) != 0) return 0;
  int event = (flags & CLONE_VFORK) != 0 ? PTRACE_EVENT_VFORK
              : exit_signal != SIGCHLD   ? PTRACE_EVENT_CLONE
                                         : PTRACE_EVENT_FORK;
  return HasOption(1U << event) ? event : 0;
}

}  // namespace runsc
