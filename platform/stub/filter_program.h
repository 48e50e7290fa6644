// FilterProgram: writes a small seccomp program whose values are known at run time only
// (where the stub's code is). Everything that no rule allows ends in SIGSYS.
// Linux counterpart: seccomp(2), SECCOMP_RET_TRAP.
#ifndef PLATFORM_STUB_FILTER_PROGRAM_H_
#define PLATFORM_STUB_FILTER_PROGRAM_H_

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "platform/base/check.h"
#include "platform/stub/stub_layout.h"

namespace runsc {

class FilterProgram {
 public:
  static constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
  static constexpr uint32_t kTrap = SECCOMP_RET_TRAP;

  // What does not come from the code page as a 64-bit call is refused at once.
  explicit FilterProgram(uint64_t code_address) {
    Load(offsetof(seccomp_data, arch));
    TrapUnlessEqual(AUDIT_ARCH_X86_64);
    Load(offsetof(seccomp_data, instruction_pointer) + 4);
    TrapUnlessEqual(static_cast<uint32_t>(code_address >> 32));
    Load(offsetof(seccomp_data, instruction_pointer));
    And(~uint32_t{STUB_PAGE_SIZE - 1});
    TrapUnlessEqual(static_cast<uint32_t>(code_address));
  }

  void Load(size_t offset) { Add(BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(offset)); }
  void LoadArgumentLow(int i) { Load(offsetof(seccomp_data, args) + 8 * static_cast<size_t>(i)); }
  void LoadArgumentHigh(int i) { Load(offsetof(seccomp_data, args) + 8 * static_cast<size_t>(i) + 4); }
  void And(uint32_t mask) { Add(BPF_ALU | BPF_AND | BPF_K, 0, 0, mask); }
  void Return(uint32_t action) { Add(BPF_RET | BPF_K, 0, 0, action); }
  void TrapUnlessEqual(uint32_t value) {
    Add(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, value);
    Return(kTrap);
  }
  void AllowIfEqual(uint32_t value) {
    Add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value);
    Return(kAllow);
  }
  // Starts a rule; EndRule makes the jump over it when the number differs.
  void BeginRule(uint32_t number) {
    Load(offsetof(seccomp_data, nr));
    rule_ = code_.size();
    Add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, number);
  }
  void EndRule(uint32_t action) {
    Return(action);
    code_[rule_].jf = static_cast<uint8_t>(code_.size() - rule_ - 1);
  }
  void AllowAlways(uint32_t number) {
    BeginRule(number);
    EndRule(kAllow);
  }
  void TrapUnlessAtLeast(uint32_t value) {
    Add(BPF_JMP | BPF_JGE | BPF_K, 1, 0, value);
    Return(kTrap);
  }
  void TrapUnlessBelow(uint32_t value) {
    Add(BPF_JMP | BPF_JGE | BPF_K, 0, 1, value);
    Return(kTrap);
  }
  // What stands between these two is for calls whose argument `i` is `value`, and decides them.
  void BeginIfArgument(int i, uint64_t value) {
    LoadArgumentLow(i);
    section_low_ = code_.size();
    Add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, static_cast<uint32_t>(value));
    LoadArgumentHigh(i);
    section_high_ = code_.size();
    Add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, static_cast<uint32_t>(value >> 32));
  }
  void EndIfArgument() {
    Return(kTrap);
    CHECK(code_.size() - section_low_ - 1 <= 255);
    code_[section_low_].jf = static_cast<uint8_t>(code_.size() - section_low_ - 1);
    code_[section_high_].jf = static_cast<uint8_t>(code_.size() - section_high_ - 1);
  }
  std::vector<sock_filter> Take() { return std::move(code_); }

 private:
  void Add(unsigned code, unsigned jt, unsigned jf, uint32_t k) {
    code_.push_back({static_cast<uint16_t>(code), static_cast<uint8_t>(jt), static_cast<uint8_t>(jf), k});
  }
  std::vector<sock_filter> code_;
  size_t rule_ = 0, section_low_ = 0, section_high_ = 0;
};

}  // namespace runsc

#endif  // PLATFORM_STUB_FILTER_PROGRAM_H_
