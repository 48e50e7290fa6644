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

constexpr uint64_t kNoAnswer = ~uint64_t{0};

constexpr size_t kXsaveReservedOffset = 464, kXsaveReservedSize = 48;
constexpr size_t kXsaveHeaderOffset = 512, kXsaveHeaderSize = 64;

static_assert(offsetof(ucontext_t, uc_mcontext) == 40);
static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP]) == UC_RIP);
static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_R13]) == UC_R13);
static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RCX]) == UC_RCX);
static_assert(offsetof(ucontext_t, uc_mcontext.fpregs) == UC_FPSTATE);
static_assert(SYSTRAP_INTERRUPT_SIGNAL == SIGURG);
// The registers of a slot are the first ones of Registers.
static_assert(offsetof(Registers, rdi) + 8 == sizeof(SlotIn::registers));

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

// What the instruction does, the site's replacement being there or not.
void BeginCall(Registers& r, uint64_t after_call, SwitchResult& result) {
  r.rip = r.rcx = after_call;
  r.r11 = r.eflags;
  r.orig_rax = r.rax;
  r.rax = static_cast<uint64_t>(-ENOSYS);
  result = {.reason = SwitchResult::Reason::kSyscall};
}

uint64_t Get(const std::atomic<uint64_t>& field) { return field.load(std::memory_order_relaxed); }

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
  partial_ = false;
  LoadFpState(fp_.empty() ? InitialXsave() : fp_);
  fp_.clear();
  WriteKnownResults();
  space.AddContext(this);
  return Ok();
}

void SystrapContext::Detach() {
  fp_.clear();
  if (!space_) return;
  space_->RemoveContext(this);
  partial_ = false;
  ThreadSlot* slot;
  {
    MutexLock lock(mu_);
    slot = std::exchange(slot_, nullptr);
  }
  handover_.PassBaton();
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

SwitchResult SystrapContext::SwitchToCall(AddressSpace& address_space, Registers& registers,
                                          bool single_step) {
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
  if (!partial_ && ((registers.fs_base >= kTaskSize && registers.fs_base != fs_base_) ||
                    (registers.gs_base >= kTaskSize && registers.gs_base != gs_base_)))
    return Fault(registers, SIGSEGV, SI_KERNEL, 0);

  platform_.balancer().Enter(handover_.pair());
  SwitchResult result = Run(registers, single_step);
  running_.store(false, std::memory_order_release);
  platform_.balancer().Leave(handover_.pair());
  return result;
}

SwitchResult SystrapContext::Run(Registers& registers, bool single_step) {
  SlotIn& in = slot_->in();
  while (true) {
    // The word first: an Interrupt between the lines is then seen by the third one, or by the stub.
    if (in.interrupt.load(std::memory_order_relaxed) != 0) in.interrupt.store(0, std::memory_order_seq_cst);
    running_.store(true, std::memory_order_seq_cst);
    platform_.balancer().Look();
    if (interrupt_.load(std::memory_order_seq_cst)) {
      interrupt_.store(false, std::memory_order_seq_cst);
      return {.reason = SwitchResult::Reason::kInterrupted};
    }
    if (space_->gate_closed()) {
      running_.store(false, std::memory_order_seq_cst);
      space_->WaitAtGate();
      continue;
    }
    SwitchResult result;
    const uint32_t epoch = space_->patch_epoch();
    if (single_step || in.load_fp != 0 || epoch != patch_epoch_) CompleteRegisters(registers);
    patch_epoch_ = epoch;
    if (partial_) {
      in.fast = 1;
      in.fast_rax = registers.rax;
    } else {
      if ((single_step || (registers.eflags & kTrapFlag) != 0) && StepOverPatch(registers, result))
        return result;
      LoadRegisters(registers, single_step);
    }
    if (!RunOnce()) return Dead();
    const SlotOut& out = slot_->out();
    const uint32_t kind = out.kind.load(std::memory_order_relaxed);
    const uint32_t what = kind & ((1u << SLOT_KIND_BITS) - 1);
    fp_address_ = what == SLOT_KIND_SITE ? 0 : Get(out.fp);
    if (what == SLOT_KIND_NOT_RESUMED) continue;
    if (in.load_fp != 0) in.load_fp = 0;
    if (what == SLOT_KIND_SITE || what == SLOT_KIND_SITE_FP) {
      ReadSite(kind >> SLOT_KIND_BITS, registers, result);
      return result;
    }
    partial_ = false;
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

bool SystrapContext::StepOverPatch(Registers& registers, SwitchResult& result) {
  auto patched = space_->FindPatched(registers.rip);
  if (!patched) return false;
  const CallSite& site = *patched->site;
  if (registers.rip == site.call_address()) {
    BeginCall(registers, site.after_call(), result);
    return true;
  }
  if (registers.rip != site.address) return false;
  registers.rax = site.number();
  registers.rip = site.call_address();
  result = Fault(registers, SIGTRAP, TRAP_TRACE, registers.rip);
  return true;
}

void SystrapContext::LoadRegisters(const Registers& r, bool single_step) {
  SlotIn& in = slot_->in();
  uint64_t rip = r.rip;
  const uint64_t eflags = (r.eflags & kGuestFlags) | kFixedFlags | (single_step ? kTrapFlag : 0);
  if (auto patched = space_->FindPatched(rip)) rip = MapIn(*patched->site, patched->index, rip);
  in.fast = 0;
  memcpy(in.registers, &r, sizeof(in.registers));
  in.fs_base = r.fs_base;
  in.gs_base = r.gs_base == 0 ? slot_->address() : r.gs_base;
  in.rip = rip;
  in.cs = r.cs == kUserCode32 ? kUserCode32 : kUserCode64;
  in.eflags = eflags;
  in.rsp = r.rsp;
  in.ss = kUserData;
}

void SystrapContext::ReadSite(uint32_t index, Registers& r, SwitchResult& result) {
  const SlotOut& out = slot_->out();
  const CallSite* site = space_->SiteAt(index);
  r.rax = Get(out.call_rax);
  r.rdi = Get(out.rdi);
  r.rsi = Get(out.rsi);
  r.rdx = Get(out.rdx);
  r.r10 = Get(out.r10);
  r.r8 = Get(out.r8);
  r.r9 = Get(out.r9);
  partial_ = true;
  if (site == nullptr) {
    CompleteRegisters(r);
    r.rip = 0;
    result = Fault(r, SIGSEGV, SI_KERNEL, 0);
    return;
  }
  BeginCall(r, site->after_call(), result);
}

void SystrapContext::CompleteRegisters(Registers& r) {
  if (!std::exchange(partial_, false)) return;
  const SlotOut& out = slot_->out();
  r.r15 = Get(out.r15);
  r.r14 = Get(out.r14);
  r.r13 = Get(out.r13);
  r.r12 = Get(out.r12);
  r.rbp = Get(out.rbp);
  r.rbx = Get(out.rbx);
  r.rsp = Get(out.rsp);
  r.r11 = r.eflags = Get(out.flags);
  r.fs_base = fs_base_ = Get(out.fs_base);
  r.gs_base = gs_base_ = 0;
  r.cs = kUserCode64;
  r.ss = kUserData;
  r.ds = r.es = r.fs = r.gs = 0;
}

bool SystrapContext::LeaveTrampoline(Registers& registers, int signal, SwitchResult& result) {
  const uint64_t offset = registers.rip - SITE_CODE;
  if (offset >= SITE_CODE_SIZE) return false;
  const CallSite* site = space_->SiteAt(static_cast<uint32_t>(offset / SITE_SIZE));
  if (site == nullptr) return false;
  const uint64_t at = offset % SITE_SIZE;
  if (at < SITE_TRAP && signal == SIGTRAP) {
    // The jump was single-stepped. What it stands for is one step, too.
    if (at == 0 && site->call != 0) {
      registers.rax = site->number();
      registers.rip = site->call_address();
      return false;
    }
    BeginCall(registers, site->after_call(), result);
    return true;
  }
  if (at < SITE_ENTER) {
    registers.rip = site->address;
  } else if (at <= SITE_TRAP) {
    registers.rip = site->call_address();
  } else if (at < SITE_TAIL) {
    registers.rip = registers.rcx = site->after_call();
  } else if (at < SITE_TAIL + site->tail().size()) {
    registers.rip = site->after_call() + (at - SITE_TAIL);
  } else {
    registers.rip = site->end();
  }
  return false;
}

bool SystrapContext::ReadSignal(Registers& registers, bool single_step, SwitchResult& result) {
  const SlotOut& out = slot_->out();
  PublishedSignal signal;
  signal.number = static_cast<int>(out.signal.load(std::memory_order_relaxed));
  bool found =
      slot_->ReadStack(out.frame.load(std::memory_order_relaxed), &signal.context, sizeof(signal.context)) &&
      slot_->ReadStack(out.info.load(std::memory_order_relaxed), &signal.info, sizeof(signal.info));
  uint64_t stub = platform_.stub_base();
  uint64_t rip = signal.Get(REG_RIP);
  if (!found || (rip >= stub && rip - stub < SYSTRAP_REGION_SIZE)) {
    // A guest has jumped into the stub's code, or has tampered with what it needs.
    result = Fault(registers, SIGSEGV, SI_KERNEL, 0);
    return true;
  }
  CopyRegisters(signal, registers);
  registers.fs_base = fs_base_ = out.fs_base.load(std::memory_order_relaxed);
  registers.gs_base = gs_base_ = out.gs_base.load(std::memory_order_relaxed);
  if (gs_base_ == slot_->address()) registers.gs_base = gs_base_ = 0;
  if (single_step) registers.eflags &= ~kTrapFlag;
  if (signal.info.si_code > 0 && LeaveTrampoline(registers, signal.number, result)) return true;

  if (signal.info.si_code <= 0) {  // sent by somebody
    (void)LeaveTrampoline(registers, signal.number, result);
    return false;
  }
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
      if (signal.number == SIGILL) {
        // A jump of the guest's own to a patched call.
        auto patched = space_->FindPatched(registers.rip);
        if (patched && registers.rip != patched->site->address &&
            registers.rip == patched->site->call_address()) {
          BeginCall(registers, patched->site->after_call(), result);
          return true;
        }
      }
      result = Fault(registers, signal.number, signal.info.si_code,
                     reinterpret_cast<uint64_t>(signal.info.si_addr));
      if (result.address == rip) result.address = registers.rip;
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
  if (at != signal.Get(REG_RIP)) {
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
  if (at == registers.rip) result.hot_call = CountCall(at - 2, registers.orig_rax);
}

uint64_t SystrapContext::CountCall(uint64_t call, uint64_t number) {
  if (!platform_.can_patch() || number == SYS_rt_sigreturn) return 0;
  return space_->call_counter().Count(call) ? call : 0;
}

void SystrapContext::SetKnownResults(std::span<const KnownResult> results) {
  known_results_.assign(results.begin(), results.end());
  if (slot_ != nullptr) WriteKnownResults();
}

void SystrapContext::WriteKnownResults() {
  SlotIn& in = slot_->in();
  for (auto& answer : in.answers) answer.store(kNoAnswer, std::memory_order_relaxed);
  for (auto [number, value] : known_results_)
    if (number < SLOT_ANSWERS) in.answers[number].store(value, std::memory_order_relaxed);
}

void SystrapContext::SaveFpState() {
  SlotIn& in = slot_->in();
  in.save_fp = 1;
  in.fast = 0;
  bool done = RunOnce();
  in.save_fp = 0;
  if (!done) {
    (void)Dead();
    return;
  }
  fp_address_ = slot_->out().fp.load(std::memory_order_relaxed);
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
    if (fp_address_ == 0 && !dead_) SaveFpState();
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
