// What a process does for itself and others have to wait for: the kernel's time is everybody's.
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>

#include "test/security/hostile.h"

namespace {

int64_t Nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// How late a timer of a millisecond is, as a rule, in ns.
int64_t Lateness() {
  constexpr int64_t kMillisecond = 1'000'000;
  int fd = timerfd_create(CLOCK_MONOTONIC, 0);
  std::vector<int64_t> late;
  for (int i = 0; i < 51; ++i) {
    const int64_t begin = Nanoseconds();
    itimerspec setting{{0, 0}, {0, kMillisecond}};
    timerfd_settime(fd, 0, &setting, nullptr);
    uint64_t count;
    EXPECT_EQ(read(fd, &count, sizeof(count)), 8);
    late.push_back(Nanoseconds() - begin - kMillisecond);
  }
  close(fd);
  std::nth_element(late.begin(), late.begin() + 25, late.end());
  return late[25];
}

// Timers that are always due, of a process with many threads. Forks the process; it is there when this
// returns.
pid_t ForkWithTimers(clockid_t clock, int timers, int threads, bool busy) {
  int ready[2];
  EXPECT_OK(pipe(ready));
  pid_t child = fork();
  if (child != 0) {
    char byte;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
  }
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 65536);
  for (int i = 0; i < threads; ++i) {
    pthread_t thread;
    pthread_create(
        &thread, &attributes,
        [](void*) -> void* {
          for (;;) pause();
        },
        nullptr);
  }
  for (int i = 0; i < timers; ++i) {
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN + i % 10;
    int id;
    if (syscall(SYS_timer_create, clock, &event, &id) != 0) break;
    itimerspec setting{{0, 1}, {0, 1}};
    syscall(SYS_timer_settime, id, 0, &setting, nullptr);
  }
  (void)!write(ready[1], "x", 1);
  for (;;)
    if (!busy) pause();
}

TEST(timers_that_are_always_due_do_not_delay_those_of_others) {
  constexpr int64_t kMost = 30'000'000;
  EXPECT_LT(Lateness(), kMost);
  for (bool busy : {false, true}) {
    pid_t hostile = busy ? ForkWithTimers(CLOCK_PROCESS_CPUTIME_ID, 2000, 100, true)
                         : ForkWithTimers(CLOCK_MONOTONIC, 20000, 300, false);
    EXPECT_LT(Lateness(), kMost);
    kill(hostile, SIGKILL);
    EXPECT_EQ(waitpid(hostile, nullptr, 0), hostile);
  }
}

}  // namespace
