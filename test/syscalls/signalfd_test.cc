// signalfd(2).
#include <poll.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "test/syscalls/syscall_test.h"

namespace {
int Make(int signal, int flags, sigset_t* set) {
  sigemptyset(set);
  sigaddset(set, signal);
  sigprocmask(SIG_BLOCK, set, nullptr);
  return signalfd(-1, set, flags);
}
}  // namespace

TEST(SignalsAreRead) {
  sigset_t set;
  int fd = Make(SIGUSR1, SFD_NONBLOCK, &set);
  ASSERT_OK(fd);
  signalfd_siginfo info;
  EXPECT_ERRNO(read(fd, &info, sizeof(info)), EAGAIN);
  EXPECT_ERRNO(read(fd, &info, 10), EINVAL);
  raise(SIGUSR1);
  pollfd entry = {fd, POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 1);
  EXPECT_EQ(read(fd, &info, sizeof(info)), sizeof(info));
  EXPECT_EQ(info.ssi_signo, SIGUSR1);
  EXPECT_EQ(info.ssi_pid, getpid());
  EXPECT_EQ(poll(&entry, 1, 0), 0);
}

TEST(QueuedValuesComeInOrder) {
  sigset_t set;
  int fd = Make(SIGRTMIN, SFD_NONBLOCK, &set);
  for (int i = 1; i <= 3; ++i) {
    sigval value;
    value.sival_int = i;
    ASSERT_OK(sigqueue(getpid(), SIGRTMIN, value));
  }
  signalfd_siginfo info[4];
  EXPECT_EQ(read(fd, info, sizeof(info)), 3 * sizeof(info[0]));
  EXPECT_EQ(info[2].ssi_int, 3);
  EXPECT_EQ(info[0].ssi_code, SI_QUEUE);
}

TEST(AnotherMaskAndWrongFiles) {
  sigset_t set;
  int fd = Make(SIGUSR1, SFD_NONBLOCK, &set);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  EXPECT_EQ(signalfd(fd, &set, 0), fd);
  raise(SIGUSR2);
  signalfd_siginfo info;
  EXPECT_EQ(read(fd, &info, sizeof(info)), sizeof(info));
  EXPECT_ERRNO(signalfd(0, &set, 0), EINVAL);
  EXPECT_ERRNO(signalfd(999, &set, 0), EBADF);
  EXPECT_ERRNO(signalfd(-1, &set, 1), EINVAL);
}

TEST(ABlockedReadIsWokenByAChildsEnd) {
  sigset_t set;
  int fd = Make(SIGCHLD, 0, &set);
  pid_t child = Fork([] {});
  signalfd_siginfo info;
  EXPECT_EQ(read(fd, &info, sizeof(info)), sizeof(info));
  EXPECT_EQ(info.ssi_pid, child);
  EXPECT_EQ(info.ssi_code, CLD_EXITED);
  WaitFor(child);
}

TEST(EpollTellsOfSignals) {
  sigset_t set;
  int fd = Make(SIGUSR1, SFD_NONBLOCK, &set);
  int epoll = epoll_create1(0);
  epoll_event event = {};
  event.events = EPOLLIN;
  ASSERT_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
  EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
  pid_t child = Fork([parent = getpid()] { kill(parent, SIGUSR1); });
  EXPECT_EQ(epoll_wait(epoll, &event, 1, -1), 1);
  WaitFor(child);
}
