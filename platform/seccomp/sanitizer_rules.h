// The host system calls that the runtimes of AddressSanitizer, UndefinedBehaviorSanitizer and
// ThreadSanitizer make on their own, for the policies of processes that run guests' requests. Only in builds
// with a sanitizer (tools/sanitize.sh); in all others there are none.
#ifndef PLATFORM_SECCOMP_SANITIZER_RULES_H_
#define PLATFORM_SECCOMP_SANITIZER_RULES_H_

#include <vector>

#include "platform/seccomp/rules.h"

#ifdef RUNSC_SANITIZED
#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#endif

namespace runsc {

inline std::vector<SyscallRule> SanitizerRules() {
#ifdef RUNSC_SANITIZED
  return {
      {SYS_madvise, "shadow memory", {IntArgIs(2, MADV_DONTDUMP)}},
      {SYS_madvise, "shadow memory", {IntArgIs(2, MADV_NOHUGEPAGE)}},
      {SYS_madvise, "memory of the allocator", {IntArgIs(2, MADV_DONTNEED)}},
      {SYS_mprotect, "memory of the allocator", {ArgHasNot(2, PROT_EXEC)}},
      {SYS_sched_yield, "locks of the runtime"},
      {SYS_futex, "locks of the runtime", {IntArgIs(1, FUTEX_WAIT_PRIVATE)}},
      {SYS_futex, "locks of the runtime", {IntArgIs(1, FUTEX_WAKE_PRIVATE)}},
      {SYS_sigaltstack, "where the stack is before a function that does not return"},
      {SYS_prlimit64, "where a thread's stack is"},
      {SYS_sched_getaffinity, "where a thread's stack is (pthread_getattr_np)"},
      {SYS_clock_gettime, "time between releases of memory"},
      {SYS_nanosleep, "TSan's own thread, which looks after its memory"},
      {SYS_gettimeofday, "the same"},
      {SYS_pipe, "whether memory can be read (UBSan: is this an object of that type?)"},
      {SYS_pipe2, "the same"},
      {SYS_write, "a report, and the pipe"},
      {SYS_open, "files of /proc for a report; it does without", {}, EACCES},
      {SYS_readlink, "the program's name for a report; it does without", {}, EACCES},
  };
#else
  return {};
#endif
}

}  // namespace runsc

#endif  // PLATFORM_SECCOMP_SANITIZER_RULES_H_
