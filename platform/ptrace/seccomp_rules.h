// The host system calls that the ptrace platform makes after lock-down, for the
// Sentry's policy. What its threads and memory need from the C library (clone, mmap of
// anonymous memory, private futexes) is the Sentry's own and not repeated here.
#ifndef PLATFORM_PTRACE_SECCOMP_RULES_H_
#define PLATFORM_PTRACE_SECCOMP_RULES_H_

#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
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
      {SYS_wait4, "wait for a stub thread to stop; reap stub processes"},
      {SYS_tgkill, "interrupt guest code", {IntArgIs(2, SIGURG)}},
      {SYS_kill, "end a stub process", {IntArgIs(1, SIGKILL)}},
      {SYS_kill, "go on after a stop from outside", {IntArgIs(1, SIGCONT)}},
      {SYS_futex, "wait for a stub's keeper", {IntArgIs(1, FUTEX_WAIT)}},
      {SYS_futex, "wake a stub's keeper", {IntArgIs(1, FUTEX_WAKE)}},
      {SYS_lseek, "read a keeper's answer from its mailbox"},
      {SYS_memfd_create, "command and response page of a new stub process", {IntArgIs(1, MFD_CLOEXEC)}},
      {SYS_ftruncate, "the same"},
      {SYS_mmap, "the same", {IntArgIs(2, PROT_READ | PROT_WRITE), IntArgIs(3, MAP_SHARED)}},
      {SYS_munmap, "pages of stub processes that are gone"},
      {SYS_close, "the same"},
      {SYS_sched_setaffinity, "keep a task's thread and its stub thread on one CPU"},
      {SYS_getcpu, "where a thread is, if the vDSO cannot tell"},
      {SYS_gettid, "who traces a stub thread"},
      {SYS_clock_nanosleep, "the balancer's tick"},
      {SYS_sched_yield, "the balancer before it sleeps (std::atomic::wait)"},
  };
}

}  // namespace runsc

#endif  // PLATFORM_PTRACE_SECCOMP_RULES_H_
