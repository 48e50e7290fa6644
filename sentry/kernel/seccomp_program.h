// SeccompProgram: a verified classic BPF program over struct seccomp_data, and its interpreter.
//
// The instructions are a guest's: nothing is run that Create() has not checked. After it, every jump goes
// forward and stays inside, every load is inside the data or of a cell that was written on the way there, and
// the last instruction returns, so that Run() ends after at most size() steps. Threading: immutable. Linux
// counterpart: bpf_check_classic(), seccomp_check_filter(); seccomp(2).
#ifndef SENTRY_KERNEL_SECCOMP_PROGRAM_H_
#define SENTRY_KERNEL_SECCOMP_PROGRAM_H_

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <bitset>
#include <cstdint>
#include <span>
#include <vector>

#include "platform/base/result.h"

namespace runsc {

class SeccompProgram {
 public:
  // System call numbers below this are looked at one by one.
  static constexpr uint32_t kNumbers = 512;
  using NumberSet = std::bitset<kNumbers>;

  // EINVAL: Linux would not take it.
  static Result<SeccompProgram> Create(std::vector<sock_filter> instructions);

  // SECCOMP_RET_* and its data.
  uint32_t Run(const seccomp_data& data) const;
  size_t size() const { return instructions_.size(); }
  std::span<const sock_filter> instructions() const { return instructions_; }
  // The numbers for which it returns SECCOMP_RET_ALLOW on x86-64 whatever the arguments and the
  // instruction's address are.
  NumberSet AllowedNumbers() const;

 private:
  explicit SeccompProgram(std::vector<sock_filter> instructions) : instructions_(std::move(instructions)) {}
  bool AllowsWhateverArguments(uint32_t number) const;

  std::vector<sock_filter> instructions_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_SECCOMP_PROGRAM_H_
