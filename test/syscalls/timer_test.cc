// setitimer(2), alarm(2), timer_create(2).
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "test/syscalls/syscall_test.h"

namespace {
volatile sig_atomic_t fired;
siginfo_t first;
// The signal alone, which waits from now on.
sigset_t Block(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return set;
}

void Catch(int signal) {
  struct sigaction action = {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    if (fired == 0) first = *info;
    fired = fired + 1;
  };
  sigaction(signal, &action, nullptr);
  fired = 0;
}
void WaitForSignals(int count) {
  while (fired < count) usleep(1000);
}
}  // namespace

TEST(RealTimerRepeats) {
  Catch(SIGALRM);
  itimerval setting = {{0, 2000}, {0, 2000}}, old;
  ASSERT_OK(setitimer(ITIMER_REAL, &setting, nullptr));
  WaitForSignals(3);
  ASSERT_OK(getitimer(ITIMER_REAL, &old));
  EXPECT_EQ(old.it_interval.tv_usec, 2000);
  // One that has just fired and not yet been taken has nothing left.
  setting = {{0, 2000}, {1000, 0}};
  ASSERT_OK(setitimer(ITIMER_REAL, &setting, nullptr));
  setting = {};
  ASSERT_OK(setitimer(ITIMER_REAL, &setting, &old));
  EXPECT_EQ(old.it_interval.tv_usec, 2000);
  EXPECT_GT(old.it_value.tv_sec, 0);
  setting.it_value.tv_usec = 1000000;
  EXPECT_ERRNO(setitimer(ITIMER_REAL, &setting, nullptr), EINVAL);
  EXPECT_ERRNO(setitimer(9, &old, nullptr), EINVAL);
}

TEST(AlarmTellsWhatWasLeft) {
  EXPECT_EQ(alarm(100'000), 0);
  unsigned left = alarm(0);
  EXPECT_GT(left, 99'000);
  EXPECT_LE(left, 100'000);
  EXPECT_EQ(alarm(0), 0);
  EXPECT_KILLED(
      [] {
        ualarm(1000, 0);
        for (;;) pause();
      },
      SIGALRM);
}

TEST(AlarmSurvivesExecNotFork) {
  alarm(100);
  EXPECT_CHILD_OK([] { EXPECT_EQ(alarm(0), 0); });
  alarm(0);
}

TEST(VirtualAndProfileTimersCountCpuTime) {
  Catch(SIGVTALRM);
  itimerval setting = {{0, 0}, {0, 5000}};
  ASSERT_OK(setitimer(ITIMER_VIRTUAL, &setting, nullptr));
  while (fired == 0) {
  }
  Catch(SIGPROF);
  ASSERT_OK(setitimer(ITIMER_PROF, &setting, nullptr));
  while (fired == 0) {
  }
  EXPECT_EQ(fired, 1);
}

TEST(PosixTimerCarriesItsValue) {
  Catch(SIGRTMIN + 1);
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN + 1;
  event.sigev_value.sival_int = 77;
  timer_t timer;
  ASSERT_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  itimerspec setting = {{0, 0}, {0, 2000000}}, old;
  ASSERT_OK(timer_settime(timer, 0, &setting, nullptr));
  ASSERT_OK(timer_gettime(timer, &old));
  EXPECT_EQ(old.it_value.tv_sec, 0);
  WaitForSignals(1);
  EXPECT_EQ(first.si_code, SI_TIMER);
  EXPECT_EQ(first.si_value.sival_int, 77);
  ASSERT_OK(timer_gettime(timer, &old));
  EXPECT_EQ(old.it_value.tv_nsec, 0);
  ASSERT_OK(timer_delete(timer));
}

// The second time is beyond what a clock counts.
TEST(IntervalOfCenturies) {
  Catch(SIGUSR1);
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  timer_t timer;
  ASSERT_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  itimerspec setting = {{9223372036, 854775000}, {0, 1}}, left;
  ASSERT_OK(timer_settime(timer, TIMER_ABSTIME, &setting, nullptr));
  WaitForSignals(1);
  timespec pause = {0, 20000000};
  nanosleep(&pause, nullptr);
  EXPECT_EQ(fired, 1);
  ASSERT_OK(timer_gettime(timer, &left));
  EXPECT_GT(left.it_value.tv_sec, 9000000000);
  ASSERT_OK(timer_delete(timer));
}

TEST(OverrunsAreCountedWhileBlocked) {
  Catch(SIGUSR1);
  sigset_t set = Block(SIGUSR1);
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGUSR1;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  timer_t timer;
  ASSERT_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  itimerspec setting = {{0, 1000000}, {0, 1000000}};
  ASSERT_OK(timer_settime(timer, 0, &setting, nullptr));
  timespec pause = {0, 40000000};
  nanosleep(&pause, nullptr);
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
  WaitForSignals(1);
  EXPECT_GE(first.si_overrun, 15);
  EXPECT_GE(timer_getoverrun(timer), 0);
  ASSERT_OK(timer_delete(timer));
}

// In all of a user's processes together.
TEST(TimersOfAUserAreLimited) {
  if (geteuid() != 0) SKIP("needs root");
  rlimit limit = {5, 5};
  ASSERT_OK(setrlimit(RLIMIT_SIGPENDING, &limit));
  ASSERT_OK(setuid(10000 + static_cast<unsigned>(getpid()) % 40000));  // who has none yet
  auto make = [] {
    int id;
    return syscall(SYS_timer_create, CLOCK_MONOTONIC, nullptr, &id) == 0 ? id : -1;
  };
  int id = EXPECT_OK(make());
  for (int i = 0; i < 2; ++i) EXPECT_OK(make());
  EXPECT_CHILD_OK([&] {
    for (int i = 0; i < 2; ++i) EXPECT_OK(make());
    EXPECT_ERRNO(make(), EAGAIN);
  });
  for (int i = 0; i < 2; ++i) EXPECT_OK(make());
  EXPECT_ERRNO(make(), EAGAIN);
  EXPECT_OK(syscall(SYS_timer_delete, id));
  EXPECT_OK(make());
}

// While its signal waits a timer goes on, and is in time again once that has been taken.
TEST(TimersGoOnBehindAPendingSignal) {
  Catch(SIGUSR1);
  sigset_t set = Block(SIGUSR1);
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  timer_t timer;
  ASSERT_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
  itimerspec setting = {{0, 20'000'000}, {0, 1'000'000}}, left;
  ASSERT_OK(timer_settime(timer, 0, &setting, nullptr));
  timespec pause = {0, 130'000'000};
  nanosleep(&pause, nullptr);
  ASSERT_OK(timer_gettime(timer, &left));
  EXPECT_EQ(left.it_value.tv_sec, 0);
  EXPECT_LE(left.it_value.tv_nsec, 20'000'000);
  EXPECT_EQ(fired, 0);
  siginfo_t info;
  ASSERT_EQ(sigwaitinfo(&set, &info), SIGUSR1);
  EXPECT_GE(info.si_overrun, 6);
  ASSERT_EQ(sigwaitinfo(&set, &info), SIGUSR1);
  // One of a signal that another stands for goes on, too.
  raise(SIGUSR1);
  nanosleep(&pause, nullptr);
  ASSERT_EQ(sigwaitinfo(&set, &info), SIGUSR1);
  ASSERT_EQ(sigwaitinfo(&set, &info), SIGUSR1);
  EXPECT_EQ(info.si_code, SI_TIMER);
  ASSERT_OK(timer_delete(timer));
}

TEST(WrongTimers) {
  int id = 0;
  EXPECT_ERRNO(syscall(SYS_timer_create, 99, nullptr, &id), EINVAL);
  EXPECT_ERRNO(syscall(SYS_timer_delete, 12345), EINVAL);
  EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, nullptr, nullptr), EFAULT);
  sigevent event = {};
  event.sigev_notify = 55;
  EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = 65;
  EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
}

TEST(TimersOnTheCpuTimeOfAnotherProcess) {
  pid_t child = Fork([] {
    for (;;) asm volatile("");
  });
  clockid_t clock;
  ASSERT_EQ(clock_getcpuclockid(child, &clock), 0);
  timespec now;
  ASSERT_OK(clock_gettime(clock, &now));
  EXPECT_ERRNO(clock_settime(clock, &now), EPERM);
  sigset_t set = Block(SIGUSR1);
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGUSR1;
  timer_t timer;
  ASSERT_OK(timer_create(clock, &event, &timer));
  itimerspec setting{{0, 0}, {0, 20'000'000}};
  ASSERT_OK(timer_settime(timer, 0, &setting, nullptr));
  siginfo_t info;
  EXPECT_EQ(sigwaitinfo(&set, &info), SIGUSR1);
  EXPECT_EQ(info.si_code, SI_TIMER);
  kill(child, SIGKILL);
  WaitFor(child);
  EXPECT_ERRNO(clock_gettime(clock, &now), EINVAL);
}
