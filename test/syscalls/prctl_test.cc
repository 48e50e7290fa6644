// prctl(2), capabilities, changes of user ids.
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include "test/syscalls/syscall_test.h"

TEST(NameIsCutTo15Bytes) {
  char name[16];
  ASSERT_OK(prctl(PR_SET_NAME, "a name that is far too long"));
  ASSERT_OK(prctl(PR_GET_NAME, name));
  EXPECT_EQ(name, "a name that is ");
  EXPECT_ERRNO(prctl(PR_SET_NAME, nullptr), EFAULT);
}

TEST(NoNewPrivsCannotBeTakenBack) {
  EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
  EXPECT_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
  ASSERT_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
  EXPECT_CHILD_OK([] { EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1); });
}

TEST(DeathSignalComesWhenTheParentDies) {
  int pipe_fds[2];
  ASSERT_OK(pipe(pipe_fds));
  pid_t child = Fork([&] {
    int ready[2];
    (void)!pipe(ready);
    Fork([&] {
      close(pipe_fds[0]);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      (void)!write(ready[1], "x", 1);
      for (;;) pause();
    });
    char c;
    (void)!read(ready[0], &c, 1);
  });
  EXPECT_EQ(WaitFor(child), 0);
  close(pipe_fds[1]);
  char c;
  EXPECT_EQ(read(pipe_fds[0], &c, 1), 0);  // the grandchild held the other end
}

TEST(CapabilitiesFollowUserIds) {
  if (geteuid() != 0) SKIP("needs root");
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  ASSERT_OK(syscall(SYS_capget, &header, data));
  EXPECT_NE(data[0].permitted, 0);
  ASSERT_OK(setgroups(0, nullptr));
  EXPECT_EQ(getgroups(0, nullptr), 0);
  ASSERT_OK(syscall(SYS_setresuid, 1000, 1000, 1000));
  ASSERT_OK(syscall(SYS_capget, &header, data));
  EXPECT_EQ(data[0].permitted, 0);
  EXPECT_EQ(data[0].effective, 0);
  EXPECT_ERRNO(syscall(SYS_setuid, 0), EPERM);
  EXPECT_ERRNO(kill(1, 0), EPERM);
  header.version = 0;
  EXPECT_ERRNO(syscall(SYS_capget, &header, data), EINVAL);
  EXPECT_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
}
