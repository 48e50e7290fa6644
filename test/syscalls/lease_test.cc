// fcntl(2): F_SETLEASE, F_GETLEASE.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "test/syscalls/syscall_test.h"

namespace {

using namespace syscall_test;

struct File {
  explicit File(const std::string& text = "0123456789") {
    char name[] = "/tmp/leaseXXXXXX";
    int fd = mkstemp(name);
    path = name;
    EXPECT_EQ(write(fd, text.data(), text.size()), text.size());
    close(fd);
  }
  ~File() { unlink(path.c_str()); }
  int Open(int flags) const { return open(path.c_str(), flags); }
  off_t size() const {
    struct stat attributes {};
    stat(path.c_str(), &attributes);
    return attributes.st_size;
  }
  std::string path;
};

volatile sig_atomic_t signals, last_signal, last_code, last_fd;
void OnBreak(int signal, siginfo_t* info, void*) {
  signals = signals + 1;
  last_signal = signal;
  last_code = info->si_code;
  last_fd = info->si_fd;
}
void Handle(int signal) {
  struct sigaction action {};
  action.sa_sigaction = OnBreak;
  action.sa_flags = SA_SIGINFO;
  ASSERT_OK(sigaction(signal, &action, nullptr));
}
void SleepMilliseconds(long milliseconds) {
  timespec time{milliseconds / 1000, milliseconds % 1000 * 1'000'000};
  while (nanosleep(&time, &time) != 0) {
  }
}
int64_t Milliseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}
bool WaitForSignals(int count) {
  for (int i = 0; i < 2000 && signals < count; ++i) SleepMilliseconds(5);
  return signals == count;
}

// A value of /proc/sys/fs, put back at the end.
class Setting {
 public:
  Setting(const char* path, const char* value) : path_(path) {
    int fd = open(path, O_RDWR);
    if (fd < 0) throw SkipTest{"cannot write " + path_};
    char old[32] = {};
    EXPECT_OK(read(fd, old, sizeof(old) - 1));
    old_ = old;
    close(fd);
    Write(value);
  }
  ~Setting() { Write(old_.c_str()); }

 private:
  void Write(const char* value) {
    int fd = open(path_.c_str(), O_WRONLY);
    EXPECT_EQ(write(fd, value, strlen(value)), strlen(value));
    close(fd);
  }
  std::string path_, old_;
};

TEST(lease_is_placed_changed_and_removed) {
  File file;
  int fd = ASSERT_OK(file.Open(O_RDONLY));
  EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
  EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_UNLCK), EAGAIN);
  EXPECT_ERRNO(fcntl(fd, F_SETLEASE, 77), EINVAL);
  EXPECT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
  EXPECT_EQ(fcntl(fd, F_GETLEASE), F_WRLCK);
  EXPECT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
  EXPECT_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
  EXPECT_EQ(fcntl(fd, F_GETOWN), getpid());
  EXPECT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
  EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
  EXPECT_EQ(fcntl(fd, F_GETOWN), 0);
}

TEST(lease_is_the_open_descriptions) {
  signal(SIGIO, SIG_IGN);
  File file;
  int fd = ASSERT_OK(file.Open(O_RDONLY));
  int copy = ASSERT_OK(dup(fd));
  EXPECT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
  EXPECT_EQ(fcntl(copy, F_GETLEASE), F_WRLCK);
  close(fd);
  EXPECT_EQ(fcntl(copy, F_GETLEASE), F_WRLCK);
  EXPECT_ERRNO(file.Open(O_RDONLY | O_NONBLOCK), EWOULDBLOCK);
  close(copy);
  EXPECT_OK(file.Open(O_RDONLY | O_NONBLOCK));
}

TEST(lease_conflicts_with_other_opens) {
  File file;
  int fd = ASSERT_OK(file.Open(O_RDONLY));
  int other = ASSERT_OK(file.Open(O_RDONLY));
  EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_WRLCK), EAGAIN);
  EXPECT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
  EXPECT_OK(fcntl(other, F_SETLEASE, F_RDLCK));
  EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_WRLCK), EAGAIN);
  close(other);
  EXPECT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
  EXPECT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
  int writer = ASSERT_OK(file.Open(O_WRONLY));
  EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_RDLCK), EAGAIN);
  close(fd);
  EXPECT_ERRNO(fcntl(writer, F_SETLEASE, F_RDLCK), EAGAIN);
  EXPECT_OK(fcntl(writer, F_SETLEASE, F_WRLCK));
}

TEST(lease_on_other_files) {
  int directory = ASSERT_OK(open("/tmp", O_RDONLY));
  EXPECT_ERRNO(fcntl(directory, F_SETLEASE, F_RDLCK), EINVAL);
  int ends[2];
  ASSERT_OK(pipe(ends));
  EXPECT_ERRNO(fcntl(ends[0], F_SETLEASE, F_RDLCK), EINVAL);
  EXPECT_EQ(fcntl(ends[0], F_GETLEASE), F_UNLCK);
  File file;
  int path = ASSERT_OK(file.Open(O_PATH));
  EXPECT_ERRNO(fcntl(path, F_SETLEASE, F_RDLCK), EBADF);
}

TEST(lease_of_anothers_file) {
  if (geteuid() != 0) SKIP("not root");
  File file;
  ASSERT_OK(chmod(file.path.c_str(), 0644));
  ASSERT_OK(setresuid(65534, 65534, 65534));
  int fd = ASSERT_OK(file.Open(O_RDONLY));
  EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_RDLCK), EACCES);
  EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_UNLCK), EACCES);
  EXPECT_ERRNO(fcntl(fd, F_SETLEASE, 9), EINVAL);
}

TEST(lease_is_broken_without_waiting) {
  Handle(SIGIO);
  File file;
  int fd = ASSERT_OK(file.Open(O_RDONLY));
  ASSERT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
  // Readers do not disturb, nor who only looks.
  close(ASSERT_OK(file.Open(O_RDONLY | O_NONBLOCK)));
  close(ASSERT_OK(file.Open(O_PATH)));
  EXPECT_OK(access(file.path.c_str(), R_OK | W_OK));
  EXPECT_OK(chmod(file.path.c_str(), 0600));
  EXPECT_EQ(signals, 0);
  EXPECT_ERRNO(file.Open(O_WRONLY | O_NONBLOCK), EWOULDBLOCK);
  EXPECT_EQ(signals, 1);
  EXPECT_EQ(last_code, SI_KERNEL);
  EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
  // Told once.
  EXPECT_ERRNO(file.Open(O_RDWR | O_NONBLOCK | O_TRUNC), EWOULDBLOCK);
  EXPECT_EQ(signals, 1);
  EXPECT_EQ(file.size(), 10);
  // A new one is not given meanwhile.
  int other = ASSERT_OK(file.Open(O_RDONLY | O_NONBLOCK));
  EXPECT_ERRNO(fcntl(other, F_SETLEASE, F_RDLCK), EAGAIN);
  EXPECT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
  EXPECT_OK(file.Open(O_RDWR | O_NONBLOCK));
}

TEST(lease_break_by_a_chosen_signal) {
  const int chosen = SIGRTMIN + 1;
  Handle(chosen);
  File file;
  int fd = ASSERT_OK(file.Open(O_RDWR));
  ASSERT_OK(fcntl(fd, F_SETSIG, chosen));
  ASSERT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
  EXPECT_ERRNO(file.Open(O_RDONLY | O_NONBLOCK), EWOULDBLOCK);
  EXPECT_EQ(signals, 1);
  EXPECT_EQ(last_signal, chosen);
  EXPECT_EQ(last_code, POLL_MSG);
  EXPECT_EQ(last_fd, fd);
  // A reader is content with a read lease, a writer is not.
  EXPECT_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
  EXPECT_ERRNO(file.Open(O_WRONLY | O_NONBLOCK), EWOULDBLOCK);
  EXPECT_EQ(signals, 2);
  EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
  EXPECT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
  EXPECT_EQ(fcntl(fd, F_GETSIG), 0);
}

TEST(lease_holder_lets_an_opener_on) {
  Handle(SIGIO);
  File file;
  int fd = ASSERT_OK(file.Open(O_RDONLY));
  ASSERT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
  pid_t child = Fork([&] {
    close(fd);
    EXPECT_OK(file.Open(O_RDONLY));
  });
  ASSERT_TRUE(WaitForSignals(1));
  SleepMilliseconds(50);
  EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0);
  // The one that waits counts as a reader already.
  EXPECT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
}

TEST(lease_is_broken_by_truncate) {
  Handle(SIGIO);
  File file;
  int fd = ASSERT_OK(file.Open(O_RDONLY));
  ASSERT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
  pid_t child = Fork([&] { EXPECT_OK(truncate(file.path.c_str(), 3)); });
  ASSERT_TRUE(WaitForSignals(1));
  SleepMilliseconds(50);
  EXPECT_EQ(file.size(), 10);
  close(fd);  // the child has it still
  SleepMilliseconds(50);
  EXPECT_EQ(file.size(), 10);
  kill(child, SIGKILL);
  WaitFor(child);
  EXPECT_EQ(file.size(), 10);
  EXPECT_OK(truncate(file.path.c_str(), 3));
  EXPECT_EQ(file.size(), 3);
}

TEST(lease_wait_is_interrupted) {
  struct sigaction action {};
  action.sa_sigaction = OnBreak;
  action.sa_flags = SA_SIGINFO;  // no SA_RESTART
  ASSERT_OK(sigaction(SIGALRM, &action, nullptr));
  ASSERT_OK(sigaction(SIGIO, &action, nullptr));
  File file;
  int fd = ASSERT_OK(file.Open(O_RDONLY));
  ASSERT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
  pid_t child = Fork([&] {
    signals = 0;
    itimerval again = {{0, 200'000}, {0, 200'000}};  // one may come before the call
    ASSERT_OK(setitimer(ITIMER_REAL, &again, nullptr));
    EXPECT_ERRNO(file.Open(O_WRONLY | O_TRUNC), EINTR);
    EXPECT_EQ(file.size(), 10);
  });
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(lease_ends_after_lease_break_time) {
  Setting time("/proc/sys/fs/lease-break-time", "1");
  Handle(SIGIO);
  File file;
  int fd = ASSERT_OK(file.Open(O_RDONLY));
  ASSERT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
  pid_t child = Fork([&] {
    int64_t begin = Milliseconds();
    EXPECT_OK(file.Open(O_RDONLY));
    EXPECT_GE(Milliseconds() - begin, 900);
    EXPECT_OK(file.Open(O_WRONLY));
  });
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_EQ(signals, 2);
  EXPECT_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
  EXPECT_EQ(fcntl(fd, F_GETOWN), 0);
}

TEST(leases_can_be_switched_off) {
  Setting enabled("/proc/sys/fs/leases-enable", "0");
  File file;
  int fd = ASSERT_OK(file.Open(O_RDONLY));
  EXPECT_ERRNO(fcntl(fd, F_SETLEASE, F_RDLCK), EINVAL);
}

// What /proc/locks or fdinfo says of this process's leases: "ACTIVE READ".
std::vector<std::string> Listed(const std::string& file, int field) {
  std::vector<std::string> leases;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::vector<std::string> fields;
    for (std::string word; words >> word;) fields.push_back(word);
    if (fields.size() < static_cast<size_t>(field) + 8 || fields[field + 1] != "LEASE") continue;
    if (fields[field + 4] != std::to_string(getpid())) continue;
    EXPECT_EQ(fields[field + 6], "0");
    EXPECT_EQ(fields[field + 7], "EOF");
    leases.push_back(fields[field + 2] + " " + fields[field + 3]);
  }
  return leases;
}

TEST(LeasesAreListed) {
  Handle(SIGIO);
  File file;
  using Lines = std::vector<std::string>;
  auto locks = [] { return Listed("/proc/locks", 0); };
  int fd = file.Open(O_RDONLY);
  ASSERT_OK(fcntl(fd, F_SETLEASE, F_RDLCK));
  const std::string info = "/proc/self/fdinfo/" + std::to_string(fd);
  EXPECT_TRUE(locks() == Lines{"ACTIVE READ"});
  EXPECT_TRUE(Listed(info, 1) == Lines{"ACTIVE READ"});
  EXPECT_ERRNO(file.Open(O_WRONLY | O_NONBLOCK), EAGAIN);
  EXPECT_TRUE(locks() == Lines{"BREAKING UNLCK"});
  EXPECT_TRUE(Listed(info, 1) == Lines{"BREAKING UNLCK"});
  ASSERT_OK(fcntl(fd, F_SETLEASE, F_UNLCK));
  EXPECT_TRUE(locks().empty());
  close(fd);
  fd = file.Open(O_RDWR);
  ASSERT_OK(fcntl(fd, F_SETLEASE, F_WRLCK));
  EXPECT_TRUE(locks() == Lines{"ACTIVE WRITE"});
  EXPECT_ERRNO(file.Open(O_RDONLY | O_NONBLOCK), EAGAIN);
  EXPECT_TRUE(locks() == Lines{"BREAKING READ"});
  close(fd);
  EXPECT_TRUE(locks().empty());
}

}  // namespace
