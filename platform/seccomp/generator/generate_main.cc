// Build-time program: compiles the policies of one rules file into a header of BPF
// arrays, with libseccomp. It is built once for each rules file, whose function is named
// by RUNSC_POLICIES.
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "platform/seccomp/rules.h"

namespace runsc {
std::vector<SeccompPolicy> RUNSC_POLICIES();
}

namespace {

using runsc::ArgCondition;
using runsc::SeccompPolicy;
using runsc::SyscallRule;

[[noreturn]] void Die(const SeccompPolicy& policy, const SyscallRule* rule, const char* what, int error) {
  char* name = rule != nullptr
                   ? seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, static_cast<int>(rule->number))
                   : nullptr;
  fprintf(stderr, "seccomp policy %s: %s: %s: %s\n", policy.name.c_str(), name != nullptr ? name : "filter",
          what, strerror(error));
  exit(1);
}

scmp_arg_cmp ToLibrary(const ArgCondition& condition) {
  scmp_arg_cmp compare{};
  compare.arg = static_cast<unsigned>(condition.index);
  compare.datum_a = condition.value;
  switch (condition.op) {
    case ArgCondition::Op::kEqual:
      compare.op = SCMP_CMP_EQ;
      if (condition.mask != ~uint64_t{0}) {
        compare.op = SCMP_CMP_MASKED_EQ;
        compare.datum_a = condition.mask;
        compare.datum_b = condition.value;
      }
      break;
    case ArgCondition::Op::kNotEqual:
      compare.op = SCMP_CMP_NE;
      break;
    case ArgCondition::Op::kLess:
      compare.op = SCMP_CMP_LT;
      break;
    case ArgCondition::Op::kLessOrEqual:
      compare.op = SCMP_CMP_LE;
      break;
    case ArgCondition::Op::kGreaterOrEqual:
      compare.op = SCMP_CMP_GE;
      break;
  }
  return compare;
}

// The BPF program's bytes.
std::string Compile(const SeccompPolicy& policy) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
  if (filter == nullptr) Die(policy, nullptr, "seccomp_init", ENOMEM);
  int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  if (error == 0) error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (error != 0) Die(policy, nullptr, "attributes", -error);
  for (const SyscallRule& rule : policy.rules) {
    if (rule.reason.empty()) Die(policy, &rule, "a rule without a reason", EINVAL);
    std::vector<scmp_arg_cmp> compares;
    for (const ArgCondition& condition : rule.conditions) compares.push_back(ToLibrary(condition));
    uint32_t action = rule.error == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(static_cast<uint32_t>(rule.error));
    error = seccomp_rule_add_array(filter, action, static_cast<int>(rule.number),
                                   static_cast<unsigned>(compares.size()), compares.data());
    // EEXIST: another rule says the same.
    if (error != 0 && error != -EEXIST) Die(policy, &rule, "adding the rule", -error);
  }
  int fd = memfd_create("bpf", 0);
  error = seccomp_export_bpf(filter, fd);
  if (error != 0) Die(policy, nullptr, "export", -error);
  seccomp_release(filter);
  std::string bytes(static_cast<size_t>(lseek(fd, 0, SEEK_END)), '\0');
  if (pread(fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    Die(policy, nullptr, "read", EIO);
  close(fd);
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s OUTPUT.h\n", argv[0]);
    return 2;
  }
  std::string text =
      "// Generated from the seccomp rules by platform/seccomp/generator. Do not edit.\n"
      "#pragma once\n#include <linux/filter.h>\n\nnamespace runsc {\n";
  for (const SeccompPolicy& policy : runsc::RUNSC_POLICIES()) {
    std::string bytes = Compile(policy);
    text += "inline constexpr sock_filter k" + policy.name + "Filter[] = {\n";
    for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
      unsigned short code;
      unsigned char jump_true = static_cast<unsigned char>(bytes[i + 2]);
      unsigned char jump_false = static_cast<unsigned char>(bytes[i + 3]);
      unsigned int k;
      memcpy(&code, &bytes[i], sizeof(code));
      memcpy(&k, &bytes[i + 4], sizeof(k));
      char line[80];
      snprintf(line, sizeof(line), "    {0x%02x, %u, %u, 0x%08x},\n", code, jump_true, jump_false, k);
      text += line;
    }
    text += "};\n";
  }
  text += "}  // namespace runsc\n";
  FILE* out = fopen(argv[1], "w");
  if (out == nullptr || fwrite(text.data(), 1, text.size(), out) != text.size() || fclose(out) != 0) {
    perror(argv[1]);
    return 1;
  }
  return 0;
}
