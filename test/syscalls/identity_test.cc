// getpid(2), getuid(2) and their like; also the first program that a new platform runs.
#include <sys/utsname.h>

#include "test/syscalls/syscall_test.h"

TEST(GetpidIsStableAndDiffersInAChild) {
  pid_t self = getpid();
  EXPECT_GT(self, 0);
  EXPECT_EQ(self, getpid());
  EXPECT_EQ(self, syscall(SYS_gettid));
  EXPECT_CHILD_OK([&] {
    EXPECT_NE(getpid(), self);
    EXPECT_EQ(getppid(), self);
  });
}

TEST(ResuidAgreesWithTheSingleCalls) {
  uid_t real, effective, saved;
  ASSERT_OK(getresuid(&real, &effective, &saved));
  EXPECT_EQ(real, getuid());
  EXPECT_EQ(effective, geteuid());
  EXPECT_ERRNO(syscall(SYS_getresuid, nullptr, &effective, &saved), EFAULT);
}

TEST(UnameNamesLinux) {
  utsname name;
  ASSERT_OK(uname(&name));
  EXPECT_EQ(name.sysname, "Linux");
  EXPECT_EQ(name.machine, "x86_64");
  EXPECT_ERRNO(syscall(SYS_uname, nullptr), EFAULT);
}

TEST(ExitCodeHasEightBits) {
  EXPECT_EXIT([] { _exit(0x1ff); }, 0xff);
  EXPECT_KILLED([] { raise(SIGKILL); }, SIGKILL);
}

TEST(UnknownSyscallIsEnosys) { EXPECT_ERRNO(syscall(100000), ENOSYS); }
