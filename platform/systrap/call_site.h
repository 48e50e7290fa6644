// CallSite: a `syscall` instruction of the guest and what stands around it, as far as that
// can be replaced by the jump
//
//     ff 24 25 disp32        jmp *disp32        with disp32 in the table at SITE_TABLE
//
// The jump needs seven bytes. Three shapes have them:
//
//   kLoad      b8 imm32, 0f 05              mov $imm,%eax; syscall
//   kLongLoad  48 c7 c0 imm32, 0f 05        mov $imm,%rax; syscall; the syscall stays as it is
//   kResult    0f 05, then instructions that look at the result and do not depend on where they are
//
// A jump of the guest's own into the middle would go wrong. Into the syscall of a kLoad it meets
// 06, which is no instruction (SITE_TABLE is where it is for that), and whoever gets the SIGILL
// takes it for the call. Nothing goes into the middle of a load. For kResult: the code nearby has no
// direct branch there; what follows begins by using the result, so that nothing else has a
// reason to go there; and rip is corrected by MapIn whenever the Sentry lets a thread go.
//
// rt_sigreturn is not patched: unwinders know it by its bytes.
#ifndef PLATFORM_SYSTRAP_CALL_SITE_H_
#define PLATFORM_SYSTRAP_CALL_SITE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "platform/code_patch.h"
#include "platform/registers.h"

namespace runsc {

struct CallSite {
  enum class Shape : uint8_t { kLoad, kLongLoad, kResult };
  static constexpr size_t kMaxTail = 16;

  uint64_t address = 0;  // where the jump is
  Shape shape = Shape::kLoad;
  uint8_t call = 0;    // offset of the syscall instruction
  uint8_t length = 0;  // of all that the trampoline stands for: it goes on at address + length
  std::array<std::byte, 2 + kMaxTail> bytes = {};

  uint64_t call_address() const { return address + call; }
  uint64_t after_call() const { return call_address() + 2; }
  uint64_t end() const { return address + length; }
  std::span<const std::byte> tail() const { return std::span(bytes).subspan(call + 2u, length - call - 2u); }
  // What kLoad and kLongLoad load.
  uint64_t number() const;
  bool operator==(const CallSite&) const = default;
};

// The site around the syscall instruction at `call`, which was made with rax `number`; `code` begins at
// `code_address` and contains it. nullopt: not one that can be replaced.
std::optional<CallSite> FindCallSite(uint64_t call, uint64_t number, std::span<const std::byte> code,
                                     uint64_t code_address);

// The length of an instruction that does the same wherever it is and goes on behind itself; 0: not known to
// be one.
size_t MovableInstruction(std::span<const std::byte> code);

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_CALL_SITE_H_
