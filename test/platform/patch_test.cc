// Rewritten system calls: nothing but the time they take may tell them from others. A
// platform that asks for no patches passes.
#include <signal.h>

#include <chrono>
#include <thread>

#include "test/platform/guest.h"

namespace runsc::platform_test {
namespace {

GUEST(load, "1: stc; mov $7, %eax; syscall; adc $0, %r14; inc %r15; jmp 1b\n");
GUEST(long_load, "1: stc; .byte 0x48, 0xc7, 0xc0, 7, 0, 0, 0; syscall; adc $0, %r14; inc %r15; jmp 1b\n");
GUEST(
    result,
    "1: stc; push $7; pop %rax; syscall; mov %rax, %rbx; adc $0, %r14; inc %r15; cmp $-4095, %rax; jmp 1b\n");

struct Code {
  const char* begin;
  const char* end;
};
#define CODE(name) \
  Code { guest_##name, guest_##name##_end }
constexpr uint64_t kCodeSize = 256;

// As the memory manager does it.
std::optional<CodePatch> Patch(Guest& guest, uint64_t call, uint64_t number) {
  std::span<const std::byte> code(reinterpret_cast<const std::byte*>(guest.memory()), kCodeSize);
  auto patch = guest.space().PlanPatch(call, number, code, kCode);
  if (!patch) return std::nullopt;
  bool applied = guest.space().ApplyPatch(*patch, [&] {
    memcpy(guest.memory() + (patch->address - kCode), patch->replacement.data(), patch->replacement.size());
  });
  EXPECT(applied);
  return patch;
}

// Runs until the platform asks for the patch of its call, and applies it.
std::optional<CodePatch> Heat(Guest& guest, Context& context, Registers& r) {
  for (int i = 0; i < 1000; ++i) {
    SwitchResult s = context.Switch(guest.space(), r, false);
    EXPECT(s.reason == Reason::kSyscall);
    if (s.hot_call != 0) {
      EXPECT_EQ(s.hot_call, r.rip - 2);
      return Patch(guest, s.hot_call, r.orig_rax);
    }
  }
  return std::nullopt;
}

TEST(PatchedCallsLookLikeOthers) {
  for (Code code : {CODE(load), CODE(long_load), CODE(result)}) {
    Guest guest(platform);
    guest.Load(code.begin, code.end);
    auto context = guest.NewContext();
    Registers r = guest.Start();
    r.rdi = 0x1111222233334444;
    r.rsi = ~uint64_t{0};
    r.rdx = 3;
    r.r10 = 0x8000000000000000;
    r.r8 = 5;
    r.r9 = 6;
    r.rbp = 0x42;
    r.r12 = 12;
    r.r13 = 13;
    SwitchResult first = context->Switch(guest.space(), r, false);
    EXPECT(first.reason == Reason::kSyscall);
    const Registers before = r;
    auto patch = Heat(guest, *context, r);
    for (int i = 0; i < 2000; ++i) {
      uint64_t count = r.r15;
      // Every now and then something that is not the way of a call.
      r.rax = static_cast<uint64_t>(i);
      if (i % 7 == 0) r.r12 = static_cast<uint64_t>(i);
      if (i % 11 == 0) r.rcx = r.r11 = 0x1234;
      if (i % 101 == 0) r.rsp -= 16;
      Registers sent = r;
      SwitchResult s = context->Switch(guest.space(), r, false);
      EXPECT(s.reason == Reason::kSyscall);
      EXPECT_EQ(s.hot_call, 0u);
      EXPECT_EQ(r.r15, count + 1);
      EXPECT_EQ(r.r14, count + 1);  // the carry flag came back each time
      EXPECT_EQ(r.orig_rax, 7u);
      EXPECT_EQ(static_cast<int64_t>(r.rax), -ENOSYS);
      EXPECT_EQ(r.rip, before.rip);
      EXPECT_EQ(r.rcx, r.rip);
      EXPECT_EQ(r.r11, r.eflags);
      EXPECT_EQ(r.eflags & 1, 1u);
      EXPECT_EQ(r.rsp, sent.rsp);
      EXPECT_EQ(r.r12, sent.r12);
      EXPECT_EQ(r.rdi, before.rdi);
      EXPECT_EQ(r.rsi, before.rsi);
      EXPECT_EQ(r.rdx, before.rdx);
      EXPECT_EQ(r.r10, before.r10);
      EXPECT_EQ(r.r8, before.r8);
      EXPECT_EQ(r.r9, before.r9);
      EXPECT_EQ(r.rbp, before.rbp);
      EXPECT_EQ(r.r13, before.r13);
      EXPECT_EQ(r.gs_base, 0u);
    }
    if (!patch) continue;
    // And back.
    guest.space().UndoPatch(*patch, [&] {
      memcpy(guest.memory() + (patch->address - kCode), patch->original.data(), patch->original.size());
    });
    EXPECT_EQ(memcmp(guest.memory(), code.begin, static_cast<size_t>(code.end - code.begin)), 0);
    for (int i = 0; i < 200; ++i) {
      uint64_t count = r.r15;
      EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
      EXPECT_EQ(r.r15, count + 1);
    }
    EXPECT(!Patch(guest, r.rip - 2, 7).has_value());
  }
}

GUEST(counted,
      "movq %rdi, %xmm6; 1: stc; mov $7, %eax; syscall; adc $0, %r14; inc %r15; add %rax, %r13; paddq %xmm6, "
      "%xmm7;"
      "movq %xmm7, %rbx; jmp 1b\n");

// Whoever looks at no more than the call itself sees the same guest as one who looks at everything.
TEST(CallsOfWhichOnlyTheResultChanges) {
  Guest guest(platform);
  guest.Load(guest_counted, guest_counted_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  r.rdi = 1;
  r.rsi = 0x5151;
  r.rbp = 0x4242;
  r.r12 = 12;
  r.fs_base = 0x7000;
  Heat(guest, *context, r);
  std::atomic<bool> done{false};
  std::thread interrupter([&] {
    while (!done.load()) {
      std::this_thread::sleep_for(std::chrono::microseconds(300));
      context->Interrupt();
    }
  });
  std::vector<std::byte> state(platform.fp_state_size());
  uint64_t sum = r.r13, count = r.r15, carries = r.r14, xmm7 = r.rbx, interrupts = 0;
  const uint64_t rip = r.rip;
  for (uint64_t i = 1; i <= 6000; ++i) {
    r.rax = i;
    SwitchResult s;
    while ((s = context->SwitchToCall(guest.space(), r, false)).reason == Reason::kInterrupted) ++interrupts;
    EXPECT(s.reason == Reason::kSyscall);
    sum += i;
    EXPECT_EQ(r.rip, rip);
    EXPECT_EQ(r.orig_rax, 7u);
    EXPECT_EQ(static_cast<int64_t>(r.rax), -ENOSYS);
    EXPECT_EQ(r.rdi, 1u);
    EXPECT_EQ(r.rsi, 0x5151u);
    // Long enough for the stub thread to go to sleep.
    if (i % 501 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (i % 97 == 0) EXPECT(context->GetFpState(state).ok());
    if (i % 89 == 0) EXPECT(context->GetFpState(state).ok() && context->SetFpState(state).ok());
    if (i % 31 != 0) continue;
    context->CompleteRegisters(r);
    EXPECT_EQ(r.r15, count + i);
    EXPECT_EQ(r.r14, carries + i);
    EXPECT_EQ(r.r13, sum);
    EXPECT_EQ(r.rbx, xmm7 + i);  // FP state, too
    EXPECT_EQ(r.rbp, 0x4242u);
    EXPECT_EQ(r.fs_base, 0x7000u);
    EXPECT_EQ(r.gs_base, 0u);
    EXPECT_EQ(r.r11, r.eflags);
    EXPECT_EQ(r.rcx, r.rip);
    EXPECT_EQ(r.r12, 12 + (i - 1) / 62);
    // Changed by the kernel, as a signal or a tracer does.
    if (i % 62 == 0) ++r.r12;
  }
  done = true;
  interrupter.join();
  EXPECT(interrupts > 0);
}

GUEST(vectors,
      "movq %rdi, %xmm7; 1: mov $7, %eax; syscall; movq %xmm7, %rbx; paddq %xmm7, %xmm7; inc %r15; jmp 1b\n");

// FP state stays in the CPU; it can be had, and replaced, all the same.
TEST(FpStateOfPatchedCalls) {
  Guest guest(platform);
  guest.Load(guest_vectors, guest_vectors_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  r.rdi = 1;
  Heat(guest, *context, r);
  constexpr size_t kXmm7 = 160 + 7 * 16;
  std::vector<std::byte> state(platform.fp_state_size());
  uint64_t expected = 0;
  auto value = [&] {
    uint64_t word;
    memcpy(&word, state.data() + kXmm7, sizeof(word));
    return word;
  };
  for (int i = 0; i < 300; ++i) {
    if (i % 3 == 0) {
      EXPECT(context->GetFpState(state).ok());
      if (i > 0) EXPECT_EQ(value(), expected);
      expected = value();
    }
    if (i % 10 == 9) {
      EXPECT(context->GetFpState(state).ok());
      expected = static_cast<uint64_t>(i) << 32;
      memcpy(state.data() + kXmm7, &expected, sizeof(expected));
      state[512] |= std::byte{2};
      EXPECT(context->SetFpState(state).ok());
      EXPECT(context->GetFpState(state).ok());
      EXPECT_EQ(value(), expected);
    }
    if (i % 5 == 0) {
      context->Interrupt();
      EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kInterrupted);
    }
    EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
    if (i > 0) EXPECT_EQ(r.rbx, expected);
    expected *= 2;
  }
}

// Single steps see the program, not its replacement.
TEST(SingleStepsThroughPatches) {
  for (Code code : {CODE(load), CODE(long_load), CODE(result)}) {
    std::vector<uint64_t> seen[2];
    for (int patched = 0; patched < 2; ++patched) {
      Guest guest(platform);
      guest.Load(code.begin, code.end);
      auto context = guest.NewContext();
      Registers r = guest.Start();
      if (patched != 0) {
        Heat(guest, *context, r);
      } else {
        EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
      }
      for (int i = 0; i < 60; ++i) {
        SwitchResult s = context->Switch(guest.space(), r, true);
        EXPECT(s.reason == Reason::kSyscall || (s.reason == Reason::kFault && s.signal == SIGTRAP));
        EXPECT_EQ(r.eflags & 0x100, 0u);
        seen[patched].push_back(r.rip);
        seen[patched].push_back(s.reason == Reason::kSyscall ? r.orig_rax : r.rax);
      }
    }
    EXPECT(seen[0] == seen[1]);
  }
}

GUEST(own_trap_flag,
      "1: mov $7, %eax; syscall; inc %r15; test $64, %r15; jz 1b; pushf; orl $0x100, (%rsp); popf\n"
      "2: mov $7, %eax; syscall; inc %r15; jmp 2b\n");

// The guest's own trap flag, set right before a patched call.
TEST(TrapFlagBeforePatch) {
  Guest guest(platform);
  guest.Load(guest_own_trap_flag, guest_own_trap_flag_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  uint64_t second = 0;
  for (const char* p = guest_own_trap_flag + 10; second == 0; ++p)
    if (p[0] == 0x0f && p[1] == 0x05) second = kCode + static_cast<uint64_t>(p - guest_own_trap_flag);
  Patch(guest, second, 7);
  while (r.r15 < 63) EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  int traps = 0, calls = 0;
  for (int i = 0; i < 200; ++i) {
    SwitchResult s = context->Switch(guest.space(), r, false);
    EXPECT(s.reason == Reason::kSyscall || (s.reason == Reason::kFault && s.signal == SIGTRAP));
    EXPECT(r.rip >= kCode && r.rip < kCode + kPage);
    if (s.reason == Reason::kSyscall)
      ++calls;
    else
      ++traps;
  }
  EXPECT(calls > 20 && traps > 2 * calls);
  EXPECT_EQ(r.r15, 64u + static_cast<uint64_t>(calls) - (r.rip == second + 2 ? 1 : 0));
}

GUEST(jumps_in, "1: mov $7, %eax\n 2: syscall\n inc %r15; mov $7, %eax; test $1, %r15b; jz 1b; jmp 2b\n");

// Straight to the instruction that the replacement has covered.
TEST(JumpsToPatchedCall) {
  Guest guest(platform);
  guest.Load(guest_jumps_in, guest_jumps_in_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  Heat(guest, *context, r);
  for (int i = 0; i < 300; ++i) {
    uint64_t count = r.r15;
    SwitchResult s = context->Switch(guest.space(), r, false);
    EXPECT(s.reason == Reason::kSyscall);
    EXPECT_EQ(r.orig_rax, 7u);
    EXPECT_EQ(r.r15, count + 1);
    EXPECT_EQ(r.rip, kCode + 7);
    // A call that is restarted.
    if (i % 3 == 0) {
      r.rip -= 2;
      r.rax = 8;
      EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
      EXPECT_EQ(r.orig_rax, 8u);
      EXPECT_EQ(r.r15, count + 1);
    }
  }
}

GUEST(branch_into,
      "1: mov $7, %esi; mov %esi, %eax; syscall\n 2: test %rax, %rax; nop; nop; jnz 2b; jmp 1b\n");
GUEST(no_use, "1: mov $7, %esi; mov %esi, %eax; syscall; nop; nop; nop; nop; nop; jmp 1b\n");
GUEST(sigreturn, "1: .byte 0x48, 0xc7, 0xc0, 15, 0, 0, 0; syscall; jmp 1b\n");
GUEST(other_number, "1: mov $8, %eax; syscall; jmp 1b\n");
GUEST(other_register, "1: .byte 0x41, 0xb8, 7, 0, 0, 0; syscall; jmp 1b\n");

TEST(CallsThatAreNotPatched) {
  for (Code code :
       {CODE(branch_into), CODE(no_use), CODE(sigreturn), CODE(other_number), CODE(other_register)}) {
    Guest guest(platform);
    guest.Load(code.begin, code.end);
    bool sigreturn = code.begin == guest_sigreturn;
    for (uint64_t at = kCode; at < kCode + 64; ++at)
      EXPECT(!Patch(guest, at, sigreturn ? 15 : 7).has_value());
  }
}

// A thread that has gs for itself.
TEST(PatchedCallsWithOwnGsBase) {
  Guest guest(platform);
  guest.Load(guest_load, guest_load_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  Heat(guest, *context, r);
  for (uint64_t base : {kData, uint64_t{0}, kData + 8, uint64_t{0x7ffe70000000}, uint64_t{0}}) {
    for (int i = 0; i < 50; ++i) {
      uint64_t count = r.r15;
      r.gs_base = base;
      EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
      EXPECT_EQ(r.gs_base, base);
      EXPECT_EQ(r.r15, count + 1);
      EXPECT_EQ(r.r14, r.r15);
      EXPECT_EQ(r.rcx, r.rip);
    }
  }
}

GUEST(known,
      "1: mov $39, %eax; stc; mov %rsp, %rbp; movq %r15, %xmm3\n"
      "2: mov $39, %eax; syscall; adc $0, %r14; cmp $1234, %rax; jne 9f; cmp %rsp, %rbp; jne 9f\n"
      "movq %xmm3, %rax; cmp %rax, %r15; jne 9f\n"
      "inc %r15; test $0xfff, %r15d; jnz 1b; mov $8, %eax; syscall; jmp 1b\n 9: ud2\n");

// Known results, in a storm of interrupts: no call is lost, repeated or wrong, no interrupt is lost.
TEST(KnownResultsAndInterrupts) {
  Guest guest(platform);
  guest.Load(guest_known, guest_known_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  const Context::KnownResult known[] = {{39, 1234}};
  std::optional<CodePatch> patch;
  while (r.r15 < 100 && !patch) {
    SwitchResult s = context->Switch(guest.space(), r, false);
    EXPECT(s.reason == Reason::kSyscall);
    if (s.hot_call != 0) patch = Patch(guest, s.hot_call, r.orig_rax);
    r.rax = 1234;
  }
  if (!patch) return;
  context->SetKnownResults(known);
  std::atomic<bool> stop{false};
  std::atomic<int> interrupts{0};
  std::thread storm([&] {
    while (!stop.load()) {
      int before = interrupts.load();
      context->Interrupt();
      for (int i = 0; interrupts.load() == before && !stop.load(); ++i) {
        if (i > 50'000'000) EXPECT(false);  // lost
        __builtin_ia32_pause();
      }
      for (int i = 0; i < 100 + before % 400; ++i) __builtin_ia32_pause();
    }
  });
  int eights = 0, nines = 0;
  while (eights < 300) {
    SwitchResult s = context->Switch(guest.space(), r, false);
    EXPECT_EQ(r.r14, r.r15 + (s.reason == Reason::kInterrupted && r.r14 == r.r15 + 1 ? 1 : 0));
    if (s.reason == Reason::kInterrupted) {
      interrupts.fetch_add(1);
      EXPECT(r.rip >= kCode && r.rip < kCode + kPage);
      continue;
    }
    EXPECT(s.reason == Reason::kSyscall);
    if (s.reason != Reason::kSyscall) break;
    if (r.orig_rax == 39) {
      ++nines;  // came while an interrupt was pending
      r.rax = 1234;
    } else {
      EXPECT_EQ(r.orig_rax, 8u);
      EXPECT_EQ(r.r15 & 0xfff, 0u);
      ++eights;
    }
  }
  stop = true;
  storm.join();
  EXPECT(nines < 300 * 4096 / 2);
  context->SetKnownResults({});
  do EXPECT(context->Switch(guest.space(), r, false).reason != Reason::kFault);
  while (r.orig_rax != 39);
}

// Interrupts at all moments of calls that are handed over.
TEST(PatchedCallsInAStormOfInterrupts) {
  for (Code code : {CODE(load), CODE(result)}) {
    Guest guest(platform);
    guest.Load(code.begin, code.end);
    auto context = guest.NewContext();
    Registers r = guest.Start();
    Heat(guest, *context, r);
    std::atomic<bool> stop{false};
    std::thread storm([&] {
      for (int n = 0; !stop.load(); ++n) {
        context->Interrupt();
        for (int i = 0; i < n % 512; ++i) __builtin_ia32_pause();
      }
    });
    uint64_t calls = r.r15;
    for (int interrupts = 0, i = 0; i < 20000 || interrupts < 100; ++i) {
      SwitchResult s = context->Switch(guest.space(), r, false);
      EXPECT(r.rip >= kCode && r.rip < kCode + kPage);
      if (s.reason == Reason::kInterrupted) {
        ++interrupts;
        continue;
      }
      EXPECT(s.reason == Reason::kSyscall);
      EXPECT_EQ(r.r15, ++calls);
      EXPECT_EQ(r.r14, calls);
    }
    stop = true;
    storm.join();
  }
}

// Patched and restored again and again while other threads run the code.
TEST(PatchesUnderRunningThreads) {
  Guest guest(platform);
  guest.Load(guest_result, guest_result_end);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      auto context = guest.NewContext();
      Registers r = guest.Start();
      r.rsp -= static_cast<uint64_t>(t) * 1024;
      EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
      uint64_t calls = r.r15;
      while (!stop.load()) {
        SwitchResult s = context->Switch(guest.space(), r, false);
        EXPECT(s.reason == Reason::kSyscall);
        EXPECT_EQ(r.r15, ++calls);
        EXPECT_EQ(r.r14, calls);
        if (s.reason != Reason::kSyscall) break;
      }
    });
  }
  auto patch = Patch(guest, kCode + 4, 7);
  for (int i = 0; i < 100 && patch; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    guest.space().UndoPatch(*patch, [&] {
      memcpy(guest.memory() + (patch->address - kCode), patch->original.data(), patch->original.size());
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT(guest.space().ApplyPatch(*patch, [&] {
      memcpy(guest.memory() + (patch->address - kCode), patch->replacement.data(), patch->replacement.size());
    }));
  }
  stop = true;
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace runsc::platform_test
