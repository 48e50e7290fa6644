#include "platform/systrap/systrap_context.h"

#include <linux/audit.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "platform/base/log.h"
#include "platform/host/xsave.h"
#include "platform/systrap/systrap_address_space.h"
#include "platform/systrap/systrap_platform.h"

namespace runsc {

// Local copies of a signal frame's parts.
struct PublishedSignal {
  int number = 0;
  struct {
    uint64_t flags, link, stack[3];
    int64_t registers[NGREG];
  } context = {};
  siginfo_t info = {};

  uint64_t Get(int index) const { return static_cast<uint64_t>(context.registers[index]); }
};

namespace {

constexpr uint64_t kTaskSize = STUB_TASK_SIZE;
constexpr uint64_t kUserCode64 = 0x33, kUserCode32 = 0x23, kUserData = 0x2b;
constexpr uint64_t kNoSyscall = ~uint64_t{0};
constexpr uint64_t kTrapFlag = 0x100;
// CF PF AF ZF SF TF DF OF RF AC ID.
constexpr uint64_t kGuestFlags = 0x250dd5, kFixedFlags = 0x202;
constexpr int64_t kPageFault = 14;  // trapno
constexpr int64_t kFaultWrite = 2, kFaultFetch = 16;

constexpr int kCheckIntervalMs = 50;
// A stub that does not answer an interrupt for this long runs stub code that a guest has got hold of.
constexpr int kGiveUpAfterChecks = 20'000 / kCheckIntervalMs;

constexpr size_t kXsaveReservedOffset = 464, kXsaveReservedSize = 48;
constexpr size_t kXsaveHeaderOffset = 512, kXsaveHeaderSize = 64;

static_assert(offsetof(ucontext_t, uc_mcontext) == 40);
static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP]) == UC_RIP);
static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_R13]) == UC_R13);
static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RCX]) == UC_RCX);
static_assert(offsetof(ucontext_t, uc_mcontext.fpregs) == UC_FPSTATE);
static_assert(SYSTRAP_INTERRUPT_SIGNAL == SIGURG);

bool IsCanonical(uint64_t address) {
  return static_cast<int64_t>(address << 16) >> 16 == static_cast<int64_t>(address);
}

SwitchResult Fault(Registers& registers, int signal, int code, uint64_t address) {
  registers.orig_rax = kNoSyscall;
  return {SwitchResult::Reason::kFault, signal, code, address, SwitchResult::Access::kUnknown};
}

SwitchResult FetchFault(Registers& registers) {
  SwitchResult result = Fault(registers, SIGSEGV, SEGV_MAPERR, registers.rip);
  result.access = SwitchResult::Access::kExecute;
  return result;
}

void CopyRegisters(const PublishedSignal& signal, Registers& r) {
  r.r8 = signal.Get(REG_R8);
  r.r9 = signal.Get(REG_R9);
  r.r10 = signal.Get(REG_R10);
  r.r11 = signal.Get(REG_R11);
  r.r12 = signal.Get(REG_R12);
  r.r13 = signal.Get(REG_R13);
  r.r14 = signal.Get(REG_R14);
  r.r15 = signal.Get(REG_R15);
  r.rdi = signal.Get(REG_RDI);
  r.rsi = signal.Get(REG_RSI);
  r.rbp = signal.Get(REG_RBP);
  r.rbx = signal.Get(REG_RBX);
  r.rdx = signal.Get(REG_RDX);
  r.rax = signal.Get(REG_RAX);
  r.rcx = signal.Get(REG_RCX);
  r.rsp = signal.Get(REG_RSP);
  r.rip = signal.Get(REG_RIP);
  r.eflags = signal.Get(REG_EFL);
  r.cs = signal.Get(REG_CSGSFS) & 0xffff;
  r.ss = kUserData;
  r.ds = r.es = r.fs = r.gs = 0;
  r.orig_rax = kNoSyscall;
}

}  // namespace

SystrapContext::SystrapContext(SystrapPlatform& platform)
    : platform_(platform), handover_(platform.balancer()) {}

Result<void> SystrapContext::Attach(SystrapAddressSpace& space) {
  ASSIGN_OR_RETURN(ThreadSlot * slot, space.TakeSlot());
  platform_.balancer().Add(handover_.pair(), slot->tid);
  space_ = RefPtr<SystrapAddressSpace>(&space);
  dead_ = false;
  {
    MutexLock lock(mu_);
    slot_ = slot;
  }
  LoadFpState(fp_.empty() ? InitialXsave() : fp_);
  fp_.clear();
  return Ok();
}

void SystrapContext::Detach() {
  fp_.clear();
  if (!space_) return;
  ThreadSlot* slot;
  {
    MutexLock lock(mu_);
    slot = std::exchange(slot_, nullptr);
  }
  platform_.balancer().Remove(handover_.pair());
  if (!dead_) space_->ReturnSlot(slot);
  space_.reset();
  dead_ = false;
}

void SystrapContext::Kick() {
  slot_->in().interrupt.store(1, std::memory_order_seq_cst);
  if (running_.load(std::memory_order_seq_cst))
    syscall(SYS_tgkill, space_->pid(), slot_->tid, SYSTRAP_INTERRUPT_SIGNAL);
}

void SystrapContext::Interrupt() {
  // One that is under way already does for this one, too.
  if (interrupt_.exchange(true, std::memory_order_seq_cst)) return;
  if (!running_.load(std::memory_order_seq_cst)) return;
  MutexLock lock(mu_);
  if (slot_ != nullptr) Kick();
}

SwitchResult SystrapContext::Dead() {
  if (space_) space_->MarkDead();
  dead_ = true;
  return {.reason = SwitchResult::Reason::kDead};
}

SwitchResult SystrapContext::Switch(AddressSpace& address_space, Registers& registers, bool single_step) {
  auto& space = static_cast<SystrapAddressSpace&>(address_space);
  if (space_.get() != &space) {
    if (space_) Detach();
    Result<void> attached = Attach(space);
    if (!attached.ok()) {
      LOG_WARNING("no stub thread in process {}: {}", space.pid(), attached.error().name());
      bool refused = attached.is(EAGAIN) || attached.is(ENOMEM);
      return {.reason = refused ? SwitchResult::Reason::kNoThread : SwitchResult::Reason::kDead};
    }
  }
  if (dead_) return Dead();

  // What cannot be loaded is a fault of guest code. Segment bases that it has set itself
  // pass.
  if (registers.rip >= kTaskSize) {
    if (!IsCanonical(registers.rip)) return Fault(registers, SIGSEGV, SI_KERNEL, 0);
    return FetchFault(registers);
  }
  if ((registers.fs_base >= kTaskSize && registers.fs_base != fs_base_) ||
      (registers.gs_base >= kTaskSize && registers.gs_base != gs_base_))
    return Fault(registers, SIGSEGV, SI_KERNEL, 0);

  running_.store(true, std::memory_order_seq_cst);
  platform_.balancer().Enter(handover_.pair());
  SwitchResult result = Run(registers, single_step);
  platform_.balancer().Leave(handover_.pair());
  running_.store(false, std::memory_order_relaxed);
  return result;
}

SwitchResult SystrapContext::Run(Registers& registers, bool single_step) {
  SlotIn& in = slot_->in();
  while (true) {
    // The word first: an Interrupt between the two lines is then seen by the second one, or by the stub.
    if (in.interrupt.load(std::memory_order_relaxed) != 0) in.interrupt.store(0, std::memory_order_seq_cst);
    if (interrupt_.load(std::memory_order_seq_cst)) {
      interrupt_.store(false, std::memory_order_seq_cst);
      return {.reason = SwitchResult::Reason::kInterrupted};
    }
    LoadRegisters(registers, single_step);
    if (!RunOnce()) return Dead();
    const SlotOut& out = slot_->out();
    fp_address_ = out.fp.load(std::memory_order_relaxed);
    if (out.kind.load(std::memory_order_relaxed) == SLOT_KIND_NOT_RESUMED) continue;
    in.load_fp = 0;
    SwitchResult result;
    if (ReadSignal(registers, single_step, result)) return result;
  }
}

bool SystrapContext::RunOnce() {
  handover_.Begin(*slot_);
  for (int unanswered = 0; !handover_.Wait(*slot_, kCheckIntervalMs);) {
    if (!space_->CheckAlive()) return false;
    if (!interrupt_.load(std::memory_order_seq_cst)) continue;
    Kick();
    if (++unanswered < kGiveUpAfterChecks) continue;
    space_->Kill();
    return false;
  }
  return true;
}

void SystrapContext::LoadRegisters(const Registers& r, bool single_step) {
  SlotIn& in = slot_->in();
  in.r15 = r.r15;
  in.r14 = r.r14;
  in.r13 = r.r13;
  in.r12 = r.r12;
  in.rbp = r.rbp;
  in.rbx = r.rbx;
  in.r11 = r.r11;
  in.r10 = r.r10;
  in.r9 = r.r9;
  in.r8 = r.r8;
  in.rax = r.rax;
  in.rcx = r.rcx;
  in.rdx = r.rdx;
  in.rsi = r.rsi;
  in.rdi = r.rdi;
  in.fs_base = r.fs_base;
  in.gs_base = r.gs_base;
  in.rip = r.rip;
  in.cs = r.cs == kUserCode32 ? kUserCode32 : kUserCode64;
  in.eflags = (r.eflags & kGuestFlags) | kFixedFlags | (single_step ? kTrapFlag : 0);
  in.rsp = r.rsp;
  in.ss = kUserData;
}

bool SystrapContext::ReadSignal(Registers& registers, bool single_step, SwitchResult& result) {
  const SlotOut& out = slot_->out();
  PublishedSignal signal;
  signal.number = static_cast<int>(out.signal.load(std::memory_order_relaxed));
  bool found =
      slot_->ReadStack(out.frame.load(std::memory_order_relaxed), &signal.context, sizeof(signal.context)) &&
      slot_->ReadStack(out.info.load(std::memory_order_relaxed), &signal.info, sizeof(signal.info));
  uint64_t stub = platform_.max_address();
  uint64_t rip = signal.Get(REG_RIP);
  if (!found || (rip >= stub && rip - stub < SYSTRAP_REGION_SIZE)) {
    // A guest has jumped into the stub's code, or has tampered with what it needs.
    result = Fault(registers, SIGSEGV, SI_KERNEL, 0);
    return true;
  }
  CopyRegisters(signal, registers);
  registers.fs_base = fs_base_ = out.fs_base.load(std::memory_order_relaxed);
  registers.gs_base = gs_base_ = out.gs_base.load(std::memory_order_relaxed);
  if (single_step) registers.eflags &= ~kTrapFlag;

  if (signal.info.si_code <= 0) return false;  // sent by somebody
  switch (signal.number) {
    case SIGSYS:
      SystemCallSignal(registers, signal, result);
      if (single_step && result.reason == SwitchResult::Reason::kSyscall) registers.r11 &= ~kTrapFlag;
      return true;
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
      result = Fault(registers, signal.number, signal.info.si_code,
                     reinterpret_cast<uint64_t>(signal.info.si_addr));
      break;
    default:
      return false;
  }
  if (signal.context.registers[REG_TRAPNO] == kPageFault) {
    int64_t error = signal.context.registers[REG_ERR];
    result.access = (error & kFaultFetch) != 0   ? SwitchResult::Access::kExecute
                    : (error & kFaultWrite) != 0 ? SwitchResult::Access::kWrite
                                                 : SwitchResult::Access::kRead;
  }
  return true;
}

void SystrapContext::SystemCallSignal(Registers& registers, const PublishedSignal& signal,
                                      SwitchResult& result) {
  if (signal.info.si_arch != AUDIT_ARCH_X86_64) {
    // 32-bit entry points are what they are on a kernel without IA32 emulation: a
    // general protection fault at the instruction.
    if (registers.cs == kUserCode64) registers.rip -= 2;  // int 0x80
    result = Fault(registers, SIGSEGV, SI_KERNEL, 0);
    return;
  }
  uint64_t at = reinterpret_cast<uint64_t>(signal.info.si_call_addr);
  if (at != registers.rip) {
    // The host's vsyscall page, emulated on a page fault, asked the filter. As
    // though it were not there: the call's return address goes back onto the stack.
    registers.rip = at;
    registers.rsp -= 8;
    result = FetchFault(registers);
    return;
  }
  registers.orig_rax = registers.rax;
  registers.rax = static_cast<uint64_t>(-ENOSYS);
  result = {.reason = SwitchResult::Reason::kSyscall};
}

void SystrapContext::LoadFpState(std::span<const std::byte> state) {
  memcpy(slot_->in_fp(), state.data(), std::min(state.size(), ThreadSlot::kMaxFpState));
  slot_->in().load_fp = 1;
}

Result<void> SystrapContext::GetFpState(std::span<std::byte> xsave) {
  if (xsave.size() < XsaveSize()) return Errno(EINVAL);
  std::vector<std::byte> state;
  if (slot_ == nullptr) {
    state = fp_.empty() ? InitialXsave() : fp_;
  } else if (slot_->in().load_fp != 0) {
    state.assign(slot_->in_fp(), slot_->in_fp() + XsaveSize());
  } else {
    auto frame = slot_->FpState(fp_address_, XsaveSize());
    state.assign(frame.begin(), frame.end());
    state.resize(XsaveSize());
    // The host keeps notes of its own where software may.
    memset(state.data() + kXsaveReservedOffset, 0, kXsaveReservedSize);
    uint64_t present;
    memcpy(&present, state.data() + kXsaveHeaderOffset, sizeof(present));
    present &= XsaveFeatures();
    memset(state.data() + kXsaveHeaderOffset, 0, kXsaveHeaderSize);
    memcpy(state.data() + kXsaveHeaderOffset, &present, sizeof(present));
    // Only a guest can have made nonsense of it.
    if (!ValidateXsave(state).ok()) state = InitialXsave();
  }
  std::copy(state.begin(), state.end(), xsave.begin());
  return Ok();
}

Result<void> SystrapContext::SetFpState(std::span<const std::byte> xsave) {
  RETURN_IF_ERROR(ValidateXsave(xsave));
  std::vector<std::byte> state(XsaveSize());
  std::copy(xsave.begin(), xsave.end(), state.begin());
  if (slot_ != nullptr) {
    LoadFpState(state);
  } else {
    fp_ = std::move(state);
  }
  return Ok();
}

}  // namespace runsc
