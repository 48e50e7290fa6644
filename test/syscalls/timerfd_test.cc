// timerfd_create(2).
#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>

#include "test/syscalls/syscall_test.h"

TEST(ExpirationsAreCounted) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  ASSERT_OK(fd);
  itimerspec setting = {{0, 1000000}, {0, 1000000}};
  ASSERT_OK(timerfd_settime(fd, 0, &setting, nullptr));
  uint64_t count = 0;
  EXPECT_EQ(read(fd, &count, 8), 8);
  EXPECT_GE(count, 1);
  timespec pause = {0, 5000000};
  nanosleep(&pause, nullptr);
  EXPECT_EQ(read(fd, &count, 8), 8);
  EXPECT_GE(count, 4);
}

TEST(OneShotAndDisarmed) {
  int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
  uint64_t count;
  EXPECT_ERRNO(read(fd, &count, 8), EAGAIN);
  itimerspec setting = {{0, 0}, {100, 0}}, old;
  ASSERT_OK(timerfd_settime(fd, 0, &setting, nullptr));
  ASSERT_OK(timerfd_gettime(fd, &old));
  EXPECT_GE(old.it_value.tv_sec, 98);
  setting.it_value = {0, 1};
  ASSERT_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &setting, &old));
  EXPECT_GE(old.it_value.tv_sec, 98);
  pollfd entry = {fd, POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, -1), 1);
  EXPECT_EQ(read(fd, &count, 8), 8);
  EXPECT_EQ(count, 1);
  ASSERT_OK(timerfd_gettime(fd, &old));
  EXPECT_EQ(old.it_value.tv_sec, 0);
  EXPECT_EQ(old.it_value.tv_nsec, 0);
  EXPECT_EQ(poll(&entry, 1, 0), 0);
}

TEST(WrongArguments) {
  EXPECT_ERRNO(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
  EXPECT_ERRNO(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
  int fd = timerfd_create(CLOCK_BOOTTIME, 0);
  ASSERT_OK(fd);
  itimerspec wrong = {{0, 0}, {0, 1000000000}};
  EXPECT_ERRNO(timerfd_settime(fd, 0, &wrong, nullptr), EINVAL);
  EXPECT_ERRNO(timerfd_settime(0, 0, &wrong, nullptr), EINVAL);
  itimerspec good = {};
  EXPECT_ERRNO(timerfd_settime(fd, 99, &good, nullptr), EINVAL);
  char c;
  EXPECT_ERRNO(read(fd, &c, 1), EINVAL);
}
