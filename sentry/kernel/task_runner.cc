#include "sentry/kernel/task_runner.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>

#include "platform/base/log.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/known_results.h"
#include "sentry/kernel/seccomp_state.h"
#include "sentry/kernel/tracee.h"
#include "sentry/wait/deferred.h"

namespace runsc {
namespace {

thread_local Task* current_task = nullptr;

// x86's trap numbers, as sigcontext shows them.
constexpr uint64_t kTrapDivide = 0, kTrapDebug = 1, kTrapBreakpoint = 3, kTrapInvalidOpcode = 6,
                   kTrapGeneralProtection = 13, kTrapPageFault = 14, kTrapFloatingPoint = 16,
                   kTrapAlignment = 17;
constexpr uint64_t kPageFaultPresent = 1, kPageFaultWrite = 2, kPageFaultUser = 4, kPageFaultFetch = 16;

uint64_t TrapNumberOf(int signal, int code) {
  switch (signal) {
    case SIGFPE:
      return code == FPE_INTDIV ? kTrapDivide : kTrapFloatingPoint;
    case SIGILL:
      return kTrapInvalidOpcode;
    case SIGTRAP:
      return code == TRAP_TRACE || code == TRAP_HWBKPT ? kTrapDebug : kTrapBreakpoint;
    case SIGBUS:
      return kTrapAlignment;
    default:
      return kTrapGeneralProtection;
  }
}

}  // namespace

Task& Task::Current() { return *current_task; }
Task* Task::CurrentOrNull() { return current_task; }

Result<void> TaskRunner::Start(RefPtr<Task> task) {
  HostThreads& threads = task->kernel().host_threads_;
  Task* argument = task.release();
  Result<void> started = threads.Run(&TaskRunner::Main, argument);
  if (!started.ok()) argument->Release();
  return started;
}

void TaskRunner::Main(void* argument) {
  RefPtr<Task> task = RefPtr<Task>::Adopt(static_cast<Task*>(argument));
  current_task = task.get();
  clockid_t clock = -1;
  timespec start = {};
  if (pthread_getcpuclockid(pthread_self(), &clock) == 0 && clock_gettime(clock, &start) == 0) {
    task->host_clock_start_.store(start.tv_sec * kNanosecondsPerSecond + start.tv_nsec,
                                  std::memory_order_relaxed);
    task->host_clock_.store(clock, std::memory_order_release);
  }
  TaskRunner(*task).Run();
  current_task = nullptr;
}

void TaskRunner::Run() {
  if (!task_.initial_fp_state_.empty()) {
    (void)task_.context_->SetFpState(task_.initial_fp_state_);
    std::vector<std::byte>().swap(task_.initial_fp_state_);
  }
  if (task_.set_child_tid_) (void)task_.memory_->Write(task_.set_child_tid_, int32_t{task_.tid()});
  RunGuest();
  ThreadGroup& group = *task_.thread_group_;
  task_.tracee().OnExit(group.IsExiting() ? group.exit_status() : task_.exit_status_);
  task_.Exit();
  RunDeferred();
  task_.MakeWakes();
}

void TaskRunner::RunGuest() {
  for (;;) {
    // Signals wait, too.
    if (container_.IsPaused()) WaitUntilResumed();
    bool changed_mask = task_.saved_mask_.has_value();
    if (task_.restart_code_ != 0 || changed_mask || task_.work_pending_.load(std::memory_order_acquire)) {
      if (!task_.DoWork()) return;
    }
    if (&task_.creds() != known_creds_.get() || task_.tid() != known_tid_ ||
        task_.syscall_policy_.load(std::memory_order_acquire) != known_policy_)
      UpdateKnownResults();
    task_.MakeWakes();
    // Pairs with Task::Interrupt().
    task_.in_guest_.store(true, std::memory_order_seq_cst);
    bool paused = container_.IsPaused();
    if (paused || task_.work_pending_.load(std::memory_order_seq_cst)) {
      task_.in_guest_.store(false, std::memory_order_seq_cst);
      if (paused) WaitUntilResumed();
      continue;
    }
    task_.guest_time_.Start();
    SwitchResult result = task_.context_->SwitchToCall(task_.memory_->address_space(), task_.registers_,
                                                       task_.tracee_->IsStepping());
    task_.guest_time_.Stop();
    // Whoever sees these late only waits, or interrupts, once more.
    task_.guest_exits_.store(task_.guest_exits_.load(std::memory_order_relaxed) + 1,
                             std::memory_order_release);
    task_.in_guest_.store(false, std::memory_order_release);
    switch (result.reason) {
      case SwitchResult::Reason::kSyscall:
        if (result.hot_call != 0)
          task_.memory_->PatchCode(UserAddr(result.hot_call), task_.registers_.orig_rax);
        HandleSyscall();
        break;
      case SwitchResult::Reason::kFault:
        HandleFault(result);
        break;
      case SwitchResult::Reason::kInterrupted:
        task_.kernel_.barrier_queue_.Notify(EPOLLIN);
        break;
      case SwitchResult::Reason::kNoThread:
        LOG_WARNING("task {} ({}): no host thread: killed", task_.root_tid(), task_.name());
        task_.PrepareGroupExit(SIGKILL);
        return;
      case SwitchResult::Reason::kDead:
        task_.kernel_.Fail("the stub process of a guest was killed");
        task_.PrepareGroupExit(SIGKILL);
        return;
    }
  }
}

// What else interrupts a sleep is dealt with before guest code, and so can wait until then.
void TaskRunner::WaitUntilResumed() {
  while (container_.IsPaused() && !task_.thread_group_->IsExiting())
    (void)task_.Sleep(Task::kInterrupted, Deadline::Never(), 'D');
  // An exit has set it as well, or the pause would be found again at once.
  if (task_.thread_group_->IsExiting()) task_.work_pending_.store(true, std::memory_order_release);
}

void TaskRunner::UpdateKnownResults() {
  known_creds_ = RefPtr<const Credentials>(&task_.creds());
  known_tid_ = task_.tid();
  known_policy_ = task_.syscall_policy_.load(std::memory_order_seq_cst);
  if (!known_results_allowed.load(std::memory_order_relaxed)) return;
  const Credentials& creds = *known_creds_;
  const UserNamespace& space = *creds.user_ns;
  // Ids whose maps have yet to be written are not known.
  if (!space.IsInitial() &&
      (space.map(UserNamespace::Kind::kUser) == nullptr || space.map(UserNamespace::Kind::kGroup) == nullptr))
    return task_.context_->SetKnownResults({});
  const Context::KnownResult results[] = {
      {SYS_getpid, static_cast<uint64_t>(task_.thread_group_->pid())},
      {SYS_gettid, static_cast<uint64_t>(known_tid_)},
      {SYS_getuid, space.VisibleUid(creds.ruid)},
      {SYS_geteuid, space.VisibleUid(creds.euid)},
      {SYS_getgid, space.VisibleGid(creds.rgid)},
      {SYS_getegid, space.VisibleGid(creds.egid)},
  };
  const uint32_t work = task_.syscall_work.load(std::memory_order_acquire);
  if (task_.tracee().IsTraced()) return task_.context_->SetKnownResults({});
  if (work == 0) return task_.context_->SetKnownResults(results);
  // Only what every filter allows whatever the arguments are.
  const SeccompFilter* filter = task_.seccomp().filter();
  if (work != Task::kSeccompWork || filter == nullptr) return task_.context_->SetKnownResults({});
  std::vector<Context::KnownResult> allowed;
  for (const Context::KnownResult& result : results)
    if (filter->Allows(result.number)) allowed.push_back(result);
  task_.context_->SetKnownResults(allowed);
}

bool TaskRunner::EnterSyscall(Result<int64_t>& result) {
  const Registers& registers = task_.registers_;
  SyscallDecision decision;
  if (!task_.tracee().OnSyscallEntry()) {
    decision = SyscallDecision::Refuse(static_cast<int64_t>(registers.rax));
  } else {
    decision = task_.seccomp().Check();
  }
  // A tracer may have made another call of it, or none.
  task_.syscall_number_ = static_cast<int64_t>(registers.orig_rax);
  task_.current_syscall = static_cast<int>(registers.orig_rax);
  if (decision.serve && static_cast<int>(registers.orig_rax) == -1)
    decision = SyscallDecision::Refuse(static_cast<int64_t>(registers.rax));
  if (decision.serve) return true;
  result = decision.interrupted ? Result<int64_t>(Errno(ERESTARTSYS)) : Result<int64_t>(decision.value);
  return false;
}

void TaskRunner::HandleSyscall() {
  ServeSyscall();
  const bool is_step = task_.tracee_->IsStepping();
  if (is_step || (task_.syscall_work.load(std::memory_order_acquire) & Task::kTraceExitWork) != 0)
    task_.tracee_->OnSyscallExit(is_step);
}

void TaskRunner::ServeSyscall() {
  Registers& registers = task_.registers_;
  task_.syscall_number_ = static_cast<int64_t>(registers.orig_rax);
  task_.current_syscall = static_cast<int>(registers.orig_rax);
  Result<int64_t> result = 0;
  // The number is 32 bits wide, for filters as for the table.
  if (task_.syscall_work.load(std::memory_order_acquire) == 0 || EnterSyscall(result))
    result = task_.kernel_.dispatcher()(task_, static_cast<uint32_t>(registers.orig_rax),
                                        task_.syscall_arguments());
  task_.current_syscall = -1;
  RunDeferred();
  if (result.ok()) {
    registers.rax = static_cast<uint64_t>(*result);
  } else {
    int error = result.error().value();
    registers.rax = static_cast<uint64_t>(-static_cast<int64_t>(error));
    if (result.error().IsRestart()) task_.restart_code_ = error;
    // Interrupted: the temporary mask stays until it is known whether a handler runs.
    if (result.error().IsRestart() || error == EINTR) return;
  }
  if (task_.saved_mask_) {
    MutexLock lock(task_.thread_group_->signal_lock());
    SignalSet mask = *task_.saved_mask_;
    task_.saved_mask_.reset();
    task_.SetBlockedLocked(mask);
  }
}

void TaskRunner::SendFault(int signal, int code, uint64_t address) {
  siginfo_t info = MakeSignalInfo(signal, code);
  info.si_addr = reinterpret_cast<void*>(address);
  task_.ForceSignal(info);
}

// What a platform cannot tell: where reading is allowed, it was a write that was refused.
bool TaskRunner::IsReadable(uint64_t address) const {
  for (const VmaInfo& vma : task_.memory_->Vmas(false)) {
    if (vma.range.Contains(UserAddr(address))) return (vma.prot & PROT_READ) != 0;
  }
  return false;
}

void TaskRunner::HandleFault(const SwitchResult& result) {
  bool is_page_fault = result.signal == SIGSEGV && (result.code == SEGV_MAPERR || result.code == SEGV_ACCERR);
  if (!is_page_fault) {
    task_.fault_ = FaultContext{TrapNumberOf(result.signal, result.code), 0, 0};
    return SendFault(result.signal, result.code, result.address);
  }
  task_.faults_.fetch_add(1, std::memory_order_relaxed);
  int code = SEGV_MAPERR;
  auto handled = task_.memory_->HandleFault(UserAddr(result.address), result.access, &code);
  if (handled.ok()) return;
  uint64_t error = kPageFaultUser;
  if (handled.is(EFAULT) && code == SEGV_ACCERR) error |= kPageFaultPresent;
  if (result.access == SwitchResult::Access::kWrite ||
      (result.access == SwitchResult::Access::kUnknown && code == SEGV_ACCERR && IsReadable(result.address)))
    error |= kPageFaultWrite;
  if (result.access == SwitchResult::Access::kExecute) error |= kPageFaultFetch;
  task_.fault_ = FaultContext{kTrapPageFault, error, result.address};
  if (handled.is(EFAULT)) return SendFault(SIGSEGV, code, result.address);
  if (handled.is(ENOMEM)) {
    LOG_WARNING("task {} ({}): out of memory at {:#x}: killed", task_.root_tid(), task_.name(),
                result.address);
    return task_.PrepareGroupExit(SIGKILL);
  }
  SendFault(SIGBUS, BUS_ADRERR, result.address);
}

}  // namespace runsc
