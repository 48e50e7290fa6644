// The host system calls that one of our processes may make, as data: each rule names a
// call, what its arguments must be, and why it is needed. A generator turns a policy
// into BPF at build time (generator/), so start-up only installs it (filter.h); a test
// counts and prints the rules. What no rule allows ends the process with a report.
//
// Linux counterpart: seccomp(2).
#ifndef PLATFORM_SECCOMP_RULES_H_
#define PLATFORM_SECCOMP_RULES_H_

#include <sys/syscall.h>

#include <cstdint>
#include <string>
#include <vector>

namespace runsc {

// (argument & mask) op value, on the full 64 bits of argument `index`.
struct ArgCondition {
  enum class Op : uint8_t { kEqual, kNotEqual, kLess, kLessOrEqual, kGreaterOrEqual };
  int index = 0;
  Op op = Op::kEqual;
  uint64_t mask = ~uint64_t{0};  // other than all ones: with kEqual only
  uint64_t value = 0;
};

constexpr ArgCondition ArgIs(int index, uint64_t value) {
  return {index, ArgCondition::Op::kEqual, ~uint64_t{0}, value};
}
// For arguments that are ints (descriptors, flags): the upper half is not looked at, as
// the kernel does not look at it either.
constexpr ArgCondition IntArgIs(int index, int value) {
  return {index, ArgCondition::Op::kEqual, 0xffffffff, static_cast<uint32_t>(value)};
}
// None of these bits: ArgHasNot(2, PROT_EXEC).
constexpr ArgCondition ArgHasNot(int index, uint64_t bits) {
  return {index, ArgCondition::Op::kEqual, bits, 0};
}
// (argument & mask) == value.
constexpr ArgCondition ArgMaskedIs(int index, uint64_t mask, uint64_t value) {
  return {index, ArgCondition::Op::kEqual, mask, value};
}
constexpr ArgCondition ArgBelow(int index, uint64_t limit) {
  return {index, ArgCondition::Op::kLess, ~uint64_t{0}, limit};
}
constexpr ArgCondition ArgAtLeast(int index, uint64_t limit) {
  return {index, ArgCondition::Op::kGreaterOrEqual, ~uint64_t{0}, limit};
}

// Allows `number` when every condition holds. Several rules for one call: any of them.
struct SyscallRule {
  long number = 0;
  std::string reason;
  std::vector<ArgCondition> conditions = {};  // at most one an argument
  int error = 0;                              // not 0: not allowed, but answered with this errno
};

struct SeccompPolicy {
  std::string name;  // an identifier: the array in the generated header is k<Name>Filter
  std::vector<SyscallRule> rules;
};

inline void AddRules(SeccompPolicy& policy, const std::vector<SyscallRule>& rules) {
  policy.rules.insert(policy.rules.end(), rules.begin(), rules.end());
}

}  // namespace runsc

#endif  // PLATFORM_SECCOMP_RULES_H_
