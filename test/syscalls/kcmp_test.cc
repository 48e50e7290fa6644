// kcmp(2).
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
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

TEST(WhatAnEpollFileWatches) {
  int pipe_fd[2];
  ASSERT_OK(pipe(pipe_fd));
  int epoll = ASSERT_OK(epoll_create1(0));
  epoll_event event{.events = EPOLLIN, .data = {}};
  ASSERT_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe_fd[0], &event));
  const pid_t self = getpid();
  auto compare = [&](int fd, kcmp_epoll_slot slot) {
    return Compare(self, self, KCMP_EPOLL_TFD, static_cast<unsigned long>(fd),
                   reinterpret_cast<unsigned long>(&slot));
  };
  const auto epoll_number = static_cast<uint32_t>(epoll), number = static_cast<uint32_t>(pipe_fd[0]);
  int copy = ASSERT_OK(dup(pipe_fd[0]));
  EXPECT_EQ(compare(copy, {epoll_number, number, 0}), 0);
  EXPECT_GT(compare(pipe_fd[1], {epoll_number, number, 0}), 0);
  EXPECT_ERRNO(compare(copy, {epoll_number, number, 1}), ENOENT);
  EXPECT_ERRNO(compare(copy, {epoll_number, static_cast<uint32_t>(copy), 0}), ENOENT);
  EXPECT_ERRNO(compare(copy, {number, number, 0}), EINVAL);
  EXPECT_ERRNO(compare(copy, {777, number, 0}), EBADF);
  EXPECT_ERRNO(compare(777, {epoll_number, number, 0}), EBADF);
  EXPECT_ERRNO(Compare(self, self, KCMP_EPOLL_TFD, static_cast<unsigned long>(copy), 1), EFAULT);
  // Another file of the same number, the first one being open elsewhere.
  ASSERT_OK(dup2(pipe_fd[1], pipe_fd[0]));
  event.events = EPOLLOUT;
  ASSERT_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe_fd[0], &event));
  const bool is_first = compare(copy, {epoll_number, number, 0}) == 0;
  EXPECT_EQ(compare(is_first ? pipe_fd[1] : copy, {epoll_number, number, 1}), 0);
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
