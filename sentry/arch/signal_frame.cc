#include "sentry/arch/signal_frame.h"

#include <algorithm>
#include <cstring>

#include "sentry/arch/xsave.h"

namespace runsc {
namespace {

constexpr uint64_t kRedZone = 128;
constexpr uint32_t kXstateMagic1 = 0x46505853;
constexpr uint32_t kXstateMagic2 = 0x46505845;
constexpr size_t kMagic2Size = sizeof(uint32_t);
constexpr size_t kSoftwareOffset = 464;
constexpr uint64_t kUcFpXstate = 1, kUcSigcontextSs = 2, kUcStrictRestoreSs = 4;

constexpr uint64_t kFlagCarry = 1 << 0, kFlagParity = 1 << 2, kFlagAdjust = 1 << 4, kFlagZero = 1 << 6,
                   kFlagSign = 1 << 7, kFlagTrap = 1 << 8, kFlagInterrupt = 1 << 9, kFlagDirection = 1 << 10,
                   kFlagOverflow = 1 << 11, kFlagResume = 1 << 16, kFlagAlign = 1 << 18;
// What sigreturn lets a program set (FIX_EFLAGS).
constexpr uint64_t kSettableFlags = kFlagAlign | kFlagOverflow | kFlagDirection | kFlagTrap | kFlagSign |
                                    kFlagZero | kFlagAdjust | kFlagParity | kFlagCarry | kFlagResume;

struct SignalContext {
  uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
  uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
  uint16_t cs, gs, fs, ss;
  uint64_t err, trapno, oldmask, cr2, fpstate;
  uint64_t reserved[8];
};
static_assert(sizeof(SignalContext) == 256);

struct UserStack {  // stack_t without its padding
  uint64_t sp;
  int32_t flags;
  uint32_t padding;
  uint64_t size;
};

struct UserContext {
  uint64_t flags;
  uint64_t link;
  UserStack stack;
  SignalContext mcontext;
  uint64_t mask;
};
static_assert(sizeof(UserContext) == 304);

struct SignalFrame {
  uint64_t return_address;
  UserContext context;
  siginfo_t info;
};
static_assert(sizeof(siginfo_t) == 128);
static_assert(sizeof(SignalFrame) == 440);

struct FpSoftwareBytes {
  uint32_t magic1;
  uint32_t extended_size;
  uint64_t features;
  uint32_t xstate_size;
  uint32_t padding[7];
};
static_assert(sizeof(FpSoftwareBytes) == 48);

Result<void> WriteFpState(UserMemory& memory, uint64_t address, std::span<const std::byte> state) {
  std::vector<std::byte> image(state.begin(), state.end());
  if (image.size() > kFxsaveSize) {
    FpSoftwareBytes software{};
    software.magic1 = kXstateMagic1;
    software.extended_size = static_cast<uint32_t>(state.size() + kMagic2Size);
    software.features = FrameFeatures();
    software.xstate_size = static_cast<uint32_t>(state.size());
    memcpy(image.data() + kSoftwareOffset, &software, sizeof(software));
    uint64_t header[2];
    memcpy(header, image.data() + kFxsaveSize, sizeof(header));
    header[0] &= FrameFeatures();
    header[1] = 0;
    memcpy(image.data() + kFxsaveSize, header, sizeof(header));
    image.resize(state.size() + kMagic2Size);
    memcpy(image.data() + state.size(), &kXstateMagic2, kMagic2Size);
  }
  return memory.WriteArray(UserPtr<std::byte>(address), std::span<const std::byte>(image));
}

// The area that a frame points to, in the platform's size. Without valid magic numbers only
// the legacy part counts.
Result<std::vector<std::byte>> ReadFpState(UserMemory& memory, uint64_t address, size_t platform_size) {
  if (address == 0) return InitialFpState(platform_size);
  std::vector<std::byte> area(platform_size);
  size_t frame_size = FrameXsaveSize(platform_size);
  std::span<std::byte> legacy(area.data(), std::min(kFxsaveSize, platform_size));
  RETURN_IF_ERROR(memory.ReadArray(UserPtr<const std::byte>(address), legacy));
  if (platform_size <= kFxsaveSize) {
    RETURN_IF_ERROR(SanitizeXsave(area));
    return area;
  }
  FpSoftwareBytes software;
  memcpy(&software, area.data() + kSoftwareOffset, sizeof(software));
  uint64_t features = 3;
  bool extended = software.magic1 == kXstateMagic1 &&
                  software.xstate_size >= kFxsaveSize + kXsaveHeaderSize &&
                  software.xstate_size <= frame_size && software.xstate_size <= software.extended_size;
  if (extended) {
    ASSIGN_OR_RETURN(uint32_t magic2, memory.Read(UserPtr<const uint32_t>(address + software.xstate_size)));
    extended = magic2 == kXstateMagic2;
  }
  if (extended) {
    RETURN_IF_ERROR(
        memory.ReadArray(UserPtr<const std::byte>(address + kFxsaveSize),
                         std::span(area).subspan(kFxsaveSize, software.xstate_size - kFxsaveSize)));
    uint64_t present = 0;
    memcpy(&present, area.data() + kFxsaveSize, sizeof(present));
    if ((present & ~FrameFeatures()) != 0) return Errno(EINVAL);
    features = present & software.features;
  }
  memcpy(area.data() + kFxsaveSize, &features, sizeof(features));
  RETURN_IF_ERROR(SanitizeXsave(area));
  return area;
}

}  // namespace

bool IsOnSignalStack(const stack_t& stack, uint64_t sp) {
  // An auto-disarmed stack is never "in use": the handler may be left by a longjmp.
  if ((static_cast<uint32_t>(stack.ss_flags) & kSsAutodisarm) != 0) return false;
  uint64_t base = reinterpret_cast<uint64_t>(stack.ss_sp);
  return sp > base && sp - base <= stack.ss_size;
}

int SignalStackFlags(const stack_t& stack, uint64_t sp) {
  if (stack.ss_size == 0) return SS_DISABLE;
  return IsOnSignalStack(stack, sp) ? SS_ONSTACK : 0;
}

Result<void> PushSignalFrame(UserMemory& memory, Registers& registers, const SignalFrameOptions& options) {
  size_t fp_size = FrameXsaveSize(options.fp_state.size());
  size_t fp_bytes = fp_size > kFxsaveSize ? fp_size + kMagic2Size : fp_size;

  const stack_t& stack = options.signal_stack;
  bool on_signal_stack = IsOnSignalStack(stack, registers.rsp);
  uint64_t sp = registers.rsp - kRedZone;
  if (options.use_signal_stack && SignalStackFlags(stack, sp) == 0) {
    sp = reinterpret_cast<uint64_t>(stack.ss_sp) + stack.ss_size;
    on_signal_stack = true;
  }
  sp = (sp - fp_bytes) & ~uint64_t{63};
  uint64_t fp_address = sp;
  sp = ((sp - sizeof(SignalFrame)) & ~uint64_t{15}) - 8;
  if (on_signal_stack) {
    uint64_t base = reinterpret_cast<uint64_t>(stack.ss_sp);
    if (!(sp > base && sp - base <= stack.ss_size)) return Errno(EFAULT);
  }

  SignalFrame frame{};
  frame.return_address = options.restorer;
  UserContext& context = frame.context;
  context.flags = kUcSigcontextSs | kUcStrictRestoreSs;
  if (fp_size > kFxsaveSize) context.flags |= kUcFpXstate;
  context.stack.sp = reinterpret_cast<uint64_t>(stack.ss_sp);
  context.stack.flags = SignalStackFlags(stack, registers.rsp) |
                        static_cast<int32_t>(static_cast<uint32_t>(stack.ss_flags) & kSsAutodisarm);
  context.stack.size = stack.ss_size;
  context.mask = options.mask;
  SignalContext& to = context.mcontext;
  const Registers& from = registers;
  to.r8 = from.r8, to.r9 = from.r9, to.r10 = from.r10, to.r11 = from.r11;
  to.r12 = from.r12, to.r13 = from.r13, to.r14 = from.r14, to.r15 = from.r15;
  to.rdi = from.rdi, to.rsi = from.rsi, to.rbp = from.rbp, to.rbx = from.rbx;
  to.rdx = from.rdx, to.rax = from.rax, to.rcx = from.rcx, to.rsp = from.rsp;
  to.rip = from.rip, to.eflags = from.eflags;
  to.cs = static_cast<uint16_t>(from.cs), to.ss = static_cast<uint16_t>(from.ss);
  to.err = options.fault.error_code, to.trapno = options.fault.trap_number, to.cr2 = options.fault.address;
  to.oldmask = options.mask;
  to.fpstate = fp_address;
  if (options.write_info) frame.info = options.info;

  RETURN_IF_ERROR(WriteFpState(memory, fp_address, options.fp_state.first(fp_size)));
  RETURN_IF_ERROR(memory.Write(UserPtr<SignalFrame>(sp), frame));

  registers.rdi = static_cast<uint64_t>(options.info.si_signo);
  registers.rsi = sp + offsetof(SignalFrame, info);
  registers.rdx = sp + offsetof(SignalFrame, context);
  registers.rax = 0;
  registers.rip = options.handler;
  registers.rsp = sp;
  registers.cs = kUserCodeSegment;
  registers.ss = kUserStackSegment;
  registers.eflags &= ~(kFlagDirection | kFlagResume | kFlagTrap);
  registers.orig_rax = ~uint64_t{0};
  return Ok();
}

Result<SignalReturn> PopSignalFrame(UserMemory& memory, Registers& registers, size_t platform_fp_size) {
  ASSIGN_OR_RETURN(UserContext context, memory.Read(UserPtr<const UserContext>(registers.rsp)));
  const SignalContext& from = context.mcontext;
  ASSIGN_OR_RETURN(auto fp_state, ReadFpState(memory, from.fpstate, platform_fp_size));
  Registers& to = registers;
  to.r8 = from.r8, to.r9 = from.r9, to.r10 = from.r10, to.r11 = from.r11;
  to.r12 = from.r12, to.r13 = from.r13, to.r14 = from.r14, to.r15 = from.r15;
  to.rdi = from.rdi, to.rsi = from.rsi, to.rbp = from.rbp, to.rbx = from.rbx;
  to.rdx = from.rdx, to.rax = from.rax, to.rcx = from.rcx, to.rsp = from.rsp;
  to.rip = from.rip;
  to.eflags = (to.eflags & ~kSettableFlags) | (from.eflags & kSettableFlags) | kFlagInterrupt;
  // Only 64-bit code runs here: other selectors are not taken from the frame.
  to.cs = kUserCodeSegment;
  to.ss = kUserStackSegment;
  to.orig_rax = ~uint64_t{0};
  SignalReturn result;
  result.mask = context.mask;
  result.signal_stack.ss_sp = reinterpret_cast<void*>(context.stack.sp);
  result.signal_stack.ss_flags = context.stack.flags;
  result.signal_stack.ss_size = context.stack.size;
  result.fp_state = std::move(fp_state);
  return result;
}

}  // namespace runsc
