#include "platform/systrap/call_site.h"

#include <sys/syscall.h>

#include <algorithm>
#include <cstring>

namespace runsc {
namespace {

using Bytes = std::span<const std::byte>;

constexpr size_t kJump = CodePatch::kLength;
constexpr uint64_t kBranchReach = 32 << 10;

uint8_t At(Bytes code, size_t i) { return static_cast<uint8_t>(code[i]); }

int32_t Int32At(Bytes code, size_t i) {
  int32_t value;
  memcpy(&value, code.data() + i, sizeof(value));
  return value;
}

// Bytes of a ModRM operand from `at` on; 0: relative to rip, or cut off.
size_t OperandLength(Bytes code, size_t at) {
  if (at >= code.size()) return 0;
  uint8_t modrm = At(code, at);
  unsigned mod = modrm >> 6, rm = modrm & 7;
  if (mod == 3) return 1;
  if (mod == 0 && rm == 5) return 0;
  size_t length = 1;
  if (rm == 4) {
    if (at + 1 >= code.size()) return 0;
    if (mod == 0 && (At(code, at + 1) & 7) == 5) length += 4;
    ++length;
  }
  if (mod == 1) length += 1;
  if (mod == 2) length += 4;
  return length;
}

// Whether the instruction there looks at rax and nothing else before that.
bool UsesResult(Bytes code) {
  size_t at = 0;
  uint8_t rex = 0;
  if (!code.empty() && (At(code, 0) & 0xf0) == 0x40) rex = At(code, at++);
  if (at + 2 > code.size()) return false;
  uint8_t opcode = At(code, at), modrm = At(code, at + 1);
  const bool reg_is_rax = (modrm & 0x38) == 0 && (rex & 4) == 0;
  const bool rm_is_rax = (modrm & 0xc7) == 0xc0 && (rex & 1) == 0;
  switch (opcode) {
    case 0x3d:  // cmp $imm, %rax
    case 0x98:  // cltq
    case 0xc3:  // ret
      return true;
    case 0x89:  // mov %rax, ...
      return reg_is_rax;
    case 0x85:  // test %rax, %rax
      return reg_is_rax && rm_is_rax;
    case 0x63:  // movslq %eax, ...
      return rm_is_rax;
    case 0x83:  // cmp $imm, %rax
      return rm_is_rax && (modrm & 0x38) == 0x38;
    case 0xf7:  // neg
      return rm_is_rax && (modrm & 0x38) == 0x18;
    default:
      return false;
  }
}

// The length of a nop between functions, or 0.
size_t Padding(Bytes code) {
  if (code.empty()) return 0;
  if (At(code, 0) == 0x90 || At(code, 0) == 0xcc) return 1;
  size_t at = 0;
  while (at < code.size() && (At(code, at) == 0x66 || At(code, at) == 0x2e)) ++at;
  if (at < code.size() && at > 0 && At(code, at) == 0x90) return at + 1;
  if (at + 2 < code.size() && At(code, at) == 0x0f && At(code, at + 1) == 0x1f) {
    size_t operand = OperandLength(code, at + 2);
    return operand == 0 ? 0 : at + 2 + operand;
  }
  return 0;
}

// How much behind the call goes to the trampoline; 0: not enough.
size_t TailLength(Bytes code) {
  if (!UsesResult(code)) return 0;
  size_t length = 0;
  while (length < kJump - 2) {
    Bytes rest = code.subspan(length);
    if (rest.empty()) return 0;
    if (At(rest, 0) == 0xc3) {
      // Nothing is executed behind a ret; but somebody may jump there if it is not padding.
      size_t padded = length + 1;
      while (padded < kJump - 2) {
        size_t nop = Padding(code.subspan(padded));
        if (nop == 0) return 0;
        padded += nop;
      }
      return padded <= CallSite::kMaxTail ? padded : 0;
    }
    size_t next = MovableInstruction(rest);
    if (next == 0) return 0;
    length += next;
  }
  return length <= CallSite::kMaxTail ? length : 0;
}

// Whether something that may be a direct branch goes to an instruction behind the call that the jump covers.
// Any byte may be an opcode here, so that now and then a call stays as it is for nothing.
bool IsBranchTarget(uint64_t address, Bytes code, uint64_t code_address) {
  const size_t site = address - code_address;
  std::array<bool, kJump> begins = {};
  for (size_t at = 2; at < kJump;) {
    begins[at] = true;
    size_t next = MovableInstruction(code.subspan(site + at));
    if (next == 0) next = 1;
    at += next;
  }
  auto inside = [&](int64_t target) {
    int64_t offset = target - static_cast<int64_t>(site);
    return offset > 0 && offset < static_cast<int64_t>(kJump) && begins[static_cast<size_t>(offset)];
  };
  const size_t from = site > kBranchReach ? site - kBranchReach : 0;
  const size_t to = std::min(code.size(), site + kBranchReach);
  for (size_t i = from; i + 4 <= to; ++i)
    if (inside(static_cast<int64_t>(i) + 4 + Int32At(code, i))) return true;
  for (size_t i = site > 140 ? site - 140 : 0; i + 2 <= std::min(to, site + 140); ++i) {
    uint8_t opcode = At(code, i);
    bool branch = opcode == 0xeb || (opcode & 0xf0) == 0x70 || (opcode >= 0xe0 && opcode <= 0xe3);
    if (branch && inside(static_cast<int64_t>(i) + 2 + static_cast<int8_t>(At(code, i + 1)))) return true;
  }
  return false;
}

}  // namespace

uint64_t CallSite::number() const {
  if (shape == Shape::kLoad) return static_cast<uint32_t>(Int32At(bytes, 1));
  return static_cast<uint64_t>(static_cast<int64_t>(Int32At(bytes, 3)));
}

size_t MovableInstruction(Bytes code) {
  size_t at = 0;
  bool wide = false;
  if (!code.empty() && (At(code, 0) & 0xf0) == 0x40) wide = (At(code, at++) & 8) != 0;
  if (at >= code.size()) return 0;
  const uint8_t opcode = At(code, at++);
  size_t immediate = 0;
  bool operand = true;
  const unsigned reg = at < code.size() ? (At(code, at) >> 3) & 7 : 0;
  if (opcode < 0x40 && (opcode & 7) < 4) {
    // add, or, adc, sbb, and, sub, xor, cmp between registers and memory
  } else if (opcode < 0x40 && (opcode & 7) < 6) {
    operand = false;  // the same of rax and an immediate
    immediate = (opcode & 1) != 0 ? 4 : 1;
  } else if (opcode >= 0x50 && opcode < 0x60) {
    operand = false;  // push, pop
  } else if (opcode >= 0xb8 && opcode < 0xc0) {
    if (wide) return 0;
    operand = false;  // mov $imm, %reg
    immediate = 4;
  } else {
    switch (opcode) {
      case 0x63:  // movslq
      case 0x84:
      case 0x85:  // test
      case 0x88:
      case 0x89:
      case 0x8a:
      case 0x8b:  // mov
      case 0x8d:  // lea
        break;
      case 0x80:
      case 0x83:
      case 0xc1:
        immediate = 1;
        break;
      case 0x81:
        immediate = 4;
        break;
      case 0xc7:
        if (reg != 0) return 0;
        immediate = 4;
        break;
      case 0xf7:  // not, neg
        if (reg != 2 && reg != 3) return 0;
        break;
      case 0xa8:
        operand = false;
        immediate = 1;
        break;
      case 0xa9:
        operand = false;
        immediate = 4;
        break;
      case 0x90:
      case 0x98:
      case 0x99:
        operand = false;
        break;
      case 0x0f: {
        if (at >= code.size()) return 0;
        uint8_t second = At(code, at++);
        bool known = (second & 0xf0) == 0x40 || (second & 0xf0) == 0x90 || second == 0xaf || second == 0x1f ||
                     second == 0xb6 || second == 0xb7 || second == 0xbe || second == 0xbf;
        if (!known) return 0;
        break;
      }
      default:
        return 0;
    }
  }
  if (operand) {
    size_t length = OperandLength(code, at);
    if (length == 0) return 0;
    at += length;
  }
  at += immediate;
  return at <= code.size() ? at : 0;
}

std::optional<CallSite> FindCallSite(uint64_t call, uint64_t number, Bytes code, uint64_t code_address) {
  if (call < code_address || number == SYS_rt_sigreturn) return std::nullopt;
  const uint64_t offset = call - code_address;
  if (offset >= code.size() || code.size() - offset < kJump + 2) return std::nullopt;
  if (At(code, offset) != 0x0f || At(code, offset + 1) != 0x05) return std::nullopt;
  auto make = [&](CallSite::Shape shape, size_t before, size_t length) {
    CallSite site{.address = call - before,
                  .shape = shape,
                  .call = static_cast<uint8_t>(before),
                  .length = static_cast<uint8_t>(length)};
    std::copy_n(code.begin() + static_cast<ptrdiff_t>(offset - before), length, site.bytes.begin());
    return site;
  };
  if (offset >= 7 && At(code, offset - 7) == 0x48 && At(code, offset - 6) == 0xc7 &&
      At(code, offset - 5) == 0xc0) {
    CallSite site = make(CallSite::Shape::kLongLoad, 7, 9);
    if (site.number() == number) return site;
  }
  if (offset >= 6 && At(code, offset - 5) == 0xb8) {
    // Not the end of a longer instruction: neither a prefix stands before it, nor has rax another value.
    uint8_t before = At(code, offset - 6);
    CallSite site = make(CallSite::Shape::kLoad, 5, 7);
    if ((before & 0xf0) != 0x40 && before != 0x66 && before != 0x0f && site.number() == number) return site;
  }
  size_t tail = TailLength(code.subspan(offset + 2));
  if (tail == 0 || IsBranchTarget(call, code, code_address)) return std::nullopt;
  return make(CallSite::Shape::kResult, 0, 2 + tail);
}

}  // namespace runsc
