// The host system calls that the ptrace platform makes after lock-down, for the
// Sentry's policy, beside StubPlatformRules.
#ifndef PLATFORM_PTRACE_SECCOMP_RULES_H_
#define PLATFORM_PTRACE_SECCOMP_RULES_H_

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <vector>

#include "platform/seccomp/rules.h"

namespace runsc {

inline std::vector<SyscallRule> PtracePlatformRules() {
  return {
      {SYS_ptrace, "take a parked stub thread", {IntArgIs(0, PTRACE_SEIZE)}},
      {SYS_ptrace, "stop a stub thread that was just taken", {IntArgIs(0, PTRACE_INTERRUPT)}},
      {SYS_ptrace, "run guest code up to its next system call or fault", {IntArgIs(0, PTRACE_SYSEMU)}},
      {SYS_ptrace, "run one guest instruction", {IntArgIs(0, PTRACE_SYSEMU_SINGLESTEP)}},
      {SYS_ptrace, "run stub code in a borrowed stub thread", {IntArgIs(0, PTRACE_CONT)}},
      {SYS_ptrace, "let a stub thread park or exit", {IntArgIs(0, PTRACE_DETACH)}},
      {SYS_ptrace, "read the guest's registers", {IntArgIs(0, PTRACE_GETREGS)}},
      {SYS_ptrace, "read the guest's FP state", {IntArgIs(0, PTRACE_GETREGSET)}},
      {SYS_ptrace, "load the guest's registers and FP state", {IntArgIs(0, PTRACE_SETREGSET)}},
      {SYS_ptrace, "leave 32-bit mode before registers are loaded", {IntArgIs(0, PTRACE_POKEUSER)}},
      {SYS_ptrace, "what fault a guest thread got", {IntArgIs(0, PTRACE_GETSIGINFO)}},
      {SYS_ptrace, "tell a 32-bit entry from a system call", {IntArgIs(0, PTRACE_GET_SYSCALL_INFO)}},
      {SYS_wait4, "wait for a stub thread to stop"},
  };
}

}  // namespace runsc

#endif  // PLATFORM_PTRACE_SECCOMP_RULES_H_
