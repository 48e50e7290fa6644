// ForkWaiting: a child that has come to where it waits.
#ifndef TEST_SYSCALLS_WAITING_CHILD_H_
#define TEST_SYSCALLS_WAITING_CHILD_H_

#include <sched.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "test/syscalls/syscall_test.h"

inline int ready_pipe[2];
// By the child, right before the call in which it will wait.
inline void Ready() { EXPECT_EQ(write(ready_pipe[1], "", 1), 1); }
inline void WaitUntilAsleep(pid_t pid) {
  std::string state;
  do {
    sched_yield();
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string a, b;
    file >> a >> b >> state;
  } while (state != "S");
}
inline void WaitUntilReady(pid_t pid) {
  char byte;
  EXPECT_EQ(read(ready_pipe[0], &byte, 1), 1);
  WaitUntilAsleep(pid);
}
// `body` calls Ready().
template <typename Body>
pid_t ForkWaiting(Body body) {
  EXPECT_OK(pipe(ready_pipe));
  pid_t child = Fork(body);
  WaitUntilReady(child);
  return child;
}

#endif  // TEST_SYSCALLS_WAITING_CHILD_H_
