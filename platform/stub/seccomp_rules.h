// The host system calls that every platform with stub processes makes after lock-down, for
// the Sentry's policy. What its threads and memory need from the C library (clone, mmap of
// anonymous memory, private futexes) is the Sentry's own and not repeated here.
#ifndef PLATFORM_STUB_SECCOMP_RULES_H_
#define PLATFORM_STUB_SECCOMP_RULES_H_

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>

#include <vector>

#include "platform/seccomp/rules.h"

namespace runsc {

inline std::vector<SyscallRule> StubPlatformRules() {
  return {
      {SYS_wait4, "see and reap dead stub processes"},
      {SYS_tgkill, "interrupt guest code", {IntArgIs(2, SIGURG)}},
      {SYS_kill, "end a stub process", {IntArgIs(1, SIGKILL)}},
      {SYS_kill, "go on after a stop from outside", {IntArgIs(1, SIGCONT)}},
      {SYS_futex, "wait for a stub's keeper or thread", {IntArgIs(1, FUTEX_WAIT)}},
      {SYS_futex, "wake a stub's keeper or thread", {IntArgIs(1, FUTEX_WAKE)}},
      {SYS_lseek, "read a keeper's answer from its mailbox"},
      {SYS_memfd_create, "pages shared with a new stub process", {IntArgIs(1, MFD_CLOEXEC)}},
      {SYS_ftruncate, "the same"},
      {SYS_mmap, "the same", {IntArgIs(2, PROT_READ | PROT_WRITE), IntArgIs(3, MAP_SHARED)}},
      {SYS_munmap, "pages of stub processes that are gone"},
      {SYS_close, "the same"},
      {SYS_sched_setaffinity, "keep a task's thread and its stub thread on one CPU"},
      {SYS_getcpu, "where a thread is; the vDSO tells, or nobody", {}, ENOSYS},
      {SYS_gettid, "who a task's thread is to the balancer and to ptrace"},
      {SYS_clock_nanosleep, "the balancer's tick"},
      {SYS_sched_yield, "the balancer before it sleeps (std::atomic::wait)"},
  };
}

}  // namespace runsc

#endif  // PLATFORM_STUB_SECCOMP_RULES_H_
