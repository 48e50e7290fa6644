#include "runsc/oci/seccomp.h"

#include <errno.h>
#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>

#include "platform/base/unique_fd.h"
#include "runsc/oci/json_reader.h"

namespace runsc::oci {
namespace {

struct Name {
  std::string_view name;
  uint32_t value;
};

constexpr Name kActions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
};
constexpr Name kOperators[] = {
    {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_LE", SCMP_CMP_LE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    {"SCMP_CMP_NE", SCMP_CMP_NE},
};
constexpr std::string_view kArchitectures[] = {
    "SCMP_ARCH_AARCH64",     "SCMP_ARCH_ARM",       "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",      "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",      "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PARISC",    "SCMP_ARCH_PARISC64",    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",       "SCMP_ARCH_PPC64LE",   "SCMP_ARCH_RISCV64",     "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",       "SCMP_ARCH_X32",       "SCMP_ARCH_X86",         "SCMP_ARCH_X86_64",
};
constexpr Name kFlags[] = {
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
};
constexpr std::string_view kKnownOnlyFlag = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";

template <size_t N>
std::optional<uint32_t> Find(const Name (&names)[N], std::string_view name) {
  for (const Name& candidate : names) {
    if (candidate.name == name) return candidate.value;
  }
  return std::nullopt;
}

template <size_t N>
std::vector<std::string> AllNames(const Name (&names)[N]) {
  std::vector<std::string> all;
  for (const Name& name : names) all.emplace_back(name.name);
  return all;
}

class Compiler {
 public:
  Compiler(const Seccomp& seccomp, const std::string& file) : seccomp_(seccomp), file_(file) {}

  absl::StatusOr<SeccompProgram> Run() {
    SeccompProgram program;
    if (!Flags(&program.flags) || !Architectures()) return status_;
    std::optional<uint32_t> action =
        Action(seccomp_.default_action, seccomp_.default_errno_ret, "defaultAction", "defaultErrnoRet");
    if (!action.has_value()) return status_;
    default_action_ = *action;
    context_.reset(::seccomp_init(default_action_));
    if (context_ == nullptr) return Wrong("defaultAction", "libseccomp cannot make a filter of it");
    ::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    // x32 calls are in a range of numbers of this same architecture. Where they are let through it is the
    // kernel that does not have them.
    ::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH,
                       allow_x32_ ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; i < seccomp_.syscalls.size(); ++i) {
      if (!Rule(seccomp_.syscalls[i], i)) return status_;
    }
    if (!Export(&program.filter)) return status_;
    PrependUnknown(&program.filter);
    return program;
  }

 private:
  absl::Status Wrong(std::string_view field, std::string_view why) {
    status_ = absl::InvalidArgumentError(OneLine(fmt::format("{}: linux.seccomp.{}: {}", file_, field, why)));
    return status_;
  }

  bool Flags(uint32_t* flags) {
    for (size_t i = 0; i < seccomp_.flags.size(); ++i) {
      std::optional<uint32_t> flag = Find(kFlags, seccomp_.flags[i]);
      // It is for notification alone.
      if (!flag.has_value() && seccomp_.flags[i] != kKnownOnlyFlag) {
        (void)Wrong(fmt::format("flags[{}]", i), fmt::format("there is no flag '{}'", seccomp_.flags[i]));
        return false;
      }
      *flags |= flag.value_or(0);
    }
    return true;
  }

  bool Architectures() {
    for (size_t i = 0; i < seccomp_.architectures.size(); ++i) {
      const std::string& name = seccomp_.architectures[i];
      if (std::find(std::begin(kArchitectures), std::end(kArchitectures), name) == std::end(kArchitectures)) {
        (void)Wrong(fmt::format("architectures[{}]", i), fmt::format("there is no architecture '{}'", name));
        return false;
      }
      allow_x32_ = allow_x32_ || name == "SCMP_ARCH_X32";
    }
    return true;
  }

  std::optional<uint32_t> Action(const std::string& name, std::optional<uint32_t> errno_ret,
                                 const std::string& field, const std::string& errno_field) {
    std::optional<uint32_t> action = Find(kActions, name);
    if (!action.has_value()) {
      (void)Wrong(field, name == "SCMP_ACT_NOTIFY" ? "SCMP_ACT_NOTIFY is not supported"
                                                   : fmt::format("there is no action '{}'", name));
      return std::nullopt;
    }
    bool takes_number = *action == SCMP_ACT_ERRNO(0) || *action == SCMP_ACT_TRACE(0);
    if (!takes_number && errno_ret.has_value()) {
      (void)Wrong(errno_field, fmt::format("{} takes no error number", name));
      return std::nullopt;
    }
    if (errno_ret.value_or(0) > UINT16_MAX) {
      (void)Wrong(errno_field, "must not be more than 65535");
      return std::nullopt;
    }
    return takes_number ? *action | errno_ret.value_or(EPERM) : *action;
  }

  bool Rule(const SeccompSyscall& rule, size_t index) {
    std::string field = fmt::format("syscalls[{}]", index);
    std::optional<uint32_t> action =
        Action(rule.action, rule.errno_ret, field + ".action", field + ".errnoRet");
    if (!action.has_value()) return false;
    std::vector<scmp_arg_cmp> conditions;
    bool argument_twice = false;
    uint32_t seen = 0;
    for (size_t i = 0; i < rule.args.size(); ++i) {
      const SeccompArg& arg = rule.args[i];
      std::optional<uint32_t> op = Find(kOperators, arg.op);
      if (!op.has_value()) {
        (void)Wrong(fmt::format("{}.args[{}].op", field, i),
                    fmt::format("there is no operator '{}'", arg.op));
        return false;
      }
      argument_twice = argument_twice || (seen & (1U << arg.index)) != 0;
      seen |= 1U << arg.index;
      // EQ takes one value, MASKED_EQ the mask first.
      conditions.push_back({.arg = arg.index,
                            .op = static_cast<scmp_compare>(*op),
                            .datum_a = arg.value,
                            .datum_b = arg.value_two});
    }
    for (const std::string& name : rule.names) {
      int number = ::seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name.c_str());
      // Negative: another architecture's, or one that nobody has heard of.
      if (number < 0) continue;
      highest_ = std::max(highest_, number);
      if (*action == default_action_) continue;
      // Two conditions on one argument are alternatives, as in runc: each is a rule of its own.
      bool added = true;
      if (argument_twice) {
        for (const scmp_arg_cmp& condition : conditions) added = added && Add(*action, number, {condition});
      } else {
        added = Add(*action, number, conditions);
      }
      if (!added) {
        (void)Wrong(field, fmt::format("libseccomp cannot make a rule of it for {}", name));
        return false;
      }
    }
    return true;
  }

  bool Add(uint32_t action, int number, const std::vector<scmp_arg_cmp>& conditions) {
    int result = ::seccomp_rule_add_array(context_.get(), action, number,
                                          static_cast<unsigned>(conditions.size()), conditions.data());
    // A rule that is there already, with any action: the first one counts.
    return result == 0 || result == -EEXIST;
  }

  bool Export(std::vector<sock_filter>* filter) {
    UniqueFd file(::memfd_create("seccomp", MFD_CLOEXEC));
    struct stat status {};
    if (!file || ::seccomp_export_bpf(context_.get(), file.get()) != 0 || ::fstat(file.get(), &status) != 0) {
      (void)Wrong("syscalls", "libseccomp cannot make a filter of it");
      return false;
    }
    auto size = static_cast<size_t>(status.st_size);
    filter->resize(size / sizeof(sock_filter));
    if (::pread(file.get(), filter->data(), size, 0) == static_cast<ssize_t>(size)) return true;
    (void)Wrong("syscalls", ErrorText(errno));
    return false;
  }

  // In front of the program: a number above all that the profile names is ENOSYS.
  void PrependUnknown(std::vector<sock_filter>* filter) {
    bool is_allowing = default_action_ == SCMP_ACT_ALLOW || default_action_ == SCMP_ACT_LOG;
    bool is_traced = (default_action_ & SECCOMP_RET_ACTION_FULL) == SCMP_ACT_TRACE(0);
    if (is_allowing || is_traced || highest_ < 0) return;
    constexpr uint32_t kX32Bit = 0x40000000;
    const sock_filter head[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, static_cast<uint32_t>(highest_), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };
    filter->insert(filter->begin(), std::begin(head), std::end(head));
  }

  struct Release {
    void operator()(void* context) const { ::seccomp_release(context); }
  };

  const Seccomp& seccomp_;
  const std::string& file_;
  absl::Status status_;
  std::unique_ptr<void, Release> context_;
  uint32_t default_action_ = 0;
  bool allow_x32_ = false;
  int highest_ = -1;  // system call that the profile names
};

}  // namespace

absl::StatusOr<SeccompProgram> CompileSeccomp(const Seccomp& seccomp, const std::string& file) {
  return Compiler(seccomp, file).Run();
}

std::vector<std::string> SeccompActions() { return AllNames(kActions); }
std::vector<std::string> SeccompOperators() { return AllNames(kOperators); }
std::vector<std::string> SeccompArchitectures() { return {"SCMP_ARCH_X86_64"}; }
std::vector<std::string> SeccompSupportedFlags() { return AllNames(kFlags); }
std::vector<std::string> SeccompKnownFlags() {
  std::vector<std::string> flags = AllNames(kFlags);
  flags.emplace_back(kKnownOnlyFlag);
  return flags;
}

}  // namespace runsc::oci
