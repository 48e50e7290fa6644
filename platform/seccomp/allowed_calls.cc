#include "platform/seccomp/allowed_calls.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace runsc {
namespace {

using Value = std::optional<uint32_t>;  // of the accumulator; nothing: it depends on the arguments

Value Load(uint32_t offset, uint32_t number) {
  if (offset == offsetof(seccomp_data, nr)) return number;
  if (offset == offsetof(seccomp_data, arch)) return AUDIT_ARCH_X86_64;
  return std::nullopt;
}

bool Holds(uint16_t operation, uint32_t value, uint32_t operand) {
  switch (operation) {
    case BPF_JEQ:
      return value == operand;
    case BPF_JGT:
      return value > operand;
    case BPF_JGE:
      return value >= operand;
    default:
      return (value & operand) != 0;  // BPF_JSET
  }
}

}  // namespace

bool MayBeAllowed(std::span<const sock_filter> filter, uint32_t number) {
  using State = std::pair<size_t, Value>;
  std::vector<State> todo = {{0, std::nullopt}};
  std::set<State> seen;
  while (!todo.empty()) {
    auto [at, value] = todo.back();
    todo.pop_back();
    if (at >= filter.size() || !seen.insert({at, value}).second) continue;
    const sock_filter& instruction = filter[at];
    switch (BPF_CLASS(instruction.code)) {
      case BPF_RET:
        if (instruction.k == SECCOMP_RET_ALLOW) return true;
        break;
      case BPF_LD:
        todo.emplace_back(at + 1, Load(instruction.k, number));
        break;
      case BPF_JMP:
        if (BPF_OP(instruction.code) == BPF_JA) {
          todo.emplace_back(at + 1 + instruction.k, value);
        } else {
          uint16_t operation = BPF_OP(instruction.code);
          bool may_hold = !value || Holds(operation, *value, instruction.k);
          bool may_fail = !value || !Holds(operation, *value, instruction.k);
          if (may_hold) todo.emplace_back(at + 1 + instruction.jt, value);
          if (may_fail) todo.emplace_back(at + 1 + instruction.jf, value);
        }
        break;
      default:
        todo.emplace_back(at + 1, std::nullopt);
    }
  }
  return false;
}

size_t CountAllowedCalls(std::span<const sock_filter> filter) {
  constexpr uint32_t kNumbers = 512;  // above Linux's last one
  size_t count = 0;
  for (uint32_t number = 0; number < kNumbers; ++number) count += MayBeAllowed(filter, number) ? 1 : 0;
  return count;
}

}  // namespace runsc
