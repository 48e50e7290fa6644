#include "sentry/kernel/seccomp_state.h"

#include <linux/audit.h>
#include <sys/syscall.h>

#include <algorithm>

#include "platform/base/log.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/tracee.h"

namespace runsc {
namespace {

// MAX_INSNS_PER_PATH, and what each filter of a chain costs besides its instructions.
constexpr size_t kMaxPathLength = (1 << 18) / sizeof(sock_filter);
constexpr size_t kFilterCost = 4;
constexpr int kMaxErrno = 4095;
constexpr int kSysSeccomp = 1;  // SYS_SECCOMP

seccomp_data DataOf(const Registers& r) {
  return {static_cast<int>(r.orig_rax), AUDIT_ARCH_X86_64, r.rip, {r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9}};
}

int32_t StrictnessOf(uint32_t value) { return static_cast<int32_t>(value & SECCOMP_RET_ACTION_FULL); }

}  // namespace

SeccompFilter::SeccompFilter(SeccompProgram program, RefPtr<SeccompFilter> previous, bool log,
                             RefPtr<SeccompListener> listener)
    : program_(std::move(program)),
      previous_(std::move(previous)),
      log_(log),
      listener_(std::move(listener)),
      depth_(previous_ ? previous_->depth_ + 1 : 1),
      path_length_(program_.size() + (previous_ ? previous_->path_length_ + kFilterCost : 0)),
      allowed_(program_.AllowedNumbers()) {
  if (previous_) allowed_ &= previous_->allowed_;
}

SeccompFilter::~SeccompFilter() {
  if (listener_ && in_force_) listener_->Orphan();
  // One after the other: a chain is longer than the stack is deep.
  RefPtr<SeccompFilter> next = std::move(previous_);
  while (next && next->ref_count() == 1) {
    RefPtr<SeccompFilter> behind = std::move(next->previous_);
    next = std::move(behind);
  }
}

bool SeccompFilter::IsTooLong() const { return path_length_ > kMaxPathLength; }

bool SeccompFilter::HasListener() const {
  for (const SeccompFilter* filter = this; filter != nullptr; filter = filter->previous()) {
    if (filter->listener_) return true;
  }
  return false;
}

bool SeccompFilter::Contains(const SeccompFilter* wanted) const {
  for (const SeccompFilter* filter = this; filter != nullptr; filter = filter->previous()) {
    if (filter == wanted) return true;
  }
  return false;
}

SeccompFilter::Verdict SeccompFilter::Ask(const seccomp_data& data) const {
  Verdict verdict{SECCOMP_RET_ALLOW, nullptr};
  for (const SeccompFilter* filter = this; filter != nullptr; filter = filter->previous()) {
    uint32_t value = filter->program_.Run(data);
    if (StrictnessOf(value) < StrictnessOf(verdict.value)) verdict = {value, filter};
  }
  return verdict;
}

RefPtr<SeccompFilter> SeccompState::GetFilter() const {
  MutexLock lock(task_.thread_group_->signal_mu_);
  return filter_;
}

Result<void> SeccompState::SetStrict() {
  MutexLock lock(task_.thread_group_->signal_mu_);
  if (mode() == SECCOMP_MODE_FILTER) return Errno(EINVAL);
  mode_.store(SECCOMP_MODE_STRICT, std::memory_order_release);
  task_.syscall_work.fetch_or(Task::kSeccompWork);
  task_.UpdateSyscallPolicy();
  return Ok();
}

void SeccompState::SetFilterLocked(RefPtr<SeccompFilter> filter) {
  current_.store(filter.get(), std::memory_order_release);
  filter_ = std::move(filter);
  mode_.store(SECCOMP_MODE_FILTER, std::memory_order_release);
  task_.syscall_work.fetch_or(Task::kSeccompWork);
  task_.UpdateSyscallPolicy();
}

void SeccompState::Start(RefPtr<SeccompFilter> filter) {
  MutexLock lock(task_.thread_group_->signal_mu_);
  SetFilterLocked(std::move(filter));
}

void SeccompState::InheritLocked(const SeccompState& parent) {
  no_new_privs_.store(parent.no_new_privs(), std::memory_order_relaxed);
  if (parent.filter_) return SetFilterLocked(parent.filter_);
  if (parent.mode() == 0) return;
  mode_.store(parent.mode(), std::memory_order_release);
  task_.syscall_work.fetch_or(Task::kSeccompWork);
}

void SeccompState::Release() {
  RefPtr<SeccompFilter> old;  // dropped without the lock
  MutexLock lock(task_.thread_group_->signal_mu_);
  current_.store(nullptr, std::memory_order_release);
  old = std::move(filter_);
}

// A thread whose filters are not among the caller's; 0: there is none.
pid_t SeccompState::FindUnrelatedLocked() const {
  task_.thread_group_->signal_mu_.AssertHeld();
  for (const auto& other : task_.thread_group_->tasks_) {
    if (other.get() == &task_ || other->exiting_) continue;
    const SeccompState& state = *other->seccomp_;
    if (state.mode() == 0) continue;
    if (state.mode() == SECCOMP_MODE_FILTER && filter_ && filter_->Contains(state.filter_.get())) continue;
    return other->tid();
  }
  return 0;
}

// EAGAIN: the chain has changed since the filter was made.
Result<pid_t> SeccompState::InstallLocked(const RefPtr<SeccompFilter>& filter,
                                          const InstallOptions& options) {
  if (mode() == SECCOMP_MODE_STRICT) return Errno(EINVAL);
  if (options.listener && filter_ && filter_->HasListener()) return Errno(EBUSY);
  if (filter->previous() != filter_.get()) return Errno(EAGAIN);
  if (filter->IsTooLong()) return Errno(ENOMEM);
  const bool sync = (options.flags & SECCOMP_FILTER_FLAG_TSYNC) != 0;
  const pid_t unrelated = sync ? FindUnrelatedLocked() : 0;
  if (unrelated != 0) {
    if ((options.flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH) != 0) return Errno(ESRCH);
    return unrelated;
  }
  filter->SetInForce();
  SetFilterLocked(filter);
  if (!sync) return 0;
  task_.thread_group_->signal_mu_.AssertHeld();
  const bool no_new_privs = task_.HasNoNewPrivs();
  for (const auto& other : task_.thread_group_->tasks_) {
    if (other.get() == &task_ || other->exiting_) continue;
    other->seccomp_->SetFilterLocked(filter);
    if (no_new_privs) other->seccomp_->no_new_privs_.store(true, std::memory_order_relaxed);
    other->Interrupt();
  }
  return 0;
}

Result<pid_t> SeccompState::Install(SeccompProgram program, const InstallOptions& options) {
  const bool log = (options.flags & SECCOMP_FILTER_FLAG_LOG) != 0;
  const bool sync = (options.flags & SECCOMP_FILTER_FLAG_TSYNC) != 0;
  RefPtr<SeccompFilter> filter;
  for (;;) {
    // Made without the lock; again, should another thread have changed the chain. The listener knows of it
    // only once it is in force.
    filter = MakeRef<SeccompFilter>(program, GetFilter(), log, options.listener);
    MutexLock lock(task_.thread_group_->signal_mu_);
    Result<pid_t> installed = InstallLocked(filter, options);
    if (installed.is(EAGAIN)) continue;
    if (!installed.ok() || *installed != 0) return installed;
    break;
  }
  // No thread makes a call by what the platform knew before. An interruption only shortens the wait.
  if (sync) (void)task_.MemoryBarrier(Task::BarrierScope::kMemory);
  return 0;
}

SyscallDecision SeccompState::Trap(const seccomp_data& data, int data_value) {
  siginfo_t info = MakeSignalInfo(SIGSYS, kSysSeccomp);
  info.si_errno = data_value;
  info.si_call_addr = reinterpret_cast<void*>(data.instruction_pointer);
  info.si_syscall = data.nr;
  info.si_arch = data.arch;
  task_.ForceSignal(info);
  return SyscallDecision::Refuse(static_cast<int64_t>(task_.call_registers().orig_rax));
}

SyscallDecision SeccompState::KillThread(int signal) {
  bool is_last = false;
  {
    MutexLock lock(task_.thread_group_->signal_mu_);
    is_last = task_.thread_group_->live_ == 1;
  }
  if (is_last) {
    task_.PrepareGroupExit(signal);
  } else {
    task_.PrepareExit(signal);
  }
  return SyscallDecision::Refuse(-ENOSYS);
}

SyscallDecision SeccompState::AskTracer(uint32_t message) {
  if (!task_.tracee().HasOption(PTRACE_O_TRACESECCOMP)) return SyscallDecision::Refuse(-ENOSYS);
  task_.tracee().Event(PTRACE_EVENT_SECCOMP, message);
  const Registers& registers = task_.call_registers();
  if (static_cast<int>(registers.orig_rax) < 0 || task_.exit_requested_.load(std::memory_order_acquire))
    return SyscallDecision::Refuse(static_cast<int64_t>(registers.rax));
  return Check(true);  // the other filters' word on what it is now
}

SyscallDecision SeccompState::CheckStrict(int number) {
  if (number == SYS_read || number == SYS_write || number == SYS_exit || number == SYS_rt_sigreturn)
    return {};
  return KillThread(SIGKILL);
}

SyscallDecision SeccompState::Act(SeccompFilter::Verdict verdict, const seccomp_data& data,
                                  bool after_trace) {
  const uint32_t action = verdict.value & SECCOMP_RET_ACTION_FULL;
  const int value = static_cast<int>(verdict.value & SECCOMP_RET_DATA);
  if (verdict.filter != nullptr && (verdict.filter->logs() || action == SECCOMP_RET_LOG)) {
    LOG_DEBUG("seccomp: task {} ({}): system call {} at {:#x}: {:#x}", task_.root_tid(), task_.name(),
              data.nr, data.instruction_pointer, verdict.value);
  }
  switch (action) {
    case SECCOMP_RET_ALLOW:
    case SECCOMP_RET_LOG:
      return {};
    case SECCOMP_RET_ERRNO:
      return SyscallDecision::Refuse(-int64_t{std::min(value, kMaxErrno)});
    case SECCOMP_RET_TRAP:
      return Trap(data, value);
    case SECCOMP_RET_TRACE:
      if (after_trace) return {};
      return AskTracer(static_cast<uint32_t>(value));
    case SECCOMP_RET_USER_NOTIF:
      if (verdict.filter == nullptr || verdict.filter->listener() == nullptr)
        return SyscallDecision::Refuse(-ENOSYS);
      return verdict.filter->listener()->Ask(task_, data);
    case SECCOMP_RET_KILL_THREAD:
      return KillThread(SIGSYS);
    default:  // SECCOMP_RET_KILL_PROCESS, and what nobody knows
      task_.PrepareGroupExit(SIGSYS);
      return SyscallDecision::Refuse(-ENOSYS);
  }
}

SyscallDecision SeccompState::Check(bool after_trace) {
  if (no_new_privs() && !task_.creds().no_new_privs) {
    RefPtr<Credentials> creds = task_.creds().Clone();
    creds->no_new_privs = true;
    task_.SetCreds(std::move(creds));
  }
  const Registers& registers = task_.call_registers();
  const SeccompFilter* filter = this->filter();
  if (filter == nullptr) {
    if (mode() == SECCOMP_MODE_STRICT) return CheckStrict(static_cast<int>(registers.orig_rax));
    return {};
  }
  if (filter->Allows(static_cast<uint32_t>(registers.orig_rax))) return {};
  const seccomp_data data = DataOf(registers);
  return Act(filter->Ask(data), data, after_trace);
}

}  // namespace runsc
