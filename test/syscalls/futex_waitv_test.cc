// futex_waitv(2).
#include <sys/mman.h>
#include <time.h>

#include <thread>

#include "test/syscalls/syscall_test.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

namespace {

struct Waitv {
  uint64_t value, address;
  uint32_t flags, reserved;
};
constexpr uint32_t kSize32 = 2, kPrivate = 128;

Waitv On(uint32_t* word, uint32_t value, uint32_t flags = kSize32 | kPrivate) {
  return {value, reinterpret_cast<uint64_t>(word), flags, 0};
}
long Wait(const void* waiters, unsigned count, unsigned flags = 0, timespec* timeout = nullptr,
          clockid_t clock = CLOCK_MONOTONIC) {
  return syscall(SYS_futex_waitv, waiters, count, flags, timeout, clock);
}
long Wake(uint32_t* word, bool process_private = true) {
  return syscall(SYS_futex, word, 1 | (process_private ? kPrivate : 0), 1, nullptr, nullptr, 0);
}

}  // namespace

TEST(Errors) {
  uint32_t word = 5;
  Waitv waiters[129];
  for (Waitv& one : waiters) one = On(&word, 5);
  EXPECT_ERRNO(Wait(waiters, 0), EINVAL);
  EXPECT_ERRNO(Wait(waiters, 129), EINVAL);
  EXPECT_ERRNO(Wait(nullptr, 1), EINVAL);
  EXPECT_ERRNO(Wait(reinterpret_cast<void*>(8), 1), EFAULT);
  EXPECT_ERRNO(Wait(waiters, 1, 1), EINVAL);
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  EXPECT_ERRNO(Wait(waiters, 1, 0, &now, CLOCK_BOOTTIME), EINVAL);
  EXPECT_ERRNO(Wait(waiters, 1, 0, reinterpret_cast<timespec*>(8)), EFAULT);
  timespec wrong{0, 1000000000};
  EXPECT_ERRNO(Wait(waiters, 1, 0, &wrong), EINVAL);
  waiters[0].reserved = 1;
  EXPECT_ERRNO(Wait(waiters, 1), EINVAL);
  waiters[0] = On(&word, 5, 0);
  EXPECT_ERRNO(Wait(waiters, 1), EINVAL);
  waiters[0] = On(&word, 5, kSize32 | 0x40);
  EXPECT_ERRNO(Wait(waiters, 1), EINVAL);
  waiters[0] = On(reinterpret_cast<uint32_t*>(reinterpret_cast<char*>(&word) + 1), 5);
  EXPECT_ERRNO(Wait(waiters, 1), EINVAL);
  waiters[0] = On(nullptr, 5);
  EXPECT_ERRNO(Wait(waiters, 1), EFAULT);
  waiters[0] = On(&word, 5);
  waiters[1] = On(&word, 6);
  EXPECT_ERRNO(Wait(waiters, 2), EAGAIN);
}

TEST(TimesOut) {
  uint32_t word = 5;
  Waitv waiters[2] = {On(&word, 5), On(&word, 5)};
  for (clockid_t clock : {CLOCK_MONOTONIC, CLOCK_REALTIME}) {
    timespec soon;
    clock_gettime(clock, &soon);
    soon.tv_nsec += 3000000;
    if (soon.tv_nsec >= 1000000000) {
      soon.tv_nsec -= 1000000000;
      ++soon.tv_sec;
    }
    EXPECT_ERRNO(Wait(waiters, 2, 0, &soon, clock), ETIMEDOUT);
  }
}

TEST(AnyOfThemWakes) {
  static uint32_t words[128];
  Waitv waiters[128];
  for (int i = 0; i < 128; ++i) waiters[i] = On(&words[i], 0);
  for (int index : {0, 77, 127}) {
    std::thread waker([&] {
      while (Wake(&words[index]) == 0) sched_yield();
    });
    EXPECT_EQ(Wait(waiters, 128), index);
    waker.join();
    // Nobody waits any more.
    for (uint32_t& word : words) EXPECT_EQ(Wake(&word), 0);
  }
}

TEST(AcrossProcesses) {
  auto* words =
      static_cast<uint32_t*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  pid_t child = Fork([&] {
    uint32_t own = 0;
    Waitv waiters[2] = {On(&own, 0), On(&words[3], 0, kSize32)};
    EXPECT_EQ(Wait(waiters, 2), 1);
  });
  while (Wake(&words[3], false) == 0) sched_yield();
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(ASignalInterrupts) {
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
  Waitv waiters[1] = {On(&word, 0)};
  EXPECT_ERRNO(Wait(waiters, 1), EINTR);
  done = true;
  killer.join();
}
