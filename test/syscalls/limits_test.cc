// Resource limits, scheduling parameters.
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "test/syscalls/syscall_test.h"

TEST(LimitsAreCheckedAndKept) {
  rlimit limit;
  ASSERT_OK(getrlimit(RLIMIT_NOFILE, &limit));
  rlimit lower = {10, limit.rlim_max};
  ASSERT_OK(setrlimit(RLIMIT_NOFILE, &lower));
  rlimit now;
  ASSERT_OK(prlimit(0, RLIMIT_NOFILE, nullptr, &now));
  EXPECT_EQ(now.rlim_cur, 10);
  EXPECT_ERRNO(dup2(0, 10), EBADF);
  EXPECT_CHILD_OK([] {
    rlimit inherited;
    ASSERT_OK(getrlimit(RLIMIT_NOFILE, &inherited));
    EXPECT_EQ(inherited.rlim_cur, 10);
  });
  rlimit bad = {11, 10};
  EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &bad), EINVAL);
  EXPECT_ERRNO(getrlimit(static_cast<__rlimit_resource>(16), &now), EINVAL);
  EXPECT_ERRNO(prlimit(0x3fffffff, RLIMIT_CPU, nullptr, &now), ESRCH);
}

TEST(AffinityNamesThisCpu) {
  cpu_set_t set;
  ASSERT_OK(sched_getaffinity(0, sizeof(set), &set));
  EXPECT_GT(CPU_COUNT(&set), 0);
  ASSERT_OK(sched_setaffinity(0, sizeof(set), &set));
  CPU_ZERO(&set);
  EXPECT_ERRNO(sched_setaffinity(0, sizeof(set), &set), EINVAL);
  EXPECT_ERRNO(syscall(SYS_sched_getaffinity, 0, 3, &set), EINVAL);
  EXPECT_ERRNO(sched_getaffinity(-1, sizeof(set), &set), ESRCH);
  EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
  EXPECT_EQ(sched_get_priority_max(SCHED_FIFO), 99);
}

TEST(UsageGrows) {
  rusage usage;
  ASSERT_OK(getrusage(RUSAGE_SELF, &usage));
  EXPECT_ERRNO(getrusage(static_cast<__rusage_who>(5), &usage), EINVAL);
  errno = 0;
  int priority = getpriority(PRIO_PROCESS, 0);
  EXPECT_EQ(errno, 0);
  EXPECT_OK(setpriority(PRIO_PROCESS, 0, priority + 1));
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), priority + 1);
}

TEST(CpuTimeIsLimited) {
  rlimit limit = {1, 2};
  ASSERT_OK(setrlimit(RLIMIT_CPU, &limit));
  // Each process has the time for itself.
  auto run = [] {
    for (;;) asm volatile("");
  };
  EXPECT_KILLED(run, SIGXCPU);
  // Who does not die of it is killed at the hard limit.
  signal(SIGXCPU, SIG_IGN);
  EXPECT_KILLED(run, SIGKILL);
}

TEST(TheLargestChildIsRemembered) {
  constexpr long kTouched = 16 << 10;  // KiB; Linux counts roughly, some hundred KiB per CPU may be missing
  rusage usage;
  EXPECT_CHILD_OK([] {
    void* memory = mmap(nullptr, kTouched << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_TRUE(memory != MAP_FAILED);
    memset(memory, 1, kTouched << 10);
  });
  EXPECT_CHILD_OK([] {});
  ASSERT_OK(getrusage(RUSAGE_CHILDREN, &usage));
  EXPECT_GT(usage.ru_maxrss, kTouched / 2);
}

TEST(WhatIsNotWaitedForIsNotCounted) {
  signal(SIGCHLD, SIG_IGN);
  pid_t child = Fork([] {
    for (long i = 0; i < 30'000'000; ++i) asm volatile("");
  });
  ASSERT_GT(child, 0);
  EXPECT_ERRNO(waitpid(child, nullptr, 0), ECHILD);  // returns when it has ended
  rusage usage;
  ASSERT_OK(getrusage(RUSAGE_CHILDREN, &usage));
  EXPECT_EQ(usage.ru_maxrss, 0);
  EXPECT_EQ(usage.ru_utime.tv_sec + usage.ru_utime.tv_usec, 0);
}
