// kcmp(2).
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/sem.h>

#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {

long Compare(pid_t a, pid_t b, int type, unsigned long x = 0, unsigned long y = 0) {
  return syscall(SYS_kcmp, a, b, type, x, y);
}

}  // namespace

TEST(Files) {
  int first = ASSERT_OK(open("/dev/null", O_RDONLY));
  int second = ASSERT_OK(open("/dev/null", O_RDONLY));
  int copy = ASSERT_OK(dup(first));
  pid_t self = getpid();
  EXPECT_EQ(Compare(self, self, KCMP_FILE, first, copy), 0);
  long order = Compare(self, self, KCMP_FILE, first, second);
  EXPECT_TRUE(order == 1 || order == 2);
  EXPECT_EQ(Compare(self, self, KCMP_FILE, second, first), 3 - order);
  EXPECT_EQ(Compare(self, self, KCMP_FILE, second, copy), 3 - order);
  EXPECT_ERRNO(Compare(self, self, KCMP_FILE, first, 777), EBADF);
  EXPECT_CHILD_OK([&] {
    EXPECT_EQ(Compare(getpid(), self, KCMP_FILE, first, copy), 0);
    EXPECT_NE(Compare(getpid(), self, KCMP_FILE, first, second), 0);
  });
}

TEST(ProcessesAndThreads) {
  pid_t self = getpid();
  std::thread([&] {
    pid_t thread = gettid();
    for (int type : {KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND, KCMP_IO, KCMP_SYSVSEM})
      EXPECT_EQ(Compare(self, thread, type), 0);
    EXPECT_OK(unshare(CLONE_FILES));
    EXPECT_NE(Compare(self, thread, KCMP_FILES), 0);
  }).join();
  EXPECT_CHILD_OK([&] {
    for (int type : {KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND}) EXPECT_NE(Compare(self, getpid(), type), 0);
  });
}

TEST(Errors) {
  pid_t self = getpid();
  EXPECT_ERRNO(Compare(self, self, KCMP_TYPES), EINVAL);
  EXPECT_ERRNO(Compare(self, self, -1), EINVAL);
  EXPECT_ERRNO(Compare(self, 4194303, KCMP_VM), ESRCH);
  if (geteuid() != 0) SKIP("needs root");
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setuid(1234));
    EXPECT_ERRNO(Compare(self, getpid(), KCMP_VM), EPERM);
  });
}
