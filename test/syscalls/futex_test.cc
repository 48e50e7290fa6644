// futex(2).
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {

long Futex(void* word, int op, uint32_t value, const void* timeout = nullptr, void* word2 = nullptr,
           uint32_t value3 = 0) {
  return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}
timespec In(clockid_t clock, int64_t ns) {
  timespec now;
  clock_gettime(clock, &now);
  ns += now.tv_nsec;
  return {now.tv_sec + ns / 1000000000, ns % 1000000000};
}
// Until somebody waits on the word: a wake of none says 0.
template <typename Wake>
long WakeUntil(Wake wake) {
  long woken;
  while ((woken = wake()) == 0) sched_yield();
  return woken;
}

TEST(robust_list_of_another_task) {
  constexpr size_t kHeadSize = 24;  // struct robust_list_head
  auto get = [](pid_t pid, void** head, size_t* size) {
    return syscall(SYS_get_robust_list, pid, head, size);
  };
  static char head[kHeadSize];
  int ready[2];
  ASSERT_OK(pipe(ready));
  pid_t child = Fork([&] {
    ASSERT_OK(syscall(SYS_set_robust_list, head, kHeadSize));
    ASSERT_OK(write(ready[1], "", 1));
    for (;;) pause();
  });
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  void* found = nullptr;
  size_t size = 0;
  EXPECT_OK(get(child, &found, &size));
  EXPECT_EQ(found, static_cast<void*>(head));
  EXPECT_EQ(size, kHeadSize);
  EXPECT_ERRNO(get(0x3ffffff, &found, &size), ESRCH);
  EXPECT_ERRNO(get(child, nullptr, &size), EFAULT);
  if (geteuid() == 0) {
    EXPECT_CHILD_OK([&] {
      ASSERT_OK(setresuid(65534, 65534, 65534));
      EXPECT_ERRNO(get(child, &found, &size), EPERM);
    });
  }
  kill(child, SIGKILL);
  WaitFor(child);
}

}  // namespace

TEST(WaitNeedsTheExpectedValue) {
  uint32_t word = 1;
  EXPECT_ERRNO(Futex(&word, FUTEX_WAIT, 0), EAGAIN);
  EXPECT_ERRNO(Futex(reinterpret_cast<char*>(&word) + 1, FUTEX_WAIT, 0), EINVAL);
  EXPECT_ERRNO(Futex(nullptr, FUTEX_WAIT, 0), EFAULT);
  EXPECT_ERRNO(Futex(&word, FUTEX_WAIT_BITSET, 1, nullptr, nullptr, 0), EINVAL);
  EXPECT_ERRNO(Futex(&word, 77, 1), ENOSYS);
  EXPECT_EQ(Futex(&word, FUTEX_WAKE, 1), 0);
}

TEST(WaitTimesOut) {
  uint32_t word = 1;
  timespec relative = {0, 5000000};
  EXPECT_ERRNO(Futex(&word, FUTEX_WAIT, 1, &relative), ETIMEDOUT);
  timespec absolute = In(CLOCK_MONOTONIC, 5000000);
  EXPECT_ERRNO(Futex(&word, FUTEX_WAIT_BITSET, 1, &absolute, nullptr, ~0u), ETIMEDOUT);
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  EXPECT_TRUE(now.tv_sec > absolute.tv_sec ||
              (now.tv_sec == absolute.tv_sec && now.tv_nsec >= absolute.tv_nsec));
  absolute = In(CLOCK_REALTIME, 5000000);
  EXPECT_ERRNO(Futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 1, &absolute, nullptr, ~0u), ETIMEDOUT);
  timespec wrong = {0, 1000000000};
  EXPECT_ERRNO(Futex(&word, FUTEX_WAIT, 1, &wrong), EINVAL);
}

TEST(WakeReachesAThreadAndAProcess) {
  auto* word =
      static_cast<uint32_t*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::thread thread([&] { EXPECT_EQ(Futex(word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0), 0); });
  EXPECT_EQ(WakeUntil([&] { return Futex(word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1); }), 1);
  thread.join();
  pid_t child = Fork([&] { EXPECT_EQ(Futex(word, FUTEX_WAIT, 0), 0); });
  EXPECT_EQ(WakeUntil([&] { return Futex(word, FUTEX_WAKE, 1); }), 1);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(BitsetsSelect) {
  uint32_t word = 0;
  std::thread thread([&] { EXPECT_EQ(Futex(&word, FUTEX_WAIT_BITSET, 0, nullptr, nullptr, 4), 0); });
  EXPECT_EQ(WakeUntil([&] {
              EXPECT_EQ(Futex(&word, FUTEX_WAKE_BITSET, 1, nullptr, nullptr, 3), 0);
              return Futex(&word, FUTEX_WAKE_BITSET, 1, nullptr, nullptr, 6);
            }),
            1);
  thread.join();
}

TEST(RequeueMovesWaiters) {
  uint32_t from = 0, to = 0;
  std::thread a([&] { EXPECT_EQ(Futex(&from, FUTEX_WAIT, 0), 0); });
  std::thread b([&] { EXPECT_EQ(Futex(&from, FUTEX_WAIT, 0), 0); });
  EXPECT_ERRNO(Futex(&from, FUTEX_CMP_REQUEUE, 0, reinterpret_cast<void*>(9), &to, 1), EAGAIN);
  long moved = 0;
  while (moved < 2) {
    moved += Futex(&from, FUTEX_CMP_REQUEUE, 0, reinterpret_cast<void*>(9), &to, 0);
    sched_yield();
  }
  EXPECT_EQ(moved, 2);
  EXPECT_EQ(Futex(&from, FUTEX_WAKE, 9), 0);
  EXPECT_EQ(Futex(&to, FUTEX_WAKE, 9), 2);
  a.join();
  b.join();
}

TEST(WakeOpChangesTheWordAndWakesBoth) {
  uint32_t first = 0, second = 5;
  std::thread a([&] { EXPECT_EQ(Futex(&first, FUTEX_WAIT, 0), 0); });
  EXPECT_EQ(WakeUntil([&] {
              return Futex(&first, FUTEX_WAKE_OP, 1, reinterpret_cast<void*>(1), &second,
                           FUTEX_OP(FUTEX_OP_ADD, 2, FUTEX_OP_CMP_GT, 4));
            }),
            1);
  EXPECT_GE(second, 7);
  a.join();
}

TEST(ASignalInterruptsOrRestarts) {
  static uint32_t word = 0;
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(SIGUSR1, &action, nullptr);
  pthread_t self = pthread_self();
  std::atomic<bool> done{false};
  std::thread killer([&] {
    while (!done) {
      pthread_kill(self, SIGUSR1);
      usleep(1000);
    }
  });
  EXPECT_ERRNO(Futex(&word, FUTEX_WAIT, 0), EINTR);
  done = true;
  killer.join();
  // With SA_RESTART it goes on, and the wake is seen.
  action.sa_handler = [](int) { word = 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  std::thread other([&] { pthread_kill(self, SIGUSR1); });
  EXPECT_ERRNO(Futex(&word, FUTEX_WAIT, 0), EAGAIN);
  other.join();
}

TEST(PiLockPassesFromOwnerToWaiter) {
  uint32_t word = 0;
  uint32_t tid = static_cast<uint32_t>(syscall(SYS_gettid));
  ASSERT_EQ(Futex(&word, FUTEX_LOCK_PI, 0), 0);
  EXPECT_EQ(word, tid);
  EXPECT_ERRNO(Futex(&word, FUTEX_LOCK_PI, 0), EDEADLK);
  std::thread waiter([&] {
    EXPECT_ERRNO(Futex(&word, FUTEX_TRYLOCK_PI, 0), EAGAIN);
    EXPECT_ERRNO(Futex(&word, FUTEX_UNLOCK_PI, 0), EPERM);
    EXPECT_EQ(Futex(&word, FUTEX_LOCK_PI, 0), 0);
    EXPECT_EQ(word & FUTEX_TID_MASK, syscall(SYS_gettid));
    EXPECT_EQ(Futex(&word, FUTEX_UNLOCK_PI, 0), 0);
  });
  while ((__atomic_load_n(&word, __ATOMIC_SEQ_CST) & FUTEX_WAITERS) == 0) sched_yield();
  EXPECT_EQ(Futex(&word, FUTEX_UNLOCK_PI, 0), 0);
  waiter.join();
  EXPECT_EQ(word & FUTEX_TID_MASK, 0);
}

TEST(ARobustMutexTellsOfItsOwnersDeath) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_t mutex;
  ASSERT_EQ(pthread_mutex_init(&mutex, &attributes), 0);
  std::thread([&] { pthread_mutex_lock(&mutex); }).join();
  EXPECT_EQ(pthread_mutex_lock(&mutex), EOWNERDEAD);
  EXPECT_EQ(pthread_mutex_consistent(&mutex), 0);
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
}

TEST(ContendedMutexLosesNoWakeUp) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  int turn = 0;
  auto play = [&](int me) {
    for (int i = 0; i < 500; ++i) {
      pthread_mutex_lock(&mutex);
      while (turn != me) pthread_cond_wait(&condition, &mutex);
      turn = 1 - me;
      pthread_cond_signal(&condition);
      pthread_mutex_unlock(&mutex);
    }
  };
  std::thread other(play, 1);
  play(0);
  other.join();
  EXPECT_EQ(turn, 0);
}

// Turns that are taken fast, one after the other, for long enough that whatever has been learnt about them is
// used; with signals that interrupt the waiting side, and a third thread that joins in now and then.
TEST(TurnsAreTakenThroughSignalsAndOtherWork) {
  static std::atomic<uint32_t> turn{0};
  constexpr uint32_t kRounds = 6000;
  struct sigaction action = {};
  static std::atomic<int> signals{0};
  action.sa_handler = [](int) { ++signals; };
  sigaction(SIGUSR2, &action, nullptr);
  auto play = [](uint32_t me, uint32_t players) {
    for (uint32_t i = 0; i < kRounds; ++i) {
      for (uint32_t now; (now = turn.load()) % players != me;)
        syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, nullptr, nullptr, 0);
      ++turn;
      syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
    }
  };
  for (uint32_t players : {2u, 3u, 2u}) {
    turn = 0;
    std::vector<std::thread> threads;
    for (uint32_t me = 1; me < players; ++me) threads.emplace_back(play, me, players);
    std::atomic<bool> done{false};
    std::thread disturber([&] {
      while (!done.load()) {
        pthread_kill(threads[0].native_handle(), SIGUSR2);
        usleep(2000);
      }
    });
    play(0, players);
    done = true;
    disturber.join();
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(turn.load(), kRounds * players);
  }
}
