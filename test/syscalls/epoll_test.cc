// epoll(7).
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {

int Add(int epoll, int fd, uint32_t events, uint64_t data = 7) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = data;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
// How many are ready now, and the first one's events.
int Now(int epoll, uint32_t* events = nullptr) {
  epoll_event ready[8];
  int count = epoll_wait(epoll, ready, 8, 0);
  if (events != nullptr) *events = count > 0 ? ready[0].events : 0;
  return count;
}
void Write8(int fd, uint64_t value) { EXPECT_EQ(write(fd, &value, 8), 8); }
void Read8(int fd) {
  uint64_t value;
  EXPECT_EQ(read(fd, &value, 8), 8);
}

}  // namespace

TEST(LevelTriggeredStaysUntilRead) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int event = eventfd(0, 0);
  ASSERT_OK(Add(epoll, event, EPOLLIN));
  EXPECT_EQ(Now(epoll), 0);
  Write8(event, 1);
  uint32_t events;
  EXPECT_EQ(Now(epoll, &events), 1);
  EXPECT_EQ(events, EPOLLIN);
  EXPECT_EQ(Now(epoll), 1);
  Read8(event);
  EXPECT_EQ(Now(epoll), 0);
}

TEST(EdgeTriggeredTellsOnceAWrite) {
  int epoll = epoll_create(1);
  int event = eventfd(0, 0);
  ASSERT_OK(Add(epoll, event, EPOLLIN | EPOLLET));
  Write8(event, 1);
  EXPECT_EQ(Now(epoll), 1);
  EXPECT_EQ(Now(epoll), 0);
  Write8(event, 1);
  EXPECT_EQ(Now(epoll), 1);
  EXPECT_EQ(Now(epoll), 0);
}

TEST(OneShotNeedsToBeArmedAgain) {
  int epoll = epoll_create1(0);
  int event = eventfd(1, 0);
  ASSERT_OK(Add(epoll, event, EPOLLIN | EPOLLONESHOT));
  EXPECT_EQ(Now(epoll), 1);
  EXPECT_EQ(Now(epoll), 0);
  epoll_event again = {};
  again.events = EPOLLIN | EPOLLONESHOT;
  ASSERT_OK(epoll_ctl(epoll, EPOLL_CTL_MOD, event, &again));
  EXPECT_EQ(Now(epoll), 1);
}

TEST(ControlChecksItsArguments) {
  int epoll = epoll_create1(0);
  int event = eventfd(0, 0);
  epoll_event wanted = {};
  EXPECT_ERRNO(epoll_create1(1), EINVAL);
  EXPECT_ERRNO(epoll_create(0), EINVAL);
  EXPECT_ERRNO(epoll_ctl(epoll, EPOLL_CTL_MOD, event, &wanted), ENOENT);
  EXPECT_ERRNO(epoll_ctl(epoll, EPOLL_CTL_DEL, event, &wanted), ENOENT);
  ASSERT_OK(Add(epoll, event, EPOLLIN));
  EXPECT_ERRNO(Add(epoll, event, EPOLLIN), EEXIST);
  EXPECT_ERRNO(Add(epoll, epoll, EPOLLIN), EINVAL);
  EXPECT_ERRNO(Add(epoll, 999, EPOLLIN), EBADF);
  EXPECT_ERRNO(Add(event, epoll, EPOLLIN), EINVAL);
  int directory = open("/", O_RDONLY);
  EXPECT_ERRNO(Add(epoll, directory, EPOLLIN), EPERM);
  EXPECT_ERRNO(epoll_ctl(epoll, 99, event, &wanted), EINVAL);
  EXPECT_ERRNO(epoll_ctl(epoll, EPOLL_CTL_ADD, event, nullptr), EFAULT);
  epoll_event ready;
  EXPECT_ERRNO(epoll_wait(epoll, &ready, 0, 0), EINVAL);
  EXPECT_ERRNO(epoll_wait(event, &ready, 1, 0), EINVAL);
}

TEST(ClosingTheLastDescriptorRemovesTheItem) {
  int epoll = epoll_create1(0);
  int event = eventfd(1, 0);
  int copy = dup(event);
  ASSERT_OK(Add(epoll, event, EPOLLIN));
  close(event);
  EXPECT_EQ(Now(epoll), 1);
  close(copy);
  EXPECT_EQ(Now(epoll), 0);
}

TEST(NestedFilesAreReadyAndCirclesRefused) {
  int inner = epoll_create1(0);
  int outer = epoll_create1(0);
  int event = eventfd(0, 0);
  ASSERT_OK(Add(inner, event, EPOLLIN));
  ASSERT_OK(Add(outer, inner, EPOLLIN));
  EXPECT_ERRNO(Add(inner, outer, EPOLLIN), ELOOP);
  EXPECT_EQ(Now(outer), 0);
  Write8(event, 1);
  EXPECT_EQ(Now(outer), 1);
  pollfd entry = {inner, POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 1);
  Read8(event);
  EXPECT_EQ(Now(outer), 0);
}

// A chain of five; how long it is, is looked at in both directions.
TEST(ChainsOfFilesAreLimited) {
  auto make_chain = [](int length) {
    std::vector<int> chain;
    for (int i = 0; i < length; ++i) {
      chain.push_back(epoll_create1(0));
      if (i > 0) EXPECT_OK(Add(chain[i - 1], chain[i], EPOLLIN));
    }
    return chain;
  };
  EXPECT_ERRNO(Add(epoll_create1(0), make_chain(5)[0], EPOLLIN), ELOOP);
  for (int above = 1; above <= 5; ++above) {
    int last = make_chain(above).back();
    if (above < 5) EXPECT_OK(Add(last, make_chain(5 - above)[0], EPOLLIN));
    EXPECT_ERRNO(Add(last, make_chain(6 - above)[0], EPOLLIN), ELOOP);
    EXPECT_OK(Add(last, eventfd(0, 0), EPOLLIN));
  }
}

// Of a nest with ten million ways through it: nobody goes all of them.
TEST(ManyWaysThroughANestCostNothing) {
  constexpr int kWidth = 60;
  std::vector<int> layers[5];
  for (auto& layer : layers)
    for (int i = 0; i < kWidth; ++i) layer.push_back(ASSERT_OK(epoll_create1(0)));
  for (int above = 0; above < 4; ++above)
    for (int epoll : layers[above])
      for (int below : layers[above + 1]) ASSERT_OK(Add(epoll, below, EPOLLIN));
  int outer = epoll_create1(0);
  for (int i = 0; i < 300; ++i) {
    EXPECT_ERRNO(Add(outer, layers[0][0], EPOLLIN), ELOOP);
    EXPECT_ERRNO(Add(layers[4][0], layers[0][0], EPOLLIN), ELOOP);
    EXPECT_EQ(Now(layers[0][0]), 0);
    // A file at the bottom would wake everything above it, in each way there is.
    EXPECT_ERRNO(Add(layers[4][0], eventfd(0, 0), EPOLLIN), EINVAL);
    EXPECT_OK(Add(layers[0][0], eventfd(0, 0), EPOLLIN));
  }
}

// How many ways an event may go: any number to epoll files that are in no others, else by their length.
TEST(WaysToAFileAreLimited) {
  int plain = eventfd(0, 0);
  for (int i = 0; i < 700; ++i) {
    int epoll = ASSERT_OK(epoll_create1(0));
    ASSERT_OK(Add(epoll, plain, EPOLLIN));
    close(epoll);
  }
  const int limits[] = {500, 100, 50, 10};
  for (int steps = 1; steps <= 4; ++steps) {
    // file < chain[0] < ... < chain.back() < many
    std::vector<int> chain;
    for (int i = 0; i < steps; ++i) {
      chain.push_back(epoll_create1(0));
      if (i > 0) ASSERT_OK(Add(chain[i], chain[i - 1], EPOLLIN));
    }
    ASSERT_OK(Add(chain[0], eventfd(0, 0), EPOLLIN));
    std::vector<int> many;
    for (int i = 0; i < limits[steps - 1]; ++i) {
      many.push_back(ASSERT_OK(epoll_create1(0)));
      ASSERT_OK(Add(many.back(), chain.back(), EPOLLIN));
    }
    EXPECT_ERRNO(Add(epoll_create1(0), chain.back(), EPOLLIN), EINVAL);
    EXPECT_ERRNO(Add(many[0], chain.back(), EPOLLIN), EEXIST);
    ASSERT_OK(epoll_ctl(many[0], EPOLL_CTL_DEL, chain.back(), nullptr));
    EXPECT_OK(Add(epoll_create1(0), chain.back(), EPOLLIN));
    closefrom(plain + 1);
  }
}

TEST(AWaiterIsWokenAndTheTimeoutHolds) {
  int epoll = epoll_create1(0);
  int event = eventfd(0, 0);
  ASSERT_OK(Add(epoll, event, EPOLLIN, 42));
  std::thread writer([&] {
    usleep(2000);
    Write8(event, 1);
  });
  epoll_event ready = {};
  EXPECT_EQ(epoll_wait(epoll, &ready, 1, -1), 1);
  EXPECT_EQ(ready.data.u64, 42);
  writer.join();
  Read8(event);
  EXPECT_EQ(epoll_wait(epoll, &ready, 1, 5), 0);
}

TEST(HangUpComesUnasked) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  int epoll = epoll_create1(0);
  ASSERT_OK(Add(epoll, fds[0], 0));
  close(fds[1]);
  uint32_t events;
  EXPECT_EQ(Now(epoll, &events), 1);
  EXPECT_EQ(events, EPOLLHUP);
}

TEST(PwaitSetsTheMaskForTheWait) {
  int epoll = epoll_create1(0);
  struct sigaction action = {};
  static int caught;
  caught = 0;
  action.sa_handler = [](int) { ++caught; };
  sigaction(SIGUSR1, &action, nullptr);
  sigset_t blocked, empty, now;
  sigemptyset(&empty);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, nullptr);
  raise(SIGUSR1);
  epoll_event ready;
  EXPECT_EQ(caught, 0);
  EXPECT_ERRNO(epoll_pwait(epoll, &ready, 1, -1, &empty), EINTR);
  EXPECT_EQ(caught, 1);
  sigprocmask(SIG_BLOCK, nullptr, &now);
  EXPECT_TRUE(sigismember(&now, SIGUSR1));
}

TEST(ManyWaitersShareTheWork) {
  int epoll = epoll_create1(0);
  int event = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
  ASSERT_OK(Add(epoll, event, EPOLLIN));
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (taken < 100) {
        epoll_event ready;
        if (epoll_wait(epoll, &ready, 1, 20) != 1) continue;
        uint64_t value;
        if (read(event, &value, 8) == 8) ++taken;
      }
    });
  }
  for (int i = 0; i < 100; ++i) Write8(event, 1);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(taken.load(), 100);
}
