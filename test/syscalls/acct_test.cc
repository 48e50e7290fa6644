// Process accounting: acct(2), acct(5). In a PID namespace of the test's own, so that nobody else is
// accounted for.
#include <grp.h>
#include <linux/acct.h>
#include <sched.h>
#include <sys/stat.h>
#include <time.h>

#include <fstream>

#include "test/syscalls/scratch.h"

namespace {

using Record = acct_v3;

// Runs the body as the init of a new PID namespace, in an empty directory.
template <typename Body>
void InNamespace(Body body) {
  if (geteuid() != 0) SKIP("needs root");
  syscall_test::Scratch scratch;
  EXPECT_CHILD_OK([&] {
    if (unshare(CLONE_NEWPID) != 0) SKIP("no PID namespaces");
    EXPECT_CHILD_OK([&] {
      std::ofstream("log").flush();
      ASSERT_OK(acct("log"));
      body();
    });
  });
}
int64_t Nanoseconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}
std::vector<Record> Records() {
  std::ifstream in("log", std::ios::binary);
  std::vector<Record> records;
  for (Record record; in.read(reinterpret_cast<char*>(&record), sizeof(record));) records.push_back(record);
  EXPECT_EQ(in.gcount(), 0);
  return records;
}

TEST(EachProcessLeavesARecord) {
  InNamespace([] {
    EXPECT_TRUE(Records().empty());
    const time_t start = time(nullptr);
    pid_t child = fork();
    if (child == 0) _exit(3);
    EXPECT_EQ(WaitFor(child), 3 << 8);
    child = fork();
    if (child == 0) {
      raise(SIGKILL);
      _exit(0);
    }
    EXPECT_EQ(WaitFor(child), SIGKILL);
    std::vector<Record> records = Records();
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].ac_version, 3);
    EXPECT_EQ(records[0].ac_flag & (AFORK | AXSIG), AFORK);
    EXPECT_EQ(records[0].ac_exitcode, 3u << 8);
    EXPECT_EQ(records[0].ac_pid, static_cast<uint32_t>(child - 1));
    EXPECT_EQ(records[0].ac_ppid, 1u);
    EXPECT_EQ(records[0].ac_uid, 0u);
    EXPECT_GE(records[0].ac_btime, start - 1);
    EXPECT_LE(records[0].ac_btime, time(nullptr));
    EXPECT_LT(records[0].ac_etime, 1000.0f);
    EXPECT_GT(records[0].ac_mem, 0);
    EXPECT_EQ(std::string(records[0].ac_comm).substr(0, 4), "acct");
    EXPECT_EQ(records[1].ac_flag & (AFORK | AXSIG), AFORK | AXSIG);
    EXPECT_EQ(records[1].ac_exitcode, static_cast<uint32_t>(SIGKILL));
  });
}

TEST(TimesAndUsersAreThoseOfTheProcess) {
  InNamespace([] {
    pid_t child = fork();
    if (child == 0) {
      if (setgid(5) != 0 || setuid(6) != 0) _exit(1);
      const int64_t begin = Nanoseconds(CLOCK_MONOTONIC);
      volatile unsigned work = 0;
      do {
        for (int i = 0; i < 10000; ++i) work = work + 1;
      } while (Nanoseconds(CLOCK_PROCESS_CPUTIME_ID) < 300'000'000 ||
               Nanoseconds(CLOCK_MONOTONIC) - begin < 300'000'000);
      _exit(0);
    }
    EXPECT_EQ(WaitFor(child), 0);
    std::vector<Record> records = Records();
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].ac_uid, 6u);
    EXPECT_EQ(records[0].ac_gid, 5u);
    EXPECT_GE(records[0].ac_etime, 29.0f);
    EXPECT_GE(records[0].ac_utime + records[0].ac_stime, 1);  // of 30, as far as ticks have seen it
  });
}

TEST(ItCanBeStopped) {
  InNamespace([] {
    auto run = [] {
      pid_t child = fork();
      if (child == 0) _exit(0);
      EXPECT_EQ(WaitFor(child), 0);
    };
    run();
    ASSERT_OK(acct(nullptr));
    const size_t count = Records().size();
    EXPECT_GE(count, 1u);
    run();
    EXPECT_EQ(Records().size(), count);
    ASSERT_OK(acct("log"));
    run();
    EXPECT_EQ(Records().size(), count + 1);
  });
}

TEST(OnlyRegularFilesWillDo) {
  InNamespace([] {
    EXPECT_ERRNO(acct("nosuch"), ENOENT);
    EXPECT_ERRNO(acct("/"), EISDIR);
    EXPECT_ERRNO(acct("/dev/null"), EACCES);
    EXPECT_ERRNO(acct(reinterpret_cast<char*>(8)), EFAULT);
    EXPECT_CHILD_OK([] {
      ASSERT_OK(setuid(1000));
      EXPECT_ERRNO(acct(nullptr), EPERM);
      EXPECT_ERRNO(acct("log"), EPERM);
    });
  });
}

}  // namespace
