// ProcessSpec: what a process of the sandbox that somebody outside starts is to be: the first one, or one
// of `exec`. The host side makes it from config.json or from flags; what concerns the guest's own files (the
// program's path, HOME, the working directory) is found out in the Sentry.
//
// On the way to the Sentry it is bytes in a file; the reader trusts none of them.
// Linux counterpart: what execve(2) inherits; runtime-spec, config.md, "Process".
#ifndef SENTRY_CONTROL_PROCESS_SPEC_H_
#define SENTRY_CONTROL_PROCESS_SPEC_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sentry/kernel/resource_limits.h"
#include "sentry/kernel/scheduling.h"

namespace runsc {

struct ProcessSpec {
  std::vector<std::string> arguments;
  // What is run: looked up in PATH if it has no slash. "": the first of the arguments.
  std::string program;
  std::vector<std::string> environment;
  std::string working_directory = "/";
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;  // supplementary
  // Bit n for capability n.
  uint64_t bounding = 0, permitted = 0, effective = 0, inheritable = 0, ambient = 0;
  uint32_t umask = 022;
  bool no_new_privileges = false;
  // A command that is no ELF file and has no "#!" is read by the shell, as execvp(3) does it.
  bool shell_fallback = false;
  // As containers have it: HOME from the user's entry in /etc/passwd, a missing working directory is made
  // (for the first process only), and its own name for the terminal.
  bool container = false;
  int32_t oom_score_adj = 0;
  int32_t nice = 0;  // -20 to 19
  Scheduling scheduling;
  int32_t io_priority = 0;       // as of ioprio_set(2): class and priority
  uint32_t personality = 0;      // as of personality(2)
  uint64_t ignored_signals = 0;  // what it inherits; bit n-1 for signal n
  uint64_t blocked_signals = 0;
  std::array<ResourceLimit, ResourceLimits::kCount> limits = ResourceLimits().GetAll();
  // InitOptions::seccomp_program, each instruction's eight bytes as a number.
  std::vector<uint64_t> seccomp_program;
  uint32_t seccomp_flags = 0;

  template <typename Coder>
  void Fields(Coder& coder) {
    coder(arguments, program, environment, working_directory, uid, gid, groups, bounding, permitted,
          effective, inheritable, ambient, umask, no_new_privileges, shell_fallback, container, oom_score_adj,
          nice, io_priority, personality, ignored_signals, blocked_signals, seccomp_program, seccomp_flags);
    scheduling.Fields(coder);
    for (ResourceLimit& limit : limits) coder(limit.current, limit.maximum);
  }
};

// Most bytes of an encoded spec: above what execve(2) takes by default, a quarter of an 8 MiB stack.
inline constexpr size_t kMaxProcessSpec = 4 << 20;

// Whether it can be meant.
bool IsWellFormed(const ProcessSpec& spec);
std::vector<std::byte> EncodeProcessSpec(const ProcessSpec& spec);
// Nothing if the bytes are no spec, or one that cannot be meant: no arguments, more groups than Linux has.
std::optional<ProcessSpec> DecodeProcessSpec(std::span<const std::byte> bytes);

}  // namespace runsc

#endif  // SENTRY_CONTROL_PROCESS_SPEC_H_
