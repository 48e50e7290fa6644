#include "platform/ptrace/ptrace_context.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "platform/base/log.h"
#include "platform/host/xsave.h"
#include "platform/ptrace/ptrace_address_space.h"
#include "platform/ptrace/ptrace_platform.h"

namespace runsc {
namespace {

// Interrupt's signal: the host ignores it unless the thread is traced, so that a late
// one does nothing to a parked thread.
constexpr int kInterruptSignal = SIGURG;

constexpr uint64_t kUserCode64 = 0x33;
constexpr uint64_t kNoSyscall = ~uint64_t{0};

bool IsCanonical(uint64_t address) {
  return static_cast<int64_t>(address << 16) >> 16 == static_cast<int64_t>(address);
}

bool IsFaultSignal(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGTRAP ||
         signal == SIGSYS;
}

}  // namespace

Result<void> PtraceContext::Attach(PtraceAddressSpace& space) {
  ASSIGN_OR_RETURN(pid_t tid, space.TakeThread());
  platform_.balancer().Add(pair_, tid);
  RETURN_IF_ERROR(thread_.Attach(space.pid(), tid));
  if (fp_.empty()) fp_ = InitialXsave();
  Result<void> loaded = thread_.SetFpState(fp_);
  fp_.clear();
  space_ = RefPtr<PtraceAddressSpace>(&space);
  target_.store(static_cast<uint64_t>(space.pid()) << 32 | static_cast<uint32_t>(tid));
  return loaded;
}

void PtraceContext::Detach() {
  fp_.clear();
  if (!space_) return;
  PtraceAddressSpace::SetBorrowable(nullptr, nullptr);
  platform_.balancer().Remove(pair_);
  target_.store(0);
  if (thread_.attached()) {
    pid_t tid = thread_.tid();
    if (thread_.tracer() != static_cast<pid_t>(syscall(SYS_gettid))) {
      LOG_ERROR("context of stub thread {} dropped by a thread that does not trace it: process killed", tid);
      kill(thread_.pid(), SIGKILL);
      space_->MarkDead();
    } else {
      bool park = space_->WantsThread();
      Result<void> detached = thread_.Detach(park ? platform_.code().park : platform_.code().exit);
      if (!detached.ok()) {
        space_->MarkDead();
      } else if (park) {
        space_->ReturnThread(tid);
      }
    }
  }
  thread_ = StubThread();
  space_.reset();
}

void PtraceContext::Interrupt() {
  interrupt_.store(true, std::memory_order_seq_cst);
  if (!running_.load(std::memory_order_seq_cst)) return;
  uint64_t target = target_.load();
  if (target == 0) return;
  syscall(SYS_tgkill, static_cast<pid_t>(target >> 32), static_cast<pid_t>(target), kInterruptSignal);
}

SwitchResult PtraceContext::Dead() {
  if (space_) space_->MarkDead();
  if (thread_.attached()) thread_.Bury();
  return {.reason = SwitchResult::Reason::kDead};
}

SwitchResult PtraceContext::Fault(Registers& registers, int signal, int code, uint64_t address) {
  registers.orig_rax = kNoSyscall;
  SwitchResult result = {SwitchResult::Reason::kFault, signal, code, address, SwitchResult::Access::kUnknown};
  // A fault at rip is one of fetching, unless an instruction touches its own bytes:
  // then making them executable does not help, and it faults there again.
  bool at_rip = signal == SIGSEGV && address == registers.rip;
  if (at_rip && last_execute_fault_ != address) result.access = SwitchResult::Access::kExecute;
  last_execute_fault_ = at_rip && result.access == SwitchResult::Access::kExecute ? address : kNoSyscall;
  return result;
}

SwitchResult PtraceContext::SwitchToCall(AddressSpace& address_space, Registers& registers,
                                         bool single_step) {
  auto& space = static_cast<PtraceAddressSpace&>(address_space);
  if (space_.get() != &space) {
    if (space_) Detach();
    Result<void> attached = Attach(space);
    if (!attached.ok()) {
      LOG_WARNING("no stub thread in process {}: {}", space.pid(), attached.error().name());
      if (!space_) platform_.balancer().Remove(pair_);
      if (attached.is(EAGAIN) || attached.is(ENOMEM)) return {.reason = SwitchResult::Reason::kNoThread};
      return Dead();
    }
  }
  if (!thread_.attached()) return Dead();

  // What the host would refuse to load is a fault of guest code. Segment bases that it
  // has set itself pass: they are not loaded again. Beyond the guest's end there is the stub, whose
  // code the host would run.
  if (registers.rip >= platform_.max_address()) {
    if (!IsCanonical(registers.rip)) return Fault(registers, SIGSEGV, SI_KERNEL, 0);
    SwitchResult fault = Fault(registers, SIGSEGV, SEGV_MAPERR, registers.rip);
    fault.access = SwitchResult::Access::kExecute;
    return fault;
  }
  if (thread_.WouldRefuse(registers)) return Fault(registers, SIGSEGV, SI_KERNEL, 0);

  PtraceAddressSpace::SetBorrowable(&space, &thread_);
  platform_.balancer().Enter(pair_);
  running_.store(true, std::memory_order_seq_cst);
  platform_.balancer().Look();
  SwitchResult result = Run(registers, single_step);
  platform_.balancer().Leave(pair_);
  running_.store(false, std::memory_order_relaxed);
  return result;
}

SwitchResult PtraceContext::Run(Registers& registers, bool single_step) {
  if (interrupt_.load(std::memory_order_seq_cst)) {
    interrupt_.store(false, std::memory_order_relaxed);
    return {.reason = SwitchResult::Reason::kInterrupted};
  }
  if (!thread_.SetRegisters(registers)) return Dead();
  while (true) {
    int status = thread_.ResumeAndWait(single_step ? PTRACE_SYSEMU_SINGLESTEP : PTRACE_SYSEMU);
    if (status < 0) return Dead();
    if (status >> 8 == (SIGTRAP | 0x80)) return SyscallStop(registers);
    if (status >> 16 == 0 && IsFaultSignal(WSTOPSIG(status))) {
      SwitchResult result;
      if (SignalStop(registers, WSTOPSIG(status), result)) return result;
    }
    if (interrupt_.exchange(false)) {
      if (!thread_.GetRegisters(registers)) return Dead();
      registers.orig_rax = kNoSyscall;
      return {.reason = SwitchResult::Reason::kInterrupted};
    }
  }
}

SwitchResult PtraceContext::SyscallStop(Registers& registers) {
  if (!thread_.GetRegisters(registers)) return Dead();
  if (thread_.StoppedInNativeSyscall()) return {.reason = SwitchResult::Reason::kSyscall};
  // 32-bit entry points are what they are on a kernel without IA32 emulation: a
  // general protection fault at the instruction.
  registers.rax = registers.orig_rax;
  if (registers.cs == kUserCode64) registers.rip -= 2;  // int 0x80
  return Fault(registers, SIGSEGV, SI_KERNEL, 0);
}

bool PtraceContext::SignalStop(Registers& registers, int signal, SwitchResult& result) {
  siginfo_t info = {};
  if (!thread_.GetSignalInfo(&info) || info.si_code <= 0) return false;  // dead, or sent by somebody
  if (!thread_.GetRegisters(registers)) return false;
  if (signal == SIGSYS) {
    // The host's vsyscall page, emulated on a page fault, asked the filter. As
    // though it were not there: the call's return address goes back onto the stack.
    registers.rip = reinterpret_cast<uint64_t>(info.si_call_addr);
    registers.rsp -= 8;
    result = Fault(registers, SIGSEGV, SEGV_MAPERR, registers.rip);
    result.access = SwitchResult::Access::kExecute;
    return true;
  }
  result = Fault(registers, signal, info.si_code, reinterpret_cast<uint64_t>(info.si_addr));
  return true;
}

Result<void> PtraceContext::GetFpState(std::span<std::byte> xsave) {
  if (xsave.size() < XsaveSize()) return Errno(EINVAL);
  if (thread_.attached()) return thread_.GetFpState(xsave.first(XsaveSize()));
  std::vector<std::byte> state = fp_.empty() ? InitialXsave() : fp_;
  std::copy(state.begin(), state.end(), xsave.begin());
  return Ok();
}

Result<void> PtraceContext::SetFpState(std::span<const std::byte> xsave) {
  RETURN_IF_ERROR(ValidateXsave(xsave));
  // The host takes whole areas only.
  std::vector<std::byte> state(XsaveSize());
  std::copy(xsave.begin(), xsave.end(), state.begin());
  if (thread_.attached()) return thread_.SetFpState(state);
  fp_ = std::move(state);
  return Ok();
}

}  // namespace runsc
