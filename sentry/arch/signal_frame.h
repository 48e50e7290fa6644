// Signal frames: what the kernel puts on a guest's stack before a handler runs, and reads back in
// rt_sigreturn(2). The layout is the ABI's: struct rt_sigframe of x86-64 with its XSAVE area
// above it, marked by FP_XSTATE_MAGIC1 and 2.
// Threading: stateless; memory is the task's own.
// Linux counterpart: arch/x86/kernel/signal.c, signal_64.c, fpu/signal.c.
#ifndef SENTRY_ARCH_SIGNAL_FRAME_H_
#define SENTRY_ARCH_SIGNAL_FRAME_H_

#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "platform/base/result.h"
#include "platform/registers.h"
#include "sentry/usermem/user_memory.h"

namespace runsc {

inline constexpr uint64_t kUserCodeSegment = 0x33;
inline constexpr uint64_t kUserStackSegment = 0x2b;
inline constexpr uint32_t kSsAutodisarm = 1U << 31;

// sigaltstack(2) rules. SS_DISABLE, SS_ONSTACK or 0 for a stack pointer.
int SignalStackFlags(const stack_t& stack, uint64_t sp);
bool IsOnSignalStack(const stack_t& stack, uint64_t sp);

// Of the last fault, for the frame (sigcontext's trapno, err and cr2).
struct FaultContext {
  uint64_t trap_number = 0;
  uint64_t error_code = 0;
  uint64_t address = 0;
};

struct SignalFrameOptions {
  siginfo_t info;
  bool write_info = false;  // SA_SIGINFO
  bool use_signal_stack = false;
  uint64_t handler = 0;
  uint64_t restorer = 0;
  uint64_t mask = 0;  // what rt_sigreturn puts back
  stack_t signal_stack{};
  FaultContext fault;
  std::span<const std::byte> fp_state;  // as the platform gave it
};

// Writes the frame and points `registers` at the handler. EFAULT: the stack is not writable or would
// overflow the alternate stack; registers are unchanged.
Result<void> PushSignalFrame(UserMemory& memory, Registers& registers, const SignalFrameOptions& options);

struct SignalReturn {
  uint64_t mask = 0;
  stack_t signal_stack{};
  std::vector<std::byte> fp_state;  // sanitized, of the platform's size
};

// Reads the frame at rsp - 8 and restores `registers` from it, sanitized. EFAULT, EINVAL: a bad
// frame; registers are unchanged.
Result<SignalReturn> PopSignalFrame(UserMemory& memory, Registers& registers, size_t platform_fp_size);

}  // namespace runsc

#endif  // SENTRY_ARCH_SIGNAL_FRAME_H_
