// Clocks and sleeping.
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {
int64_t Ns(const timespec& t) { return t.tv_sec * 1000000000 + t.tv_nsec; }
int64_t Raw(clockid_t clock) {
  timespec now = {};
  EXPECT_OK(syscall(SYS_clock_gettime, clock, &now));
  return Ns(now);
}
}  // namespace

TEST(ClocksGoOn) {
  for (clockid_t clock :
       {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_MONOTONIC_COARSE,
        CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_TAI}) {
    int64_t before = Raw(clock);
    EXPECT_GE(Raw(clock), before);
    timespec resolution;
    EXPECT_OK(clock_getres(clock, &resolution));
    EXPECT_EQ(resolution.tv_sec, 0);
  }
  timespec now;
  EXPECT_ERRNO(syscall(SYS_clock_gettime, 77, &now), EINVAL);
  EXPECT_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, nullptr), EFAULT);
}

TEST(CpuTimeOfWorkAndSleep) {
  int64_t before = Raw(CLOCK_THREAD_CPUTIME_ID);
  volatile uint64_t sum = 0;
  int64_t start = Raw(CLOCK_MONOTONIC);
  while (Raw(CLOCK_THREAD_CPUTIME_ID) - before < 3000000 && Raw(CLOCK_MONOTONIC) - start < 5000000000)
    sum = sum + 1;
  EXPECT_GE(Raw(CLOCK_THREAD_CPUTIME_ID) - before, 3000000);
  clockid_t clock;
  EXPECT_EQ(clock_getcpuclockid(getpid(), &clock), 0);
  EXPECT_GT(Raw(clock), 0);
}

TEST(CpuTimeOfAThreadBeginsWithIt) {
  constexpr int64_t kWork = 100'000'000;
  for (int i = 0; i < 4; ++i) {
    std::thread([] {
      const int64_t at_start = Raw(CLOCK_THREAD_CPUTIME_ID);
      EXPECT_GE(at_start, 0);
      EXPECT_LT(at_start, kWork / 2);
      while (Raw(CLOCK_THREAD_CPUTIME_ID) < kWork) (void)getppid();  // work of the kernel's
    }).join();
  }
}

TEST(SleepsTakeTheirTime) {
  int64_t before = Raw(CLOCK_MONOTONIC);
  timespec duration = {0, 5000000};
  EXPECT_EQ(nanosleep(&duration, nullptr), 0);
  EXPECT_GE(Raw(CLOCK_MONOTONIC) - before, 5000000);
  timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 3000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec += 1, until.tv_nsec -= 1000000000;
  EXPECT_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, nullptr), 0);
  EXPECT_GE(Raw(CLOCK_REALTIME), Ns(until));
  timespec wrong = {0, 1000000000};
  EXPECT_ERRNO(nanosleep(&wrong, nullptr), EINVAL);
  wrong = {-1, 0};
  EXPECT_ERRNO(nanosleep(&wrong, nullptr), EINVAL);
  EXPECT_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &duration, nullptr), EINVAL);
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &duration, nullptr), EOPNOTSUPP);
}

TEST(AnInterruptedSleepTellsWhatIsLeft) {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, nullptr);
  itimerval timer = {{0, 3000}, {0, 3000}};  // again and again: one may come before the sleep
  setitimer(ITIMER_REAL, &timer, nullptr);
  timespec duration = {100, 0}, left = {};
  const int64_t before = Raw(CLOCK_MONOTONIC);
  EXPECT_ERRNO(nanosleep(&duration, &left), EINTR);
  const int64_t slept = Ns(duration) - Ns(left);
  EXPECT_GE(slept, 0);
  EXPECT_LE(slept, Raw(CLOCK_MONOTONIC) - before);
}

TEST(AStopDoesNotShortenASleep) {
  pid_t child = Fork([] {
    int64_t before = Raw(CLOCK_MONOTONIC);
    timespec duration = {0, 50000000};
    EXPECT_EQ(nanosleep(&duration, nullptr), 0);
    EXPECT_GE(Raw(CLOCK_MONOTONIC) - before, 50000000);
  });
  usleep(10000);
  kill(child, SIGSTOP);
  usleep(5000);
  kill(child, SIGCONT);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(SettingIsNotAllowed) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  EXPECT_ERRNO(clock_settime(CLOCK_MONOTONIC, &now), EINVAL);
  timex state = {};
  EXPECT_GE(adjtimex(&state), 0);
  EXPECT_GT(state.tick, 0);
}

TEST(ClocksThatCannotDoWhatIsAsked) {
  timespec time{0, 1};
  EXPECT_ERRNO(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &time, nullptr), EOPNOTSUPP);
  timex adjustment{};
  EXPECT_ERRNO(syscall(SYS_clock_adjtime, CLOCK_PROCESS_CPUTIME_ID, &adjustment), EOPNOTSUPP);
  EXPECT_ERRNO(syscall(SYS_clock_adjtime, 99, &adjustment), EINVAL);
  adjustment.modes = ADJ_OFFSET_SS_READ;
  EXPECT_OK(adjtimex(&adjustment));
  adjustment.modes = 0x8000;
  EXPECT_ERRNO(adjtimex(&adjustment), EINVAL);
}
