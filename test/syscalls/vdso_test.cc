// vdso(7): the C library's clock functions and the system calls have to agree.
#include <elf.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <time.h>

#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {
int64_t Ns(const timespec& t) { return t.tv_sec * 1000000000 + t.tv_nsec; }
int64_t Fast(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return Ns(now);
}
int64_t Slow(clockid_t clock) {
  timespec now = {};
  syscall(SYS_clock_gettime, clock, &now);
  return Ns(now);
}
}  // namespace

TEST(TheImageIsAnElfFile) {
  auto* header = reinterpret_cast<const Elf64_Ehdr*>(getauxval(AT_SYSINFO_EHDR));
  ASSERT_TRUE(header != nullptr);
  EXPECT_EQ(memcmp(header->e_ident, ELFMAG, SELFMAG), 0);
  EXPECT_EQ(header->e_type, ET_DYN);
}

TEST(FastAndSlowAgreeAndNeverStepBack) {
  for (clockid_t clock : {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME}) {
    int64_t last = Fast(clock);
    int64_t end = last + 30000000;
    int backwards = 0;
    for (int i = 0; last < end; ++i) {
      int64_t now = i % 64 == 0 ? Slow(clock) : Fast(clock);
      if (now < last) ++backwards;
      last = now;
    }
    EXPECT_EQ(backwards, 0);
  }
}

TEST(ThreadsAgree) {
  std::atomic<int64_t> latest{0};
  std::atomic<int> backwards{0};
  auto run = [&] {
    for (int i = 0; i < 20000; ++i) {
      int64_t before = latest.load();
      int64_t now = Fast(CLOCK_MONOTONIC);
      if (now < before) ++backwards;
      int64_t seen = before;
      while (seen < now && !latest.compare_exchange_weak(seen, now)) {
      }
    }
  };
  std::thread a(run), b(run);
  a.join();
  b.join();
  EXPECT_EQ(backwards.load(), 0);
}

TEST(SecondsAndMicroseconds) {
  timeval now;
  int64_t before = Slow(CLOCK_REALTIME) / 1000;
  ASSERT_OK(gettimeofday(&now, nullptr));
  int64_t middle = now.tv_sec * 1000000 + now.tv_usec;
  EXPECT_GE(middle, before);
  EXPECT_LE(middle, Slow(CLOCK_REALTIME) / 1000);
  time_t seconds = time(nullptr);
  EXPECT_LE(seconds, Slow(CLOCK_REALTIME) / 1000000000);
  EXPECT_GE(seconds + 1, now.tv_sec);
}

TEST(TheCpuIsOneOfOurs) {
  int cpu = sched_getcpu();
  EXPECT_GE(cpu, 0);
  EXPECT_LT(cpu, sysconf(_SC_NPROCESSORS_CONF));
}
