// What programs that try to break the kernel from within share: children that may die, and faults that they
// survive.
#ifndef TEST_SECURITY_HOSTILE_H_
#define TEST_SECURITY_HOSTILE_H_

#include <setjmp.h>
#include <signal.h>

#include <cstdint>
#include <functional>

#include "test/syscalls/syscall_test.h"

namespace hostile {

inline constexpr uint64_t kPage = 4096;

// Runs `body` in a child; how that ended, as a wait status.
inline int StatusOf(const std::function<void()>& body) {
  pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

// Whether `body` ends a child by that signal.
inline bool DiesOf(int signal, const std::function<void()>& body) {
  int status = StatusOf(body);
  return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

// Whether a child comes to the end of `body`.
inline bool Survives(const std::function<void()>& body) {
  int status = StatusOf(body);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Where a fault ends that is caught.
inline sigjmp_buf back;

inline void Escape(int signal) { siglongjmp(back, signal); }

// From now on faults of this process jump to `back`.
inline void CatchFaults() {
  for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS}) {
    struct sigaction action = {};
    action.sa_handler = Escape;
    action.sa_flags = SA_NODEFER | SA_ONSTACK;
    sigaction(signal, &action, nullptr);
  }
  static char stack[65536];
  stack_t alternate = {stack, 0, sizeof(stack)};
  sigaltstack(&alternate, nullptr);
}

}  // namespace hostile

#endif  // TEST_SECURITY_HOSTILE_H_
