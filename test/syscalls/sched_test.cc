// sched(7): policies, real-time priorities and who may have them.
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "test/syscalls/syscall_test.h"

namespace {

using namespace syscall_test;

constexpr int kDeadline = 6;
struct Attributes {  // struct sched_attr
  uint32_t size = 48, policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0, deadline = 0, period = 0;
  uint32_t util_min = 0, util_max = 0;
};

long SetAttributes(pid_t pid, Attributes& attributes, unsigned flags = 0) {
  return syscall(SYS_sched_setattr, pid, &attributes, flags);
}
long GetAttributes(pid_t pid, void* attributes, unsigned size, unsigned flags = 0) {
  return syscall(SYS_sched_getattr, pid, attributes, size, flags);
}
int SetPolicy(int policy, int priority, pid_t pid = 0) {
  sched_param parameter{priority};
  return sched_setscheduler(pid, policy, &parameter);
}
int SetPriority(int priority, pid_t pid = 0) {
  sched_param parameter{priority};
  return sched_setparam(pid, &parameter);
}
int Priority(pid_t pid = 0) {
  sched_param parameter{-1};
  EXPECT_OK(sched_getparam(pid, &parameter));
  return parameter.sched_priority;
}
// The fields of /proc/self/stat behind the name; the first is number 3.
std::string StatField(int number) {
  std::ifstream file("/proc/self/stat");
  std::string field;
  std::getline(file, field, ')');
  for (int i = 3; i <= number; ++i) file >> field;
  return field;
}
void NeedRealTime() {
  if (geteuid() != 0 || SetPolicy(SCHED_FIFO, 1) != 0) throw SkipTest{"may not have a real-time policy"};
  ASSERT_OK(SetPolicy(SCHED_OTHER, 0));
}
void BecomeNobody() { ASSERT_OK(setresuid(65534, 65534, 65534)); }

TEST(sched_policies_are_kept) {
  NeedRealTime();
  for (int policy : {SCHED_FIFO, SCHED_RR}) {
    ASSERT_OK(SetPolicy(policy, 10));
    EXPECT_EQ(sched_getscheduler(0), policy);
    EXPECT_EQ(Priority(), 10);
    EXPECT_OK(SetPriority(99));
    EXPECT_EQ(Priority(getpid()), 99);
  }
  for (int policy : {SCHED_BATCH, SCHED_IDLE, SCHED_OTHER}) {
    ASSERT_OK(SetPolicy(policy, 0));
    EXPECT_EQ(sched_getscheduler(0), policy);
    EXPECT_EQ(Priority(), 0);
  }
}

TEST(sched_checks_arguments) {
  NeedRealTime();
  EXPECT_ERRNO(SetPolicy(SCHED_FIFO, 0), EINVAL);
  EXPECT_ERRNO(SetPolicy(SCHED_RR, 100), EINVAL);
  EXPECT_ERRNO(SetPolicy(SCHED_OTHER, 1), EINVAL);
  EXPECT_ERRNO(SetPolicy(4, 0), EINVAL);
  EXPECT_ERRNO(SetPolicy(7, 0), EINVAL);
  EXPECT_ERRNO(SetPolicy(-1, 0), EINVAL);
  EXPECT_ERRNO(SetPolicy(kDeadline, 0), EINVAL);  // only sched_setattr has its times
  EXPECT_ERRNO(SetPriority(1), EINVAL);
  EXPECT_ERRNO(SetPolicy(SCHED_OTHER, 0, -1), EINVAL);
  EXPECT_ERRNO(SetPolicy(SCHED_OTHER, 0, 0x3ffffff), ESRCH);
  EXPECT_ERRNO(sched_getscheduler(0x3ffffff), ESRCH);
  EXPECT_ERRNO(sched_setscheduler(0, SCHED_FIFO, nullptr), EINVAL);
  EXPECT_ERRNO(sched_setparam(0, reinterpret_cast<sched_param*>(8)), EFAULT);
  EXPECT_EQ(sched_get_priority_max(SCHED_RR), 99);
  EXPECT_EQ(sched_get_priority_min(SCHED_FIFO), 1);
  EXPECT_EQ(sched_get_priority_max(kDeadline), 0);
  EXPECT_ERRNO(sched_get_priority_min(4), EINVAL);
}

TEST(sched_shown_in_proc) {
  NeedRealTime();
  ASSERT_OK(SetPolicy(SCHED_RR, 7));
  EXPECT_EQ(StatField(18), "-8");
  EXPECT_EQ(StatField(40), "7");
  EXPECT_EQ(StatField(41), "2");
  ASSERT_OK(SetPolicy(SCHED_BATCH, 0));
  EXPECT_EQ(StatField(18), std::to_string(20 + getpriority(PRIO_PROCESS, 0)));
  EXPECT_EQ(StatField(40), "0");
  EXPECT_EQ(StatField(41), "3");
}

TEST(sched_is_inherited_unless_reset) {
  NeedRealTime();
  ASSERT_OK(SetPolicy(SCHED_FIFO, 3));
  EXPECT_CHILD_OK([] {
    EXPECT_EQ(sched_getscheduler(0), SCHED_FIFO);
    EXPECT_EQ(Priority(), 3);
  });
  ASSERT_OK(SetPolicy(SCHED_FIFO | SCHED_RESET_ON_FORK, 3));
  EXPECT_EQ(sched_getscheduler(0), SCHED_FIFO | SCHED_RESET_ON_FORK);
  EXPECT_CHILD_OK([] {
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
    EXPECT_EQ(Priority(), 0);
  });
  ASSERT_OK(SetPolicy(SCHED_BATCH | SCHED_RESET_ON_FORK, 0));
  ASSERT_OK(setpriority(PRIO_PROCESS, 0, -5));
  EXPECT_CHILD_OK([] {
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
    EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 0);
  });
}

TEST(sched_round_robin_interval) {
  NeedRealTime();
  timespec interval{-1, -1};
  ASSERT_OK(SetPolicy(SCHED_FIFO, 1));
  EXPECT_OK(sched_rr_get_interval(0, &interval));
  EXPECT_EQ(interval.tv_sec, 0);
  EXPECT_EQ(interval.tv_nsec, 0);
  ASSERT_OK(SetPolicy(SCHED_RR, 1));
  EXPECT_OK(sched_rr_get_interval(0, &interval));
  EXPECT_EQ(interval.tv_nsec, 100'000'000);
  EXPECT_ERRNO(sched_rr_get_interval(-1, &interval), EINVAL);
  EXPECT_ERRNO(sched_rr_get_interval(0x3ffffff, &interval), ESRCH);
}

TEST(sched_deadline) {
  NeedRealTime();
  Attributes wanted{.policy = kDeadline, .runtime = 1'000'000, .deadline = 5'000'000};
  if (SetAttributes(0, wanted) != 0) SKIP("no deadline policy here");
  Attributes got;
  ASSERT_OK(GetAttributes(0, &got, sizeof(got)));
  EXPECT_EQ(got.size, sizeof(got));
  EXPECT_EQ(got.policy, kDeadline);
  EXPECT_EQ(got.runtime, 1'000'000);
  EXPECT_EQ(got.deadline, 5'000'000);
  EXPECT_EQ(got.period, 5'000'000);
  EXPECT_EQ(StatField(18), "-101");
  EXPECT_EQ(StatField(41), "6");
  EXPECT_ERRNO(SetPriority(0), EINVAL);
  EXPECT_ERRNO(fork(), EAGAIN);
  wanted.flags = 1;  // SCHED_FLAG_RESET_ON_FORK
  ASSERT_OK(SetAttributes(0, wanted));
  EXPECT_CHILD_OK([] { EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER); });
}

TEST(sched_deadline_arguments) {
  NeedRealTime();
  auto attempt = [](uint64_t runtime, uint64_t deadline, uint64_t period, uint32_t priority = 0) {
    Attributes wanted{.policy = kDeadline,
                      .priority = priority,
                      .runtime = runtime,
                      .deadline = deadline,
                      .period = period};
    return SetAttributes(0, wanted);
  };
  EXPECT_ERRNO(attempt(1'000'000, 0, 10'000'000), EINVAL);
  EXPECT_ERRNO(attempt(1000, 5'000'000, 10'000'000), EINVAL);
  EXPECT_ERRNO(attempt(6'000'000, 5'000'000, 10'000'000), EINVAL);
  EXPECT_ERRNO(attempt(1'000'000, 11'000'000, 10'000'000), EINVAL);
  EXPECT_ERRNO(attempt(1024, 2000, 0), EINVAL);
  EXPECT_ERRNO(attempt(1024, uint64_t{1} << 63, 0), EINVAL);
  EXPECT_ERRNO(attempt(1'000'000, 5'000'000'000, 0), EINVAL);
  EXPECT_ERRNO(attempt(1'000'000, 5'000'000, 10'000'000, 1), EINVAL);
}

TEST(sched_setattr_arguments) {
  NeedRealTime();
  Attributes a;
  EXPECT_ERRNO(syscall(SYS_sched_setattr, 0, nullptr, 0), EINVAL);
  EXPECT_ERRNO(SetAttributes(0, a, 1), EINVAL);
  EXPECT_ERRNO(SetAttributes(-1, a), EINVAL);
  EXPECT_ERRNO(SetAttributes(0x3ffffff, a), ESRCH);
  a.size = 47;
  EXPECT_ERRNO(SetAttributes(0, a), E2BIG);
  EXPECT_GE(a.size, 56);
  a.size = 0;  // the first version
  EXPECT_OK(SetAttributes(0, a));
  a = {.flags = 0x80};
  EXPECT_ERRNO(SetAttributes(0, a), EINVAL);
  a = {.flags = 0x20};  // needs the fields of the second version
  EXPECT_ERRNO(SetAttributes(0, a), EINVAL);
  struct {
    Attributes known{.size = 64};
    uint64_t unknown = 0;
  } future;
  EXPECT_OK(SetAttributes(0, future.known));
  future.unknown = 1;
  EXPECT_ERRNO(SetAttributes(0, future.known), E2BIG);
}

TEST(sched_setattr_keeps_policy_or_parameters) {
  NeedRealTime();
  ASSERT_OK(SetPolicy(SCHED_RR | SCHED_RESET_ON_FORK, 5));
  Attributes a{.policy = SCHED_OTHER, .flags = 0x08, .priority = 9};  // SCHED_FLAG_KEEP_POLICY
  EXPECT_OK(SetAttributes(0, a));
  EXPECT_EQ(sched_getscheduler(0), SCHED_RR | SCHED_RESET_ON_FORK);
  EXPECT_EQ(Priority(), 9);
  a = {.policy = SCHED_FIFO, .flags = 0x10};  // SCHED_FLAG_KEEP_PARAMS: the policy is not changed either
  EXPECT_OK(SetAttributes(0, a));
  EXPECT_EQ(sched_getscheduler(0), SCHED_RR);
  EXPECT_EQ(Priority(), 9);
  a = {.policy = SCHED_OTHER, .nice = 25};
  EXPECT_OK(SetAttributes(0, a));
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 19);
}

TEST(sched_getattr_sizes) {
  char raw[256];
  memset(raw, 0xff, sizeof(raw));
  EXPECT_ERRNO(GetAttributes(0, raw, 47), EINVAL);
  EXPECT_ERRNO(GetAttributes(0, raw, 5000), EINVAL);
  EXPECT_ERRNO(GetAttributes(0, raw, 48, 1), EINVAL);
  EXPECT_ERRNO(GetAttributes(-1, raw, 48), EINVAL);
  EXPECT_OK(GetAttributes(0, raw, 48));
  EXPECT_EQ(*reinterpret_cast<uint32_t*>(raw), 48);
  EXPECT_EQ(raw[48], -1);
  EXPECT_OK(GetAttributes(0, raw, 200));
  EXPECT_GE(*reinterpret_cast<uint32_t*>(raw), 56);
  EXPECT_EQ(raw[200], -1);
}

TEST(sched_needs_privilege) {
  NeedRealTime();
  rlimit none{0, 0};
  ASSERT_OK(setrlimit(RLIMIT_RTPRIO, &none));
  ASSERT_OK(setrlimit(RLIMIT_NICE, &none));
  pid_t parent = getpid();
  EXPECT_CHILD_OK([&] {
    BecomeNobody();
    EXPECT_ERRNO(SetPolicy(SCHED_FIFO, 1), EPERM);
    EXPECT_ERRNO(SetPolicy(SCHED_OTHER, 0, parent), EPERM);
    EXPECT_ERRNO(SetPolicy(SCHED_OTHER, 1, parent), EINVAL);  // looked at first
    Attributes a{.policy = kDeadline, .runtime = 1'000'000, .deadline = 5'000'000};
    EXPECT_ERRNO(SetAttributes(0, a), EPERM);
    a = {.nice = -1};
    EXPECT_ERRNO(SetAttributes(0, a), EPERM);
    EXPECT_OK(SetPolicy(SCHED_BATCH, 0));
    // There is no way back from SCHED_IDLE, nor from resetting.
    EXPECT_OK(SetPolicy(SCHED_IDLE | SCHED_RESET_ON_FORK, 0));
    EXPECT_ERRNO(SetPolicy(SCHED_IDLE, 0), EPERM);
    EXPECT_ERRNO(SetPolicy(SCHED_OTHER | SCHED_RESET_ON_FORK, 0), EPERM);
  });
}

TEST(sched_real_time_limit) {
  NeedRealTime();
  rlimit limit{5, 5};
  if (setrlimit(RLIMIT_RTPRIO, &limit) != 0) SKIP("may not raise RLIMIT_RTPRIO");
  ASSERT_OK(SetPolicy(SCHED_RR, 20));
  EXPECT_CHILD_OK([] {
    BecomeNobody();
    EXPECT_ERRNO(SetPriority(21), EPERM);
    EXPECT_OK(SetPriority(20));
    EXPECT_OK(SetPriority(5));
    EXPECT_ERRNO(SetPriority(6), EPERM);
    EXPECT_OK(SetPolicy(SCHED_FIFO, 4));
    EXPECT_OK(SetPolicy(SCHED_OTHER, 0));
    EXPECT_OK(SetPolicy(SCHED_FIFO, 5));
  });
}

}  // namespace

TEST(EveryPolicyHasBounds) {
  EXPECT_EQ(sched_get_priority_max(SCHED_RR), 99);
  EXPECT_EQ(sched_get_priority_min(SCHED_RR), 1);
  EXPECT_EQ(sched_get_priority_max(SCHED_IDLE), 0);
  EXPECT_ERRNO(sched_get_priority_max(-1), EINVAL);
  EXPECT_ERRNO(sched_get_priority_min(99), EINVAL);
}
