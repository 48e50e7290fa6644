// POSIX message queues: mq_overview(7).
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <fstream>
#include <thread>

#include "test/syscalls/syscall_test.h"
#include "test/syscalls/waiting_child.h"

namespace {

constexpr char kName[] = "/queue";

// A namespace of our own, so that nothing else is there.
void NewNamespace() {
  if (geteuid() != 0) SKIP("needs root");
  ASSERT_OK(unshare(CLONE_NEWIPC));
}
mqd_t Open(int flags = O_CREAT | O_RDWR | O_NONBLOCK, long messages = 3, long size = 16, int mode = 0600) {
  mq_attr attributes{0, messages, size, 0};
  return mq_open(kName, flags, mode, &attributes);
}
int Send(mqd_t queue, const std::string& text, unsigned priority = 0) {
  return mq_send(queue, text.data(), text.size(), priority);
}
// "priority:text", or the errno's name.
std::string Receive(mqd_t queue) {
  char buffer[8192];
  unsigned priority = 0;
  ssize_t length = mq_receive(queue, buffer, sizeof(buffer), &priority);
  if (length < 0) return strerrorname_np(errno);
  return std::to_string(priority) + ":" + std::string(buffer, length);
}
std::string Text(const char* text) { return text; }
long Count(mqd_t queue) {
  mq_attr attributes{};
  EXPECT_OK(mq_getattr(queue, &attributes));
  return attributes.mq_curmsgs;
}
short Ready(mqd_t queue) {
  pollfd poll_it{queue, POLLIN | POLLOUT, 0};
  EXPECT_OK(poll(&poll_it, 1, 0));
  return poll_it.revents;
}
timespec Soon() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  now.tv_nsec += 3000000;
  if (now.tv_nsec >= 1000000000) {
    now.tv_nsec -= 1000000000;
    ++now.tv_sec;
  }
  return now;
}
// The raw calls, without glibc's slash.
long RawOpen(const char* name, int flags) { return syscall(SYS_mq_open, name, flags, 0600, nullptr); }

}  // namespace

TEST(Names) {
  NewNamespace();
  EXPECT_ERRNO(mq_open(kName, O_RDWR), ENOENT);
  EXPECT_ERRNO(RawOpen("", O_RDWR), ENOENT);
  EXPECT_ERRNO(RawOpen("/a", O_RDWR), EACCES);
  EXPECT_ERRNO(RawOpen("a/b", O_RDWR | O_CREAT), EACCES);
  EXPECT_ERRNO(RawOpen(".", O_RDWR), EACCES);
  EXPECT_ERRNO(RawOpen(nullptr, O_RDWR), EFAULT);
  EXPECT_ERRNO(RawOpen(std::string(NAME_MAX + 1, 'x').c_str(), O_RDWR | O_CREAT), ENAMETOOLONG);
  EXPECT_OK(RawOpen(std::string(NAME_MAX, 'x').c_str(), O_RDWR | O_CREAT));
  EXPECT_ERRNO(mq_unlink(kName), ENOENT);
  mqd_t queue = ASSERT_OK(Open());
  EXPECT_EQ(fcntl(queue, F_GETFD), FD_CLOEXEC);
  EXPECT_ERRNO(Open(O_CREAT | O_EXCL | O_RDWR), EEXIST);
  mqd_t again = ASSERT_OK(mq_open(kName, O_RDONLY));
  EXPECT_OK(Send(queue, "a"));
  EXPECT_OK(mq_unlink(kName));
  EXPECT_ERRNO(mq_open(kName, O_RDWR), ENOENT);
  EXPECT_EQ(Receive(again), Text("0:a"));  // it lives as long as it is open
  EXPECT_OK(mq_close(again));
  mqd_t other = ASSERT_OK(Open());
  EXPECT_OK(Send(queue, "b"));
  EXPECT_EQ(Count(other), 0);
}

TEST(AttributesAndLimits) {
  NewNamespace();
  mqd_t queue = ASSERT_OK(mq_open(kName, O_CREAT | O_RDWR, 0600, nullptr));
  mq_attr attributes{};
  EXPECT_OK(mq_getattr(queue, &attributes));
  EXPECT_EQ(attributes.mq_maxmsg, 10);
  EXPECT_EQ(attributes.mq_msgsize, 8192);
  EXPECT_EQ(attributes.mq_flags, 0);
  mq_attr wanted{O_NONBLOCK, 77, 77, 77}, old{};
  EXPECT_OK(mq_setattr(queue, &wanted, &old));
  EXPECT_EQ(old.mq_flags, 0);
  EXPECT_OK(mq_getattr(queue, &attributes));
  EXPECT_EQ(attributes.mq_flags, O_NONBLOCK);
  EXPECT_EQ(attributes.mq_maxmsg, 10);
  EXPECT_EQ(fcntl(queue, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  wanted.mq_flags = O_APPEND;
  EXPECT_ERRNO(mq_setattr(queue, &wanted, nullptr), EINVAL);
  EXPECT_ERRNO(mq_getattr(0, &attributes), EBADF);
  EXPECT_OK(mq_unlink(kName));
  EXPECT_ERRNO(Open(O_CREAT | O_RDWR, 0, 16), EINVAL);
  EXPECT_ERRNO(Open(O_CREAT | O_RDWR, 3, 0), EINVAL);
  EXPECT_ERRNO(Open(O_CREAT | O_RDWR, -1, 16), EINVAL);
  EXPECT_ERRNO(Open(O_CREAT | O_RDWR, 65537, 1), EINVAL);
  EXPECT_ERRNO(Open(O_CREAT | O_RDWR, 1, (16 << 20) + 1), EINVAL);
  if (geteuid() != 0) return;
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setuid(1234));
    EXPECT_ERRNO(Open(O_CREAT | O_RDWR, 11, 16), EINVAL);
    EXPECT_ERRNO(Open(O_CREAT | O_RDWR, 1, 8193), EINVAL);
  });
  std::ofstream("/proc/sys/fs/mqueue/msg_max") << 20;
  std::ofstream("/proc/sys/fs/mqueue/msgsize_default") << 200;
  std::ofstream("/proc/sys/fs/mqueue/queues_max") << 1;
  EXPECT_OK(mq_close(queue));
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setuid(1234));
    EXPECT_OK(Open(O_CREAT | O_RDWR, 20, 16));
    EXPECT_ERRNO(mq_open("/other", O_CREAT | O_RDWR, 0600, nullptr), ENOSPC);
    EXPECT_OK(mq_unlink(kName));
  });
  queue = ASSERT_OK(mq_open(kName, O_CREAT | O_RDWR, 0600, nullptr));
  EXPECT_OK(mq_getattr(queue, &attributes));
  EXPECT_EQ(attributes.mq_msgsize, 200);
}

TEST(BytesAreLimited) {
  NewNamespace();
  // 3 messages of 16 bytes, and what Linux counts for each of them: 96.
  rlimit limit{3 * (16 + 96), 3 * (16 + 96)};
  if (geteuid() == 0) ASSERT_OK(setuid(4321));
  ASSERT_OK(setrlimit(RLIMIT_MSGQUEUE, &limit));
  mqd_t queue = ASSERT_OK(Open());
  EXPECT_ERRNO(mq_open("/second", O_CREAT | O_RDWR, 0600, nullptr), EMFILE);
  EXPECT_OK(mq_close(queue));
  EXPECT_OK(mq_unlink(kName));
  EXPECT_OK(Open());
}

TEST(PrioritiesAndErrors) {
  NewNamespace();
  mqd_t queue = ASSERT_OK(Open());
  EXPECT_EQ(Ready(queue), POLLOUT);
  EXPECT_EQ(Receive(queue), Text("EAGAIN"));
  EXPECT_OK(Send(queue, "low", 1));
  EXPECT_OK(Send(queue, "high", 32767));
  EXPECT_EQ(Ready(queue), POLLIN | POLLOUT);
  EXPECT_OK(Send(queue, "LOW", 1));
  EXPECT_EQ(Ready(queue), POLLIN);
  EXPECT_ERRNO(Send(queue, "full"), EAGAIN);
  EXPECT_ERRNO(Send(queue, "x", 32768), EINVAL);
  EXPECT_ERRNO(Send(queue, std::string(17, 'x')), EMSGSIZE);
  char small[15];
  EXPECT_ERRNO(mq_receive(queue, small, sizeof(small), nullptr), EMSGSIZE);
  EXPECT_EQ(Count(queue), 3);
  EXPECT_EQ(Receive(queue), Text("32767:high"));
  EXPECT_EQ(Receive(queue), Text("1:low"));
  EXPECT_EQ(Receive(queue), Text("1:LOW"));
  EXPECT_ERRNO(mq_send(queue, nullptr, 1, 0), EFAULT);
  EXPECT_OK(Send(queue, ""));
  EXPECT_EQ(Receive(queue), Text("0:"));
  mqd_t reader = ASSERT_OK(mq_open(kName, O_RDONLY));
  EXPECT_ERRNO(Send(reader, "x"), EBADF);
  mqd_t writer = ASSERT_OK(mq_open(kName, O_WRONLY));
  EXPECT_EQ(Receive(writer), Text("EBADF"));
  EXPECT_ERRNO(Send(0, "x"), EBADF);
  timespec wrong{0, 1000000000};
  EXPECT_ERRNO(mq_timedsend(queue, "x", 1, 0, &wrong), EINVAL);
}

TEST(WaitingForMessagesAndRoom) {
  NewNamespace();
  mqd_t queue = ASSERT_OK(Open(O_CREAT | O_RDWR));
  timespec soon = Soon();
  char buffer[16];
  EXPECT_ERRNO(mq_timedreceive(queue, buffer, sizeof(buffer), nullptr, &soon), ETIMEDOUT);
  pid_t child = ForkWaiting([&] {
    Ready();
    EXPECT_EQ(Receive(queue), Text("4:one"));
    EXPECT_EQ(Receive(queue), Text("5:two"));
  });
  EXPECT_OK(Send(queue, "one", 4));
  EXPECT_EQ(Count(queue), 0);  // it went straight to the receiver
  EXPECT_OK(Send(queue, "two", 5));
  EXPECT_EQ(WaitFor(child), 0);
  for (const char* text : {"a", "b", "c"}) EXPECT_OK(Send(queue, text));
  soon = Soon();
  EXPECT_ERRNO(mq_timedsend(queue, "d", 1, 0, &soon), ETIMEDOUT);
  child = ForkWaiting([&] {
    Ready();
    EXPECT_OK(Send(queue, "e", 9));
  });
  EXPECT_EQ(Receive(queue), Text("0:a"));
  EXPECT_EQ(Count(queue), 3);
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_EQ(Receive(queue), Text("9:e"));
}

TEST(SignalsInterruptOrRestart) {
  NewNamespace();
  mqd_t queue = ASSERT_OK(Open(O_CREAT | O_RDWR));
  for (int flags : {0, SA_RESTART}) {
    pid_t child = ForkWaiting([&] {
      struct sigaction action = {};
      action.sa_handler = [](int) {};
      action.sa_flags = flags;
      sigaction(SIGUSR1, &action, nullptr);
      Ready();
      EXPECT_EQ(Receive(queue), flags == 0 ? Text("EINTR") : Text("0:x"));
    });
    EXPECT_OK(kill(child, SIGUSR1));
    if (flags != 0) EXPECT_OK(Send(queue, "x"));
    EXPECT_EQ(WaitFor(child), 0);
  }
}

TEST(PollWakesUp) {
  NewNamespace();
  mqd_t queue = ASSERT_OK(Open());
  pid_t child = ForkWaiting([&] {
    Ready();
    pollfd poll_it{queue, POLLIN, 0};
    EXPECT_EQ(poll(&poll_it, 1, -1), 1);
    EXPECT_EQ(poll_it.revents, POLLIN);
    EXPECT_EQ(Receive(queue), Text("0:x"));
  });
  EXPECT_OK(Send(queue, "x"));
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(NotificationBySignal) {
  NewNamespace();
  mqd_t queue = ASSERT_OK(Open());
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN;
  event.sigev_value.sival_int = 55;
  EXPECT_OK(mq_notify(queue, &event));
  EXPECT_ERRNO(mq_notify(queue, &event), EBUSY);
  pid_t child = Fork([&] {
    EXPECT_ERRNO(mq_notify(queue, &event), EBUSY);
    EXPECT_OK(mq_notify(queue, nullptr));  // not ours: nothing happens
    EXPECT_OK(Send(queue, "x"));
  });
  EXPECT_EQ(WaitFor(child), 0);
  siginfo_t info{};
  EXPECT_EQ(sigwaitinfo(&set, &info), SIGRTMIN);
  EXPECT_EQ(info.si_code, SI_MESGQ);
  EXPECT_EQ(info.si_value.sival_int, 55);
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(info.si_uid, getuid());
  // Once only, and not while there are messages.
  EXPECT_OK(mq_notify(queue, &event));
  EXPECT_OK(Send(queue, "y"));
  timespec zero{};
  EXPECT_ERRNO(sigtimedwait(&set, &info, &zero), EAGAIN);
  Receive(queue);
  Receive(queue);
  EXPECT_OK(Send(queue, "z"));
  EXPECT_EQ(sigtimedwait(&set, &info, &zero), SIGRTMIN);
  Receive(queue);
  EXPECT_OK(Send(queue, "z"));
  EXPECT_ERRNO(sigtimedwait(&set, &info, &zero), EAGAIN);
  Receive(queue);
  // Taken back, and taken back by a close.
  EXPECT_OK(mq_notify(queue, &event));
  EXPECT_OK(mq_notify(queue, nullptr));
  EXPECT_OK(mq_notify(queue, &event));
  EXPECT_OK(close(dup(queue)));
  EXPECT_OK(Send(queue, "z"));
  EXPECT_ERRNO(sigtimedwait(&set, &info, &zero), EAGAIN);
  event.sigev_signo = 65;
  EXPECT_ERRNO(mq_notify(queue, &event), EINVAL);
  event.sigev_notify = 77;
  EXPECT_ERRNO(mq_notify(queue, &event), EINVAL);
  event.sigev_notify = SIGEV_NONE;
  EXPECT_OK(mq_notify(queue, &event));
  EXPECT_ERRNO(mq_notify(queue, &event), EBUSY);
  EXPECT_ERRNO(mq_notify(0, &event), EBADF);
}

TEST(AWaitingReceiverGetsTheMessageInsteadOfTheNotification) {
  NewNamespace();
  mqd_t queue = ASSERT_OK(Open(O_CREAT | O_RDWR));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN;
  EXPECT_OK(mq_notify(queue, &event));
  pid_t child = ForkWaiting([&] {
    Ready();
    EXPECT_EQ(Receive(queue), Text("0:x"));
  });
  EXPECT_OK(Send(queue, "x"));
  EXPECT_EQ(WaitFor(child), 0);
  timespec zero{};
  siginfo_t info;
  EXPECT_ERRNO(sigtimedwait(&set, &info, &zero), EAGAIN);
  EXPECT_OK(Send(queue, "y"));
  EXPECT_EQ(sigtimedwait(&set, &info, &zero), SIGRTMIN);
}

TEST(NotificationByThread) {
  NewNamespace();
  mqd_t queue = ASSERT_OK(Open());
  static std::atomic<int> told{0};
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_value.sival_int = 66;
  event.sigev_notify_function = [](sigval value) { told = value.sival_int; };
  EXPECT_OK(mq_notify(queue, &event));
  EXPECT_OK(Send(queue, "x"));
  while (told == 0) sched_yield();
  EXPECT_EQ(told.load(), 66);
  EXPECT_EQ(Receive(queue), Text("0:x"));
  EXPECT_OK(mq_notify(queue, &event));
  EXPECT_OK(mq_notify(queue, nullptr));
}

TEST(PermissionsAreChecked) {
  NewNamespace();
  if (geteuid() != 0) SKIP("needs root");
  umask(0);
  ASSERT_OK(Open(O_CREAT | O_RDWR, 3, 16, 0604));
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setgid(1234));
    ASSERT_OK(setuid(1234));
    EXPECT_ERRNO(mq_open(kName, O_RDWR), EACCES);
    EXPECT_ERRNO(mq_open(kName, O_WRONLY), EACCES);
    EXPECT_OK(mq_open(kName, O_RDONLY));
    EXPECT_ERRNO(syscall(SYS_mq_unlink, kName + 1), EPERM);
    // A new one can be opened whatever its mode is.
    mq_attr attributes{0, 3, 16, 0};
    EXPECT_OK(mq_open("/own", O_CREAT | O_RDWR, 0, &attributes));
    EXPECT_OK(mq_unlink("/own"));
  });
}

TEST(TheFilesystem) {
  NewNamespace();
  if (geteuid() != 0) SKIP("needs root");
  ASSERT_OK(unshare(CLONE_NEWNS));
  ASSERT_OK(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr));
  char directory[] = "/tmp/mqueueXXXXXX";
  ASSERT_TRUE(mkdtemp(directory) != nullptr);
  ASSERT_OK(mount("mqueue", directory, "mqueue", 0, nullptr));
  struct statfs stats;
  EXPECT_OK(statfs(directory, &stats));
  EXPECT_EQ(stats.f_type, 0x19800202);
  mqd_t queue = ASSERT_OK(Open());
  EXPECT_OK(Send(queue, "four"));
  std::string path = std::string(directory) + kName;
  struct stat st;
  EXPECT_OK(stat(path.c_str(), &st));
  EXPECT_EQ(st.st_mode, S_IFREG | 0600);
  EXPECT_EQ(st.st_size, 80);
  struct stat by_queue;
  EXPECT_OK(fstat(queue, &by_queue));
  EXPECT_EQ(st.st_ino, by_queue.st_ino);
  std::string line;
  std::ifstream status(path);
  std::getline(status, line);
  EXPECT_EQ(line, Text("QSIZE:4          NOTIFY:0     SIGNO:0     NOTIFY_PID:0     "));
  // A file that is made is a queue; one that is removed is no more.
  std::string made = std::string(directory) + "/made";
  int fd = ASSERT_OK(open(made.c_str(), O_CREAT | O_RDWR, 0600));
  EXPECT_ERRNO(write(fd, "x", 1), EINVAL);
  mqd_t opened = ASSERT_OK(mq_open("/made", O_RDWR));
  EXPECT_OK(Send(opened, "x"));
  EXPECT_ERRNO(mkdir((made + "d").c_str(), 0700), EPERM);
  EXPECT_OK(unlink(path.c_str()));
  EXPECT_ERRNO(mq_open(kName, O_RDWR), ENOENT);
  EXPECT_OK(close(fd));
  status.close();
  EXPECT_OK(umount(directory));
  EXPECT_OK(rmdir(directory));
}
