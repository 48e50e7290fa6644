#include "sentry/kernel/seccomp_program.h"

#include <linux/audit.h>

#include <cstring>

namespace runsc {
namespace {

constexpr uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr uint32_t kDataSize = sizeof(seccomp_data);

// One instruction by itself.
bool IsPermitted(const sock_filter& instruction) {
  const uint32_t k = instruction.k;
  switch (instruction.code) {
    case kLoad:
      return k < kDataSize && k % sizeof(uint32_t) == 0;
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
      return k < BPF_MEMWORDS;
    case BPF_ALU | BPF_DIV | BPF_K:
      return k != 0;
    case BPF_ALU | BPF_LSH | BPF_K:
    case BPF_ALU | BPF_RSH | BPF_K:
      return k < 32;
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
    case BPF_ALU | BPF_ADD | BPF_K:
    case BPF_ALU | BPF_ADD | BPF_X:
    case BPF_ALU | BPF_SUB | BPF_K:
    case BPF_ALU | BPF_SUB | BPF_X:
    case BPF_ALU | BPF_MUL | BPF_K:
    case BPF_ALU | BPF_MUL | BPF_X:
    case BPF_ALU | BPF_DIV | BPF_X:
    case BPF_ALU | BPF_AND | BPF_K:
    case BPF_ALU | BPF_AND | BPF_X:
    case BPF_ALU | BPF_OR | BPF_K:
    case BPF_ALU | BPF_OR | BPF_X:
    case BPF_ALU | BPF_XOR | BPF_K:
    case BPF_ALU | BPF_XOR | BPF_X:
    case BPF_ALU | BPF_LSH | BPF_X:
    case BPF_ALU | BPF_RSH | BPF_X:
    case BPF_ALU | BPF_NEG:
    case BPF_JMP | BPF_JA:
    case BPF_JMP | BPF_JEQ | BPF_K:
    case BPF_JMP | BPF_JEQ | BPF_X:
    case BPF_JMP | BPF_JGE | BPF_K:
    case BPF_JMP | BPF_JGE | BPF_X:
    case BPF_JMP | BPF_JGT | BPF_K:
    case BPF_JMP | BPF_JGT | BPF_X:
    case BPF_JMP | BPF_JSET | BPF_K:
    case BPF_JMP | BPF_JSET | BPF_X:
      return true;
    default:
      return false;
  }
}

bool IsJump(uint16_t code) { return BPF_CLASS(code) == BPF_JMP; }
bool IsAlways(uint16_t code) { return code == (BPF_JMP | BPF_JA); }

bool JumpsStayInside(const sock_filter& instruction, size_t behind) {
  if (!IsJump(instruction.code)) return true;
  if (IsAlways(instruction.code)) return instruction.k < behind;
  return instruction.jt < behind && instruction.jf < behind;
}

// Whether no memory cell is read on a way that has not written it. Jumps go forward, so that one pass sees
// every way to an instruction before the instruction.
bool CellsAreWrittenFirst(std::span<const sock_filter> program) {
  constexpr uint16_t kAll = 0xffff;
  static_assert(BPF_MEMWORDS == 16);
  // Cells written on every jump to each instruction.
  std::vector<uint16_t> at_target(program.size(), kAll);
  uint16_t written = 0;
  for (size_t i = 0; i < program.size(); ++i) {
    const sock_filter& instruction = program[i];
    written &= at_target[i];
    switch (instruction.code) {
      case BPF_ST:
      case BPF_STX:
        written |= static_cast<uint16_t>(1U << instruction.k);
        break;
      case BPF_LD | BPF_MEM:
      case BPF_LDX | BPF_MEM:
        if ((written >> instruction.k & 1) == 0) return false;
        break;
      default:
        if (!IsJump(instruction.code)) break;
        if (IsAlways(instruction.code)) {
          at_target[i + 1 + instruction.k] &= written;
        } else {
          at_target[i + 1 + instruction.jt] &= written;
          at_target[i + 1 + instruction.jf] &= written;
        }
        written = kAll;  // what follows is only reached by jumps
    }
  }
  return true;
}

uint32_t Compute(uint16_t operation, uint32_t a, uint32_t b) {
  switch (operation) {
    case BPF_ADD:
      return a + b;
    case BPF_SUB:
      return a - b;
    case BPF_MUL:
      return a * b;
    case BPF_DIV:
      return b != 0 ? a / b : 0;  // callers ask before
    case BPF_AND:
      return a & b;
    case BPF_OR:
      return a | b;
    case BPF_XOR:
      return a ^ b;
    case BPF_LSH:
      return a << (b % 32);
    case BPF_RSH:
      return a >> (b % 32);
    default:  // BPF_NEG
      return 0 - a;
  }
}

bool Holds(uint16_t operation, uint32_t a, uint32_t b) {
  switch (operation) {
    case BPF_JEQ:
      return a == b;
    case BPF_JGE:
      return a >= b;
    case BPF_JGT:
      return a > b;
    default:  // BPF_JSET
      return (a & b) != 0;
  }
}

size_t NextAfterJump(const sock_filter& instruction, size_t at, uint32_t a, uint32_t x) {
  if (IsAlways(instruction.code)) return at + 1 + instruction.k;
  uint32_t b = BPF_SRC(instruction.code) == BPF_X ? x : instruction.k;
  return at + 1 + (Holds(BPF_OP(instruction.code), a, b) ? instruction.jt : instruction.jf);
}

}  // namespace

Result<SeccompProgram> SeccompProgram::Create(std::vector<sock_filter> instructions) {
  if (instructions.empty() || instructions.size() > BPF_MAXINSNS) return Errno(EINVAL);
  for (size_t i = 0; i < instructions.size(); ++i) {
    if (!IsPermitted(instructions[i])) return Errno(EINVAL);
    if (!JumpsStayInside(instructions[i], instructions.size() - i - 1)) return Errno(EINVAL);
  }
  if (BPF_CLASS(instructions.back().code) != BPF_RET) return Errno(EINVAL);
  if (!CellsAreWrittenFirst(instructions)) return Errno(EINVAL);
  return SeccompProgram(std::move(instructions));
}

uint32_t SeccompProgram::Run(const seccomp_data& data) const {
  uint32_t words[kDataSize / sizeof(uint32_t)];
  memcpy(words, &data, sizeof(words));
  uint32_t a = 0, x = 0;
  uint32_t cells[BPF_MEMWORDS] = {};
  for (size_t i = 0; i < instructions_.size();) {
    const sock_filter& instruction = instructions_[i];
    const uint16_t code = instruction.code;
    const uint32_t k = instruction.k;
    switch (BPF_CLASS(code)) {
      case BPF_RET:
        return BPF_RVAL(code) == BPF_A ? a : k;
      case BPF_JMP:
        i = NextAfterJump(instruction, i, a, x);
        continue;
      case BPF_LD:
        a = code == kLoad                        ? words[k / sizeof(uint32_t)]
            : code == (BPF_LD | BPF_MEM)         ? cells[k]
            : code == (BPF_LD | BPF_W | BPF_LEN) ? kDataSize
                                                 : k;
        break;
      case BPF_LDX:
        x = code == (BPF_LDX | BPF_MEM) ? cells[k] : code == (BPF_LDX | BPF_W | BPF_LEN) ? kDataSize : k;
        break;
      case BPF_ST:
        cells[k] = a;
        break;
      case BPF_STX:
        cells[k] = x;
        break;
      case BPF_ALU: {
        uint32_t b = BPF_SRC(code) == BPF_X ? x : k;
        // A division by zero ends the program with 0 (Linux: bpf_convert_filter).
        if (BPF_OP(code) == BPF_DIV && b == 0) return SECCOMP_RET_KILL_THREAD;
        a = Compute(BPF_OP(code), a, b);
        break;
      }
      default:  // BPF_MISC
        if (code == (BPF_MISC | BPF_TAX)) {
          x = a;
        } else {
          a = x;
        }
    }
    ++i;
  }
  return SECCOMP_RET_KILL_PROCESS;  // not reached: the last instruction returns
}

bool SeccompProgram::AllowsWhateverArguments(uint32_t number) const {
  uint32_t a = 0;
  for (size_t i = 0; i < instructions_.size();) {
    const sock_filter& instruction = instructions_[i];
    const uint16_t code = instruction.code;
    const uint16_t operation = BPF_OP(code);
    if (code == (BPF_RET | BPF_K)) return instruction.k == SECCOMP_RET_ALLOW;
    if (BPF_CLASS(code) == BPF_JMP && (IsAlways(code) || BPF_SRC(code) == BPF_K)) {
      i = NextAfterJump(instruction, i, a, 0);
      continue;
    }
    if (code == kLoad && instruction.k == offsetof(seccomp_data, nr)) {
      a = number;
    } else if (code == kLoad && instruction.k == offsetof(seccomp_data, arch)) {
      a = AUDIT_ARCH_X86_64;
    } else if (code == (BPF_LD | BPF_IMM)) {
      a = instruction.k;
    } else if (BPF_CLASS(code) == BPF_ALU && (BPF_SRC(code) == BPF_K || operation == BPF_NEG)) {
      a = Compute(operation, a, instruction.k);
    } else {
      return false;  // depends on more, or is too clever for this
    }
    ++i;
  }
  return false;
}

SeccompProgram::NumberSet SeccompProgram::AllowedNumbers() const {
  NumberSet allowed;
  for (uint32_t number = 0; number < kNumbers; ++number) allowed[number] = AllowsWhateverArguments(number);
  return allowed;
}

}  // namespace runsc
