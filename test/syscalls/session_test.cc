// Process groups and sessions.
#include "test/syscalls/syscall_test.h"

TEST(SetsidMakesASessionOnce) {
  EXPECT_CHILD_OK([] {
    pid_t self = getpid();
    EXPECT_EQ(setsid(), self);
    EXPECT_EQ(getsid(0), self);
    EXPECT_EQ(getpgrp(), self);
    EXPECT_ERRNO(setsid(), EPERM);
    EXPECT_ERRNO(setpgid(0, 0), EPERM);
  });
}

TEST(SetpgidRules) {
  EXPECT_CHILD_OK([] {
    setsid();
    pid_t child = Fork([] {
      for (;;) pause();
    });
    EXPECT_EQ(getpgid(child), getpid());
    EXPECT_OK(setpgid(child, child));
    EXPECT_EQ(getpgid(child), child);
    EXPECT_OK(setpgid(child, getpid()));
    EXPECT_ERRNO(setpgid(child, 0x3fffffff), EPERM);
    EXPECT_ERRNO(setpgid(0x3fffffff, 0), ESRCH);
    EXPECT_ERRNO(setpgid(child, -1), EINVAL);
    EXPECT_ERRNO(setpgid(getppid(), 0), ESRCH);
    kill(child, SIGKILL);
    WaitFor(child);
  });
}

TEST(KillReachesAGroup) {
  EXPECT_CHILD_OK([] {
    setsid();
    pid_t children[3];
    for (pid_t& child : children) {
      child = Fork([] {
        for (;;) pause();
      });
      setpgid(child, children[0]);
    }
    EXPECT_OK(kill(-children[0], SIGTERM));
    for (pid_t child : children) EXPECT_EQ(WTERMSIG(WaitFor(child)), SIGTERM);
    EXPECT_ERRNO(kill(-children[0], 0), ESRCH);
  });
}
