// System calls, faults, registers, FP state.
#include <signal.h>
#include <sys/wait.h>

#include <cstddef>

#include "test/platform/guest.h"

namespace runsc::platform_test {
namespace {

GUEST(syscall_args,
      "mov $1000, %eax; mov $1, %edi; mov $2, %esi; mov $3, %edx; mov $4, %r10d; mov $5, %r8d; mov $6, %r9d\n"
      "syscall\n"
      "mov %rax, %rbx; mov %rcx, %r12; mov %r11, %r13\n"
      "mov $1001, %eax; syscall\n");

TEST(SyscallNumberAndArguments) {
  Guest guest(platform);
  guest.Load(guest_syscall_args, guest_syscall_args_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  SwitchResult s = context->Switch(guest.space(), r, false);
  EXPECT(s.reason == Reason::kSyscall);
  EXPECT_EQ(r.orig_rax, 1000u);
  EXPECT_EQ(static_cast<int64_t>(r.rax), -ENOSYS);
  EXPECT_EQ(r.rdi, 1u);
  EXPECT_EQ(r.rsi, 2u);
  EXPECT_EQ(r.rdx, 3u);
  EXPECT_EQ(r.r10, 4u);
  EXPECT_EQ(r.r8, 5u);
  EXPECT_EQ(r.r9, 6u);
  uint64_t rip = r.rip;
  EXPECT_EQ(r.rcx, rip);
  EXPECT_EQ(memcmp(guest.memory() + (rip - kCode) - 2, "\x0f\x05", 2), 0);
  r.rax = 0x123456789abcdef0;
  s = context->Switch(guest.space(), r, false);
  EXPECT(s.reason == Reason::kSyscall);
  EXPECT_EQ(r.orig_rax, 1001u);
  EXPECT_EQ(r.rbx, 0x123456789abcdef0u);
  EXPECT_EQ(r.r12, rip);
  EXPECT_EQ(r.r13 & 0x200, 0x200u);
}

// Results that look like the host's restart codes are results, and do not restart.
GUEST(loop_syscall, "1: mov $7, %eax; syscall; mov %rax, %rbx; inc %r15; jmp 1b\n");

TEST(RestartCodesAreOrdinaryResults) {
  Guest guest(platform);
  guest.Load(guest_loop_syscall, guest_loop_syscall_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  for (int64_t code : {-512, -513, -514, -516, -4, 0, 512}) {
    uint64_t count = r.r15;
    r.rax = static_cast<uint64_t>(code);
    context->Interrupt();
    EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kInterrupted);
    EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
    EXPECT_EQ(static_cast<int64_t>(r.rbx), code);
    EXPECT_EQ(r.r15, count + 1);
    EXPECT_EQ(r.orig_rax, 7u);
  }
}

// rcx and r11 are what the Sentry says (sigreturn needs that), not what sysret made.
GUEST(keep_rcx, "mov $7, %eax; syscall; mov %rcx, %rbx; mov %r11, %r12; mov $8, %eax; syscall\n");

TEST(SentryMaySetEveryRegister) {
  Guest guest(platform);
  guest.Load(guest_keep_rcx, guest_keep_rcx_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  r.rcx = 0x1111;
  r.r11 = 0x2222;
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  EXPECT_EQ(r.rbx, 0x1111u);
  EXPECT_EQ(r.r12, 0x2222u);
}

GUEST(read_fault, "movabs $0x7000000123, %rax; mov (%rax), %bl; hlt\n");
GUEST(write_fault, "movabs $0x7000000123, %rax; mov %bl, (%rax); hlt\n");
GUEST(exec_fault, "movabs $0x7000000123, %rax; jmp *%rax\n");
GUEST(readonly_fault, "mov $0x400010, %eax; mov %bl, (%rax)\n");
GUEST(noncanonical, "movabs $0x8000000000000000, %rax; mov (%rax), %bl\n");
GUEST(jump_noncanonical, "movabs $0x8000000000000000, %rax; jmp *%rax\n");
GUEST(divide, "xor %ecx, %ecx; div %ecx\n");
GUEST(illegal, "ud2\n");
GUEST(breakpoint, "int3\n");
GUEST(privileged, "hlt\n");
GUEST(port, "in $0x60, %al\n");

SwitchResult RunOnce(Platform& platform, const char* begin, const char* end, Registers* out = nullptr) {
  Guest guest(platform);
  guest.Load(begin, end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  SwitchResult s = context->Switch(guest.space(), r, false);
  if (out != nullptr) *out = r;
  return s;
}
#define RUN(name, ...) RunOnce(platform, guest_##name, guest_##name##_end __VA_OPT__(, ) __VA_ARGS__)

TEST(Faults) {
  Registers r;
  SwitchResult s = RUN(read_fault, &r);
  EXPECT(s.reason == Reason::kFault);
  EXPECT_EQ(s.signal, SIGSEGV);
  EXPECT_EQ(s.code, SEGV_MAPERR);
  EXPECT_EQ(s.address, 0x7000000123u);
  EXPECT_EQ(r.rip, kCode + 10);
  s = RUN(write_fault);
  EXPECT(s.reason == Reason::kFault && s.signal == SIGSEGV);
  EXPECT_EQ(s.address, 0x7000000123u);
  s = RUN(exec_fault, &r);
  EXPECT(s.reason == Reason::kFault && s.signal == SIGSEGV);
  EXPECT_EQ(s.address, 0x7000000123u);
  EXPECT_EQ(r.rip, 0x7000000123u);
  EXPECT(s.access == SwitchResult::Access::kExecute);
  s = RUN(readonly_fault);
  EXPECT(s.reason == Reason::kFault && s.signal == SIGSEGV);
  EXPECT_EQ(s.code, SEGV_ACCERR);
  EXPECT_EQ(s.address, 0x400010u);
  struct Case {
    const char* begin;
    const char* end;
    int signal;
  };
  for (auto [begin, end, signal] :
       {Case{guest_noncanonical, guest_noncanonical_end, SIGSEGV},
        Case{guest_jump_noncanonical, guest_jump_noncanonical_end, SIGSEGV},
        Case{guest_divide, guest_divide_end, SIGFPE}, Case{guest_illegal, guest_illegal_end, SIGILL},
        Case{guest_privileged, guest_privileged_end, SIGSEGV}, Case{guest_port, guest_port_end, SIGSEGV},
        Case{guest_breakpoint, guest_breakpoint_end, SIGTRAP}}) {
    s = RunOnce(platform, begin, end, &r);
    EXPECT(s.reason == Reason::kFault);
    EXPECT_EQ(s.signal, signal);
    EXPECT(s.code > 0);
  }
  EXPECT_EQ(r.rip, kCode + 1);  // behind int3
}

// Beyond the end of the file.
GUEST(bus_fault, "mov $0x900000, %eax; mov (%rax), %bl\n");

TEST(BusError) {
  Guest guest(platform);
  guest.Load(guest_bus_fault, guest_bus_fault_end);
  EXPECT(guest.space().MapFile(0x900000, guest.fd(), 64 * kPage, kPage, {PROT_READ}).ok());
  auto context = guest.NewContext();
  Registers r = guest.Start();
  SwitchResult s = context->Switch(guest.space(), r, false);
  EXPECT(s.reason == Reason::kFault);
  EXPECT_EQ(s.signal, SIGBUS);
  EXPECT_EQ(s.address, 0x900000u);
}

// A fault that the Sentry repairs: the instruction runs as though nothing had been.
TEST(FaultThenMap) {
  Guest guest(platform);
  guest.Load(guest_read_fault, guest_read_fault_end);
  guest.memory()[20 * kPage + 0x123] = 0x5a;
  auto context = guest.NewContext();
  Registers r = guest.Start();
  r.rbx = ~uint64_t{0};
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kFault);
  EXPECT(guest.space().MapFile(0x7000000000, guest.fd(), 20 * kPage, kPage, {PROT_READ}).ok());
  SwitchResult s = context->Switch(guest.space(), r, false);  // to the hlt
  EXPECT(s.reason == Reason::kFault);
  EXPECT_EQ(s.signal, SIGSEGV);
  EXPECT_EQ(r.rbx, 0xffffffffffffff5au);
  EXPECT_EQ(r.rax, 0x7000000123u);
}

GUEST(int80, "mov $20, %eax; int $0x80; ud2\n");
GUEST(int80_forged, "mov $20, %eax; lea 1f(%rip), %rcx; pushf; pop %r11; int $0x80; 1: ud2\n");
GUEST(sysenter, "mov $20, %eax; mov %rsp, %rbp; sysenter; ud2\n");
// Through a far return into a 32-bit code segment, then int 0x80 there.
GUEST(compat,
      "push $0x23; lea 1f(%rip), %rax; push %rax; lretq; 1: .byte 0xb8,20,0,0,0, 0xcd,0x80, 0x0f,0x0b\n");

TEST(LegacyEntriesAreNotSystemCalls) {
  Registers r;
  SwitchResult s = RUN(int80, &r);
  EXPECT(s.reason == Reason::kFault);
  EXPECT_EQ(s.signal, SIGSEGV);
  EXPECT_EQ(r.rip, kCode + 5);
  s = RUN(int80_forged, &r);  // either is safe: the guest might have used `syscall`
  EXPECT(s.reason == Reason::kFault || (s.reason == Reason::kSyscall && r.orig_rax == 20));
  s = RUN(sysenter);
  EXPECT(s.reason == Reason::kFault);
  s = RUN(compat);
  EXPECT(s.reason == Reason::kFault);
}

GUEST(vsyscall, "mov $0xffffffffff600400, %rax; mov $0, %edi; call *%rax; ud2\n");

TEST(VsyscallPageFaults) {
  Registers r;
  SwitchResult s = RUN(vsyscall, &r);
  EXPECT(s.reason == Reason::kFault);
  EXPECT_EQ(s.signal, SIGSEGV);
  EXPECT_EQ(s.address, 0xffffffffff600400u);
  EXPECT_EQ(r.rip, 0xffffffffff600400u);
  EXPECT_EQ(r.rsp, kStackTop - 8);
  EXPECT(s.access == SwitchResult::Access::kExecute);
}

TEST(RegistersTheHostRefuses) {
  Guest guest(platform);
  guest.Load(guest_loop_syscall, guest_loop_syscall_end);
  auto context = guest.NewContext();
  for (uint64_t bad :
       {0x8000000000000000u, 0xffff800000000000u, 0x800000000000u, 0xffffffffff600000u, ~uint64_t{0}}) {
    for (uint64_t Registers::*field : {&Registers::rip, &Registers::fs_base, &Registers::gs_base}) {
      Registers r = guest.Start();
      r.*field = bad;
      SwitchResult s = context->Switch(guest.space(), r, false);
      EXPECT(s.reason == Reason::kFault);
      EXPECT_EQ(s.signal, SIGSEGV);
    }
  }
  // Whatever else is in the registers is made safe or is the guest's own problem.
  for (uint64_t bad : {uint64_t{0}, uint64_t{1}, uint64_t{8}, uint64_t{0x10}, uint64_t{0x18}, uint64_t{0x7b},
                       uint64_t{0xfff3}, ~uint64_t{0}}) {
    for (uint64_t Registers::*field :
         {&Registers::cs, &Registers::ss, &Registers::ds, &Registers::es, &Registers::fs, &Registers::gs,
          &Registers::orig_rax, &Registers::rsp}) {
      Registers r = guest.Start();
      r.*field = bad;
      SwitchResult s = context->Switch(guest.space(), r, false);
      EXPECT(s.reason == Reason::kSyscall);
      EXPECT_EQ(r.cs, 0x33u);
    }
  }
  Registers r = guest.Start();
  r.eflags = ~uint64_t{0} & ~uint64_t{0x100};
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  EXPECT_EQ(r.eflags & 0x3000, 0u);  // no I/O privilege
  r = guest.Start();
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
}

GUEST(tls,
      "mov %fs:0, %rbx; mov %gs:8, %r12; mov $7, %eax; syscall\n"
      "mov %fs:0, %rbx; mov %gs:8, %r12; mov $7, %eax; syscall\n");

TEST(SegmentBases) {
  Guest guest(platform);
  guest.Load(guest_tls, guest_tls_end);
  guest.Data<uint64_t>(0x100) = 0xaaaa;
  guest.Data<uint64_t>(0x208) = 0xbbbb;
  guest.Data<uint64_t>(0x300) = 0xcccc;
  auto context = guest.NewContext();
  Registers r = guest.Start();
  r.fs_base = kData + 0x100;
  r.gs_base = kData + 0x200;
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  EXPECT_EQ(r.rbx, 0xaaaau);
  EXPECT_EQ(r.r12, 0xbbbbu);
  r.fs_base = kData + 0x300;
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  EXPECT_EQ(r.rbx, 0xccccu);
  EXPECT_EQ(r.r12, 0xbbbbu);
}

// A base in the kernel half, which user code may load but ptrace refuses to.
GUEST(wrfsbase,
      "movabs $0xffff800000001000, %rax; wrfsbase %rax; mov $7, %eax; syscall; rdfsbase %rbx; mov $8, %eax; "
      "syscall\n");

TEST(GuestSetsKernelHalfBase) {
  Guest guest(platform);
  guest.Load(guest_wrfsbase, guest_wrfsbase_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  SwitchResult s = context->Switch(guest.space(), r, false);
  if (s.reason == Reason::kFault && s.signal == SIGILL) return;  // no FSGSBASE on this host
  EXPECT(s.reason == Reason::kSyscall);
  s = context->Switch(guest.space(), r, false);
  EXPECT(s.reason == Reason::kSyscall);
  EXPECT_EQ(r.orig_rax, 8u);
  EXPECT_EQ(r.rbx, 0xffff800000001000u);
}

GUEST(steps, "inc %rbx; inc %rbx; mov $7, %eax; syscall; inc %rbx\n");

TEST(SingleStep) {
  Guest guest(platform);
  guest.Load(guest_steps, guest_steps_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  for (uint64_t i = 1; i <= 2; ++i) {
    SwitchResult s = context->Switch(guest.space(), r, true);
    EXPECT(s.reason == Reason::kFault);
    EXPECT_EQ(s.signal, SIGTRAP);
    EXPECT_EQ(r.rbx, i);
    EXPECT_EQ(r.rip, kCode + 3 * i);
    EXPECT_EQ(r.eflags & 0x100, 0u);
  }
  EXPECT(context->Switch(guest.space(), r, true).reason == Reason::kFault);    // mov
  EXPECT(context->Switch(guest.space(), r, true).reason == Reason::kSyscall);  // syscall
  uint64_t rip = r.rip;
  SwitchResult s = context->Switch(guest.space(), r, true);
  EXPECT(s.reason == Reason::kFault && s.signal == SIGTRAP);
  EXPECT(r.rip == rip + 3);
  EXPECT_EQ(r.rbx, 3u);
}

GUEST(fp_state,
      "1: vmovdqu (%rdi), %ymm5; vmovdqu (%rdi), %ymm15; mov $7, %eax; syscall\n"
      "vmovdqu %ymm5, 64(%rdi); vmovdqu %ymm15, 96(%rdi); fnstcw 128(%rdi); stmxcsr 132(%rdi); mov $8, %eax; "
      "syscall; jmp 1b\n");

bool HostHasAvx() { return __builtin_cpu_supports("avx"); }

TEST(FpStateIsKeptPerContext) {
  if (!HostHasAvx()) return;
  Guest guest(platform);
  guest.Load(guest_fp_state, guest_fp_state_end);
  auto a = guest.NewContext(), b = guest.NewContext();
  Registers ra = guest.Start(), rb = guest.Start();
  ra.rdi = kData;
  rb.rdi = kData + 256;
  for (uint64_t i = 0; i < 32; ++i) {
    guest.Data<uint8_t>(i) = static_cast<uint8_t>(i + 1);
    guest.Data<uint8_t>(256 + i) = static_cast<uint8_t>(i + 101);
  }
  EXPECT(a->Switch(guest.space(), ra, false).reason == Reason::kSyscall);
  EXPECT(b->Switch(guest.space(), rb, false).reason == Reason::kSyscall);
  EXPECT(a->Switch(guest.space(), ra, false).reason == Reason::kSyscall);
  EXPECT(b->Switch(guest.space(), rb, false).reason == Reason::kSyscall);
  EXPECT_EQ(ra.orig_rax, 8u);
  for (uint64_t i = 0; i < 32; ++i) {
    EXPECT_EQ(guest.Data<uint8_t>(64 + i).load(), i + 1);
    EXPECT_EQ(guest.Data<uint8_t>(96 + i).load(), i + 1);
    EXPECT_EQ(guest.Data<uint8_t>(256 + 64 + i).load(), i + 101);
    EXPECT_EQ(guest.Data<uint8_t>(256 + 96 + i).load(), i + 101);
  }
  EXPECT_EQ(guest.Data<uint16_t>(128).load(), 0x37f);
  EXPECT_EQ(guest.Data<uint32_t>(132).load(), 0x1f80u);
}

TEST(FpStateGetAndSet) {
  if (!HostHasAvx()) return;
  Guest guest(platform);
  guest.Load(guest_fp_state, guest_fp_state_end);
  for (uint64_t i = 0; i < 32; ++i) guest.Data<uint8_t>(i) = static_cast<uint8_t>(i + 1);
  auto parent = guest.NewContext();
  std::vector<std::byte> state(platform.fp_state_size()), back(platform.fp_state_size());
  EXPECT(platform.fp_state_size() >= 576);
  EXPECT(parent->GetFpState(state).ok());  // before the first Switch: the initial state
  Registers r = guest.Start();
  r.rdi = kData;
  EXPECT(parent->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  EXPECT(parent->GetFpState(state).ok());
  // XMM5 in the legacy area.
  EXPECT_EQ(static_cast<int>(state[160 + 5 * 16]), 1);
  // A child, as fork makes it: state first, then the first Switch.
  auto child = guest.NewContext();
  EXPECT(child->SetFpState(state).ok());
  Registers rc = r;
  rc.rdi = kData + 256;
  EXPECT(child->Switch(guest.space(), rc, false).reason == Reason::kSyscall);
  EXPECT_EQ(rc.orig_rax, 8u);
  for (uint64_t i = 0; i < 32; ++i) EXPECT_EQ(guest.Data<uint8_t>(256 + 64 + i).load(), i + 1);
  EXPECT(child->GetFpState(back).ok());
  // Set on a running context, as sigreturn does.
  state[160 + 5 * 16] = std::byte{0x77};
  EXPECT(parent->SetFpState(state).ok());
  EXPECT(parent->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  EXPECT_EQ(guest.Data<uint8_t>(64).load(), 0x77);
}

TEST(HostileFpState) {
  Guest guest(platform);
  guest.Load(guest_loop_syscall, guest_loop_syscall_end);
  auto context = guest.NewContext();
  for (int attached = 0; attached < 2; ++attached) {
    std::vector<std::byte> good(platform.fp_state_size());
    EXPECT(context->GetFpState(good).ok());
    auto rejects = [&](size_t offset, uint8_t value) {
      std::vector<std::byte> bad = good;
      bad[offset] = std::byte{value};
      return !context->SetFpState(bad).ok();
    };
    EXPECT(rejects(512 + 7, 0x80));  // xstate_bv: a component that does not exist
    EXPECT(rejects(512 + 7, 0x40));
    EXPECT(rejects(512 + 15, 0x80));  // xcomp_bv: compacted
    EXPECT(rejects(512 + 16, 1));     // reserved
    EXPECT(rejects(512 + 63, 1));
    std::vector<std::byte> bad = good;
    bad[512] |= std::byte{3};
    bad[24 + 3] = std::byte{0xff};  // MXCSR
    EXPECT(!context->SetFpState(bad).ok());
    EXPECT(!context->SetFpState(std::span(good).first(100)).ok());
    EXPECT(!context->SetFpState({}).ok());
    bad = good;
    bad.resize(good.size() + 64);
    EXPECT(!context->SetFpState(bad).ok());
    EXPECT(context->SetFpState(good).ok());
    Registers r = guest.Start();
    EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  }
}

}  // namespace
}  // namespace runsc::platform_test
