// poll(2), ppoll(2), select(2), pselect(2).
#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <time.h>

#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {
volatile int caught;
void CatchUsr1(int flags) {
  struct sigaction action = {};
  action.sa_handler = [](int) { caught = caught + 1; };
  action.sa_flags = flags;
  sigaction(SIGUSR1, &action, nullptr);
  caught = 0;
}
}  // namespace

TEST(BadDescriptorsAreTold) {
  pollfd entries[3] = {{999, POLLIN, 0}, {-1, POLLIN, 99}, {0, 0, 0}};
  EXPECT_EQ(poll(entries, 2, 1000), 1);
  EXPECT_EQ(entries[0].revents, POLLNVAL);
  EXPECT_EQ(entries[1].revents, 0);
  EXPECT_ERRNO(poll(nullptr, 1, 0), EFAULT);
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_ERRNO(syscall(SYS_poll, entries, limit.rlim_cur + 1, 0), EINVAL);
}

TEST(TimeoutsAndWakeUps) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  pollfd entry = {fds[0], POLLIN | POLLRDNORM, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 0);
  EXPECT_EQ(poll(&entry, 1, 5), 0);
  std::thread writer([&] { EXPECT_EQ(write(fds[1], "x", 1), 1); });
  EXPECT_EQ(poll(&entry, 1, -1), 1);
  EXPECT_EQ(entry.revents, POLLIN | POLLRDNORM);
  writer.join();
  timespec wrong = {0, -1};
  EXPECT_ERRNO(ppoll(&entry, 1, &wrong, nullptr), EINVAL);
  EXPECT_EQ(poll(nullptr, 0, 1), 0);
}

TEST(PollIsInterruptedByAHandler) {
  CatchUsr1(SA_RESTART);
  pthread_t self = pthread_self();
  std::atomic<bool> done{false};
  std::thread killer([&] {
    while (!done) {
      pthread_kill(self, SIGUSR1);
      usleep(2000);
    }
  });
  EXPECT_ERRNO(poll(nullptr, 0, -1), EINTR);
  EXPECT_ERRNO(select(0, nullptr, nullptr, nullptr, nullptr), EINTR);
  done = true;
  killer.join();
}

TEST(PpollTakesAMask) {
  CatchUsr1(0);
  sigset_t blocked, empty;
  sigemptyset(&empty);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, nullptr);
  raise(SIGUSR1);
  timespec timeout = {0, 1000};
  EXPECT_EQ(ppoll(nullptr, 0, &timeout, &blocked), 0);
  EXPECT_EQ(caught, 0);
  EXPECT_ERRNO(ppoll(nullptr, 0, nullptr, &empty), EINTR);
  EXPECT_EQ(caught, 1);
}

TEST(SelectMarksWhatIsReady) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  fd_set read_set, write_set;
  FD_ZERO(&read_set);
  FD_ZERO(&write_set);
  FD_SET(fds[0], &read_set);
  FD_SET(fds[1], &write_set);
  timeval timeout = {5, 0};
  EXPECT_EQ(select(fds[1] + 1, &read_set, &write_set, nullptr, &timeout), 1);
  EXPECT_FALSE(FD_ISSET(fds[0], &read_set));
  EXPECT_TRUE(FD_ISSET(fds[1], &write_set));
  EXPECT_LE(timeout.tv_sec, 5);
  EXPECT_GE(timeout.tv_sec, 4);
  FD_SET(fds[0], &read_set);
  timeout = {0, 3000};
  EXPECT_EQ(select(fds[0] + 1, &read_set, nullptr, nullptr, &timeout), 0);
  EXPECT_FALSE(FD_ISSET(fds[0], &read_set));
  EXPECT_EQ(timeout.tv_sec, 0);
  EXPECT_EQ(timeout.tv_usec, 0);
  close(fds[1]);
  FD_SET(fds[0], &read_set);
  EXPECT_EQ(select(fds[0] + 1, &read_set, nullptr, nullptr, nullptr), 1);
  timeout = {-1, 0};
  EXPECT_ERRNO(select(0, nullptr, nullptr, nullptr, &timeout), EINVAL);
  EXPECT_ERRNO(select(-1, nullptr, nullptr, nullptr, nullptr), EINVAL);
  FD_ZERO(&read_set);
  FD_SET(fds[0], &read_set);
  close(fds[0]);
  EXPECT_ERRNO(select(fds[0] + 1, &read_set, nullptr, nullptr, nullptr), EBADF);
}

TEST(PselectKeepsItsTimeoutInTheLibrary) {
  CatchUsr1(0);
  sigset_t blocked, empty;
  sigemptyset(&empty);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, nullptr);
  raise(SIGUSR1);
  timespec timeout = {5, 0};
  EXPECT_ERRNO(pselect(0, nullptr, nullptr, nullptr, &timeout, &empty), EINTR);
  EXPECT_EQ(caught, 1);
}
