// time_namespaces(7): what shows the offsets, and who enters a namespace when.
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "test/syscalls/syscall_test.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

namespace {

using namespace syscall_test;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kSlack = 5 * kSecond;  // a busy machine
constexpr int64_t kOffset = 100'000;     // seconds

int64_t Nanoseconds(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }
timespec ToTimespec(int64_t nanoseconds) { return {nanoseconds / kSecond, nanoseconds % kSecond}; }

// By the vDSO, if there is one, and by the system call.
int64_t Now(clockid_t clock) {
  timespec time{};
  EXPECT_OK(clock_gettime(clock, &time));
  return Nanoseconds(time);
}
int64_t NowByCall(clockid_t clock) {
  timespec time{};
  EXPECT_OK(syscall(SYS_clock_gettime, clock, &time));
  return Nanoseconds(time);
}

std::string Link(const std::string& path) {
  char text[64] = {};
  EXPECT_OK(readlink(path.c_str(), text, sizeof(text) - 1));
  return text;
}
std::string ReadFile(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY);
  char text[4096] = {};
  ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
  close(fd);
  return std::string(text, size > 0 ? static_cast<size_t>(size) : 0);
}
int WriteFile(const std::string& path, const std::string& text) {
  int fd = open(path.c_str(), O_WRONLY);
  if (fd < 0) return errno;
  int error = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : errno;
  close(fd);
  return error;
}
int SetOffsets(const std::string& text) { return WriteFile("/proc/self/timens_offsets", text); }

// A new namespace for children.
void MakeNamespace(const std::string& offsets) {
  if (geteuid() != 0) throw SkipTest{"not root"};
  ASSERT_OK(unshare(CLONE_NEWTIME));
  if (!offsets.empty()) ASSERT_EQ(SetOffsets(offsets), 0);
}

std::string Offset(int64_t seconds) { return std::to_string(seconds) + " 0\n"; }

void ExpectClock(clockid_t clock, int64_t before, int64_t offset_seconds) {
  const int64_t expected = before + offset_seconds * kSecond;
  for (int64_t now : {Now(clock), NowByCall(clock)}) {
    EXPECT_GE(now, expected);
    EXPECT_LT(now, expected + kSlack);
  }
}

TEST(only_children_are_in_a_new_namespace) {
  const std::string first = Link("/proc/self/ns/time");
  EXPECT_EQ(Link("/proc/self/ns/time_for_children"), first);
  const int64_t before = Now(CLOCK_MONOTONIC);
  MakeNamespace("monotonic " + Offset(kOffset));
  EXPECT_EQ(Link("/proc/self/ns/time"), first);
  const std::string second = Link("/proc/self/ns/time_for_children");
  EXPECT_NE(second, first);
  EXPECT_LT(Now(CLOCK_MONOTONIC), before + kSlack);
  EXPECT_CHILD_OK([&] {
    EXPECT_EQ(Link("/proc/self/ns/time"), second);
    EXPECT_EQ(Link("/proc/self/ns/time_for_children"), second);
    ExpectClock(CLOCK_MONOTONIC, before, kOffset);
  });
}

TEST(each_clock_has_its_offset) {
  struct {
    clockid_t clock;
    int64_t offset, before;
  } clocks[] = {{CLOCK_MONOTONIC, kOffset, 0},
                {CLOCK_MONOTONIC_RAW, kOffset, 0},
                {CLOCK_MONOTONIC_COARSE, kOffset, 0},
                {CLOCK_BOOTTIME, 2 * kOffset, 0},
                {CLOCK_REALTIME, 0, 0},
                {CLOCK_REALTIME_COARSE, 0, 0},
                {CLOCK_TAI, 0, 0}};
  for (auto& clock : clocks) clock.before = Now(clock.clock) - 10'000'000;
  MakeNamespace("monotonic " + Offset(kOffset) + "boottime " + Offset(2 * kOffset));
  EXPECT_CHILD_OK([&] {
    for (const auto& clock : clocks) ExpectClock(clock.clock, clock.before, clock.offset);
  });
}

TEST(offsets_may_be_negative_and_are_inherited) {
  const int64_t before = Now(CLOCK_MONOTONIC);
  MakeNamespace("1 -5 500000000\n7 " + Offset(kOffset));
  EXPECT_EQ(ReadFile("/proc/self/timens_offsets"),
            "monotonic          -5 500000000\nboottime       100000         0\n");
  EXPECT_CHILD_OK([&] {
    EXPECT_LT(Now(CLOCK_MONOTONIC), before + kSlack - 4 * kSecond);
    // One more, which begins with what this one has.
    ASSERT_OK(unshare(CLONE_NEWTIME));
    EXPECT_EQ(ReadFile("/proc/self/timens_offsets"),
              "monotonic          -5 500000000\nboottime       100000         0\n");
    ASSERT_EQ(SetOffsets("monotonic " + Offset(kOffset)), 0);
    EXPECT_CHILD_OK([&] {
      ExpectClock(CLOCK_MONOTONIC, before, kOffset);
      EXPECT_EQ(ReadFile("/proc/self/timens_offsets"),
                "monotonic      100000         0\nboottime       100000         0\n");
    });
  });
}

TEST(what_may_be_written) {
  EXPECT_EQ(ReadFile("/proc/self/timens_offsets"),
            "monotonic           0         0\nboottime            0         0\n");
  EXPECT_EQ(SetOffsets("monotonic 1 0\n"), EACCES);
  MakeNamespace("");
  for (const char* text : {"", "\n", "monotonic", "monotonic 1", "monotonic 1 1000000000", "realtime 1 0",
                           "0 1 0", "monotonic x 0", "monotonic 1 0\nnonsense", "verylongclockname 1 0"})
    EXPECT_EQ(SetOffsets(text), EINVAL);
  EXPECT_EQ(SetOffsets(std::string(4096, ' ')), EINVAL);
  for (const char* text : {"monotonic -10000000000 0", "monotonic 9300000000 0", "monotonic -9300000000 0",
                           "boottime 4700000000 0", "monotonic 10000000000000000 0"})
    EXPECT_EQ(SetOffsets(text), ERANGE);
  EXPECT_EQ(SetOffsets("monotonic 4000000000 999999999"), 0);
  EXPECT_EQ(SetOffsets("monotonic 7 8 trailing"), 0);
  EXPECT_EQ(ReadFile("/proc/self/timens_offsets"),
            "monotonic           7         8\nboottime            0         0\n");
  // All or nothing.
  EXPECT_EQ(SetOffsets("monotonic 9 0\nboottime -10000000000 0\n"), ERANGE);
  EXPECT_EQ(ReadFile("/proc/self/timens_offsets"),
            "monotonic           7         8\nboottime            0         0\n");
  EXPECT_CHILD_OK([] {});
  EXPECT_EQ(SetOffsets("monotonic 1 0\n"), EACCES);
}

TEST(who_may_make_one) {
  if (geteuid() != 0) SKIP("not root");
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setresuid(65534, 65534, 65534));
    EXPECT_ERRNO(unshare(CLONE_NEWTIME), EPERM);
  });
}

TEST(execve_enters_it) {
  const int64_t before = Now(CLOCK_MONOTONIC);
  MakeNamespace("monotonic " + Offset(kOffset));
  // The program tells by its exit code.
  int pipes[2];
  ASSERT_OK(pipe(pipes));
  pid_t pid = Fork([&] {
    ASSERT_OK(unshare(CLONE_NEWTIME));
    ASSERT_EQ(SetOffsets("monotonic " + Offset(2 * kOffset)), 0);
    dup2(pipes[1], 1);
    setenv("TIME_NAMESPACE_TEST", "1", 1);
    execl("/proc/self/exe", "time_namespace_test", nullptr);
  });
  close(pipes[1]);
  int64_t told = 0;
  EXPECT_EQ(read(pipes[0], &told, sizeof(told)), static_cast<ssize_t>(sizeof(told)));
  WaitFor(pid);
  EXPECT_GE(told, before + 2 * kOffset * kSecond);
  EXPECT_LT(told, before + 2 * kOffset * kSecond + kSlack);
}

TEST(threads_and_vfork_stay) {
  const std::string first = Link("/proc/self/ns/time");
  const int64_t before = Now(CLOCK_MONOTONIC);
  MakeNamespace("monotonic " + Offset(kOffset));
  pid_t pid = vfork();
  if (pid == 0) _exit(Now(CLOCK_MONOTONIC) < before + kSlack ? 0 : 1);
  EXPECT_EQ(WaitFor(pid), 0);
  std::thread([&] { EXPECT_LT(Now(CLOCK_MONOTONIC), before + kSlack); }).join();
}

TEST(clone3_makes_one) {
  if (geteuid() != 0) SKIP("not root");
  const std::string first = Link("/proc/self/ns/time");
  clone_args arguments{};
  arguments.flags = CLONE_NEWTIME;
  arguments.exit_signal = SIGCHLD;
  pid_t pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
  if (pid == 0) {
    bool right = Link("/proc/self/ns/time") != first &&
                 Link("/proc/self/ns/time") == Link("/proc/self/ns/time_for_children") &&
                 SetOffsets("monotonic 1 0\n") == EACCES;
    _exit(right ? 0 : 1);
  }
  ASSERT_OK(pid);
  EXPECT_EQ(WaitFor(pid), 0);
  EXPECT_EQ(Link("/proc/self/ns/time_for_children"), first);
  // In clone(2) it is a part of the exit signal's number.
  pid = static_cast<pid_t>(ASSERT_OK(syscall(SYS_clone, CLONE_NEWTIME, 0, 0, 0, 0)));
  if (pid == 0) _exit(Link("/proc/self/ns/time") == first ? 0 : 1);
  EXPECT_EQ(waitpid(pid, nullptr, __WALL), pid);
}

TEST(setns_enters_at_once) {
  const int64_t before = Now(CLOCK_MONOTONIC);
  const std::string first = Link("/proc/self/ns/time");
  int own = static_cast<int>(ASSERT_OK(open("/proc/self/ns/time", O_RDONLY)));
  MakeNamespace("monotonic " + Offset(kOffset) + "boottime " + Offset(kOffset));
  int other = static_cast<int>(ASSERT_OK(open("/proc/self/ns/time_for_children", O_RDONLY)));
  EXPECT_ERRNO(setns(other, CLONE_NEWUTS), EINVAL);
  ASSERT_OK(setns(other, CLONE_NEWTIME));
  EXPECT_NE(Link("/proc/self/ns/time"), first);
  EXPECT_EQ(Link("/proc/self/ns/time"), Link("/proc/self/ns/time_for_children"));
  ExpectClock(CLOCK_MONOTONIC, before, kOffset);
  EXPECT_EQ(SetOffsets("monotonic 1 0\n"), EACCES);
  EXPECT_CHILD_OK([&] { ExpectClock(CLOCK_MONOTONIC, before, kOffset); });
  ASSERT_OK(setns(own, 0));
  EXPECT_EQ(Link("/proc/self/ns/time"), first);
  EXPECT_EQ(Link("/proc/self/ns/time_for_children"), first);
  ExpectClock(CLOCK_MONOTONIC, before, 0);
  EXPECT_CHILD_OK([&] { ExpectClock(CLOCK_MONOTONIC, before, 0); });
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setresuid(65534, 65534, 65534));
    EXPECT_ERRNO(setns(other, CLONE_NEWTIME), EPERM);
  });
  std::atomic<bool> stop{false};
  std::thread thread([&] {
    while (!stop) usleep(1000);
  });
  EXPECT_ERRNO(setns(other, CLONE_NEWTIME), EUSERS);
  stop = true;
  thread.join();
}

TEST(setns_by_pidfd) {
  const int64_t before = Now(CLOCK_MONOTONIC);
  MakeNamespace("monotonic " + Offset(kOffset));
  int ready[2];
  ASSERT_OK(pipe(ready));
  pid_t pid = Fork([&] {
    (void)!write(ready[1], "", 1);
    for (;;) pause();
  });
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  int pidfd = static_cast<int>(ASSERT_OK(syscall(SYS_pidfd_open, pid, 0)));
  ASSERT_OK(setns(pidfd, CLONE_NEWTIME | CLONE_NEWUTS));
  ExpectClock(CLOCK_MONOTONIC, before, kOffset);
  kill(pid, SIGKILL);
  WaitFor(pid);
}

// In a namespace that is ahead: what is told in its time happens soon, and not in a day.
template <typename Body>
void InNamespace(Body body) {
  MakeNamespace("monotonic " + Offset(kOffset) + "boottime " + Offset(2 * kOffset));
  EXPECT_CHILD_OK([&] {
    alarm(60);
    body();
  });
}

TEST(absolute_sleeps) {
  InNamespace([] {
    for (clockid_t clock : {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME}) {
      const int64_t begin = Now(clock), end = begin + kSecond / 20;
      timespec until = ToTimespec(end);
      EXPECT_EQ(clock_nanosleep(clock, TIMER_ABSTIME, &until, nullptr), 0);
      EXPECT_GE(Now(clock), end);
      EXPECT_LT(Now(clock), end + kSlack);
      timespec past{1, 0};
      EXPECT_EQ(clock_nanosleep(clock, TIMER_ABSTIME, &past, nullptr), 0);
      timespec relative{0, 1'000'000};
      EXPECT_EQ(clock_nanosleep(clock, 0, &relative, nullptr), 0);
    }
  });
}

TEST(timer_files) {
  InNamespace([] {
    for (clockid_t clock : {CLOCK_MONOTONIC, CLOCK_BOOTTIME}) {
      int fd = static_cast<int>(ASSERT_OK(timerfd_create(clock, 0)));
      itimerspec setting{};
      setting.it_value = ToTimespec(Now(clock) + kSecond / 20);
      ASSERT_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &setting, nullptr));
      itimerspec left{};
      ASSERT_OK(timerfd_gettime(fd, &left));
      EXPECT_LE(Nanoseconds(left.it_value), kSecond / 20);
      uint64_t count = 0;
      EXPECT_EQ(read(fd, &count, sizeof(count)), 8);
      // Before the machine's start: over.
      setting.it_value = {1, 0};
      ASSERT_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &setting, nullptr));
      EXPECT_EQ(read(fd, &count, sizeof(count)), 8);
      setting.it_value = ToTimespec(Now(clock) + 1000 * kSecond);
      ASSERT_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &setting, nullptr));
      ASSERT_OK(timerfd_gettime(fd, &left));
      EXPECT_LE(left.it_value.tv_sec, 1000);
      EXPECT_GE(left.it_value.tv_sec, 990);
      close(fd);
    }
  });
}

TEST(posix_timers) {
  InNamespace([] {
    sigset_t alarm_set;
    sigemptyset(&alarm_set);
    sigaddset(&alarm_set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &alarm_set, nullptr);
    for (clockid_t clock : {CLOCK_MONOTONIC, CLOCK_BOOTTIME}) {
      sigevent event{};
      event.sigev_notify = SIGEV_SIGNAL;
      event.sigev_signo = SIGUSR1;
      timer_t timer;
      ASSERT_OK(timer_create(clock, &event, &timer));
      itimerspec setting{};
      for (const timespec& when : {ToTimespec(Now(clock) + kSecond / 20), timespec{1, 0}}) {
        setting.it_value = when;
        ASSERT_OK(timer_settime(timer, TIMER_ABSTIME, &setting, nullptr));
        timespec patience{20, 0};
        EXPECT_EQ(sigtimedwait(&alarm_set, nullptr, &patience), SIGUSR1);
      }
      setting.it_value = ToTimespec(Now(clock) + 1000 * kSecond);
      ASSERT_OK(timer_settime(timer, TIMER_ABSTIME, &setting, nullptr));
      itimerspec left{};
      ASSERT_OK(timer_gettime(timer, &left));
      EXPECT_LE(left.it_value.tv_sec, 1000);
      EXPECT_GE(left.it_value.tv_sec, 990);
      timer_delete(timer);
    }
  });
}

struct WaitDescription {  // struct futex_waitv
  uint64_t value, address;
  uint32_t flags, reserved;
};

TEST(futexes) {
  InNamespace([] {
    uint32_t word = 0;
    auto wait = [&](int operation, clockid_t clock, int64_t from_now) {
      timespec until = ToTimespec(Now(clock) + from_now);
      EXPECT_ERRNO(syscall(SYS_futex, &word, operation, 0, &until, nullptr, ~0u), ETIMEDOUT);
      EXPECT_GE(Now(clock), Nanoseconds(until));
      EXPECT_LT(Now(clock), Nanoseconds(until) + kSlack);
    };
    wait(FUTEX_WAIT_BITSET, CLOCK_MONOTONIC, kSecond / 20);
    wait(FUTEX_WAIT_BITSET, CLOCK_MONOTONIC, -kSecond);
    wait(FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, CLOCK_REALTIME, kSecond / 20);
    timespec relative{0, 1'000'000};
    EXPECT_ERRNO(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &relative, nullptr, 0), ETIMEDOUT);
    WaitDescription description{0, reinterpret_cast<uint64_t>(&word), 2 /* 32 bits */, 0};
    timespec until = ToTimespec(Now(CLOCK_MONOTONIC) + kSecond / 20);
    constexpr long kFutexWaitv = 449;
    EXPECT_ERRNO(syscall(kFutexWaitv, &description, 1, 0, &until, CLOCK_MONOTONIC), ETIMEDOUT);
    EXPECT_GE(Now(CLOCK_MONOTONIC), Nanoseconds(until));
  });
}

double Uptime() { return atof(ReadFile("/proc/uptime").c_str()); }
// Field 22 of proc(5)'s /proc/PID/stat, in seconds.
double StartTime() {
  std::string text = ReadFile("/proc/self/stat");
  size_t at = text.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  return at == std::string::npos ? -1 : atof(text.c_str() + at) / static_cast<double>(sysconf(_SC_CLK_TCK));
}
int64_t BootTime() {
  std::string text = ReadFile("/proc/stat");
  size_t at = text.find("\nbtime ");
  return at == std::string::npos ? -1 : atoll(text.c_str() + at + 7);
}

TEST(times_since_boot) {
  const double uptime = Uptime(), start = StartTime();
  const int64_t boot = BootTime();
  struct sysinfo info {};
  ASSERT_OK(sysinfo(&info));
  MakeNamespace("boottime " + Offset(kOffset));
  EXPECT_CHILD_OK([&] {
    EXPECT_GE(Uptime(), uptime + kOffset);
    EXPECT_LT(Uptime(), uptime + kOffset + 5);
    EXPECT_GE(StartTime(), start + kOffset);
    EXPECT_LT(StartTime(), start + kOffset + 5);
    EXPECT_LE(std::abs(BootTime() + kOffset - boot), 1);
    struct sysinfo now {};
    ASSERT_OK(sysinfo(&now));
    EXPECT_GE(now.uptime, info.uptime + kOffset);
    EXPECT_LT(now.uptime, info.uptime + kOffset + 5);
    // The time of day is no time since boot.
    timeval day{};
    gettimeofday(&day, nullptr);
    EXPECT_LE(std::abs(day.tv_sec - time(nullptr)), 1);
  });
}

// What execve_enters_it runs, before main.
__attribute__((constructor)) void TellTheTime() {
  if (getenv("TIME_NAMESPACE_TEST") == nullptr) return;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t value = Nanoseconds(now);
  _exit(write(1, &value, sizeof(value)) == sizeof(value) ? 0 : 1);
}

}  // namespace
