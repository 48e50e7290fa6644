// Signal-driven I/O: O_ASYNC, F_SETOWN, F_SETSIG; and directory notification (F_NOTIFY).
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "test/syscalls/syscall_test.h"

namespace {

volatile sig_atomic_t caught;
siginfo_t last_info;
pthread_t caught_by;

void Catch(int, siginfo_t* info, void*) {
  caught = caught + 1;
  last_info = *info;
  caught_by = pthread_self();
}

void Install(int signal) {
  caught = 0;
  struct sigaction action = {};
  action.sa_sigaction = Catch;
  action.sa_flags = SA_SIGINFO;
  ASSERT_OK(sigaction(signal, &action, nullptr));
}

// `fd` signals this process.
void MakeAsync(int fd, int signal) {
  ASSERT_OK(fcntl(fd, F_SETOWN, getpid()));
  if (signal != SIGIO) ASSERT_OK(fcntl(fd, F_SETSIG, signal));
  ASSERT_OK(fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK));
}

void Put(int fd) { ASSERT_EQ(write(fd, "x", 1), 1); }
void Take(int fd) {
  char byte;
  ASSERT_EQ(read(fd, &byte, 1), 1);
}

struct Pipe {
  Pipe() { ASSERT_OK(pipe(fd)); }
  int fd[2];
};

std::string MakeDirectory() {
  char name[] = "/tmp/async_io_test.XXXXXX";
  ASSERT_TRUE(mkdtemp(name) != nullptr);
  return name;
}

void MakeFile(const std::string& name) {
  int fd = ASSERT_OK(open(name.c_str(), O_CREAT | O_WRONLY, 0600));
  close(fd);
}

}  // namespace

TEST(PipeSignalsItsReader) {
  Install(SIGIO);
  Pipe pipe;
  MakeAsync(pipe.fd[0], SIGIO);
  Put(pipe.fd[1]);
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(last_info.si_code, SI_KERNEL);
  Take(pipe.fd[0]);
  EXPECT_EQ(caught, 1);
  Put(pipe.fd[1]);
  EXPECT_EQ(caught, 2);
  ASSERT_OK(fcntl(pipe.fd[0], F_SETFL, O_NONBLOCK));
  Put(pipe.fd[1]);
  EXPECT_EQ(caught, 2);
}

TEST(ChosenSignalTellsTheDescriptor) {
  Install(SIGRTMIN + 1);
  Pipe pipe;
  MakeAsync(pipe.fd[0], SIGRTMIN + 1);
  EXPECT_EQ(fcntl(pipe.fd[0], F_GETSIG), SIGRTMIN + 1);
  Put(pipe.fd[1]);
  ASSERT_EQ(caught, 1);
  EXPECT_EQ(last_info.si_code, POLL_IN);
  EXPECT_EQ(last_info.si_fd, pipe.fd[0]);
  EXPECT_EQ(last_info.si_band, POLLIN | POLLRDNORM);
}

TEST(PipeSignalsItsWriterWhenThereIsRoom) {
  Pipe pipe;
  ASSERT_OK(fcntl(pipe.fd[1], F_SETFL, O_NONBLOCK));
  static char bytes[65536];
  while (write(pipe.fd[1], bytes, sizeof(bytes)) > 0) {
  }
  Install(SIGRTMIN + 1);
  MakeAsync(pipe.fd[1], SIGRTMIN + 1);
  while (read(pipe.fd[0], bytes, sizeof(bytes)) == sizeof(bytes) && caught == 0) {
  }
  ASSERT_GE(caught, 1);
  EXPECT_EQ(last_info.si_code, POLL_OUT);
  EXPECT_EQ(last_info.si_fd, pipe.fd[1]);
  EXPECT_TRUE((last_info.si_band & POLLOUT) != 0);
}

TEST(ClosingTheOtherEndSignals) {
  Install(SIGIO);
  Pipe pipe;
  MakeAsync(pipe.fd[0], SIGIO);
  close(pipe.fd[1]);
  EXPECT_EQ(caught, 1);
}

TEST(SocketSignalsItsOwner) {
  int fd[2];
  ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
  Install(SIGRTMIN + 1);
  MakeAsync(fd[0], SIGRTMIN + 1);
  Put(fd[1]);
  ASSERT_EQ(caught, 1);
  EXPECT_EQ(last_info.si_code, POLL_IN);
  EXPECT_EQ(last_info.si_fd, fd[0]);
  Take(fd[0]);
  close(fd[1]);
  ASSERT_GE(caught, 2);
  EXPECT_EQ(last_info.si_code, POLL_HUP);
}

TEST(ListenerSignalsAConnection) {
  int listener = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  sa_family_t family = AF_UNIX;  // an autobind address
  ASSERT_OK(bind(listener, reinterpret_cast<sockaddr*>(&family), sizeof(family)));
  ASSERT_OK(listen(listener, 5));
  char address[128];
  socklen_t size = sizeof(address);
  ASSERT_OK(getsockname(listener, reinterpret_cast<sockaddr*>(address), &size));
  Install(SIGIO);
  MakeAsync(listener, SIGIO);
  int client = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_OK(connect(client, reinterpret_cast<sockaddr*>(address), size));
  EXPECT_EQ(caught, 1);
}

TEST(NobodyIsToldWithoutAnOwner) {
  Install(SIGIO);
  Pipe pipe;
  ASSERT_OK(fcntl(pipe.fd[0], F_SETFL, O_ASYNC));
  Put(pipe.fd[1]);
  EXPECT_EQ(caught, 0);
  ASSERT_OK(fcntl(pipe.fd[0], F_SETOWN, getpid()));
  Put(pipe.fd[1]);
  EXPECT_EQ(caught, 1);
  ASSERT_OK(fcntl(pipe.fd[0], F_SETOWN, 0));
  Put(pipe.fd[1]);
  EXPECT_EQ(caught, 1);
}

TEST(FlagIsKeptOnlyByFilesThatSignal) {
  Pipe pipe;
  ASSERT_OK(fcntl(pipe.fd[0], F_SETFL, O_ASYNC));
  EXPECT_EQ(fcntl(pipe.fd[0], F_GETFL) & O_ASYNC, O_ASYNC);
  int event = ASSERT_OK(eventfd(0, 0));
  ASSERT_OK(fcntl(event, F_SETFL, O_ASYNC));
  EXPECT_EQ(fcntl(event, F_GETFL) & O_ASYNC, 0);
  int on = 1;
  EXPECT_ERRNO(ioctl(event, FIOASYNC, &on), ENOTTY);
  std::string directory = MakeDirectory();
  int file = ASSERT_OK(open((directory + "/f").c_str(), O_CREAT | O_RDWR, 0600));
  ASSERT_OK(fcntl(file, F_SETFL, O_ASYNC));
  EXPECT_EQ(fcntl(file, F_GETFL) & O_ASYNC, 0);
  EXPECT_ERRNO(ioctl(file, FIOASYNC, &on), ENOTTY);
  unlink((directory + "/f").c_str());
  rmdir(directory.c_str());
}

TEST(FioasyncAndTheOwnerRequestsOfSockets) {
  Install(SIGIO);
  int fd[2];
  ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
  int owner = getpid();
  ASSERT_OK(ioctl(fd[0], FIOSETOWN, &owner));
  EXPECT_EQ(fcntl(fd[0], F_GETOWN), getpid());
  owner = 0;
  ASSERT_OK(ioctl(fd[0], SIOCGPGRP, &owner));
  EXPECT_EQ(owner, getpid());
  int on = 1;
  ASSERT_OK(ioctl(fd[0], FIOASYNC, &on));
  Put(fd[1]);
  EXPECT_EQ(caught, 1);
  on = 0;
  ASSERT_OK(ioctl(fd[0], FIOASYNC, &on));
  Put(fd[1]);
  EXPECT_EQ(caught, 1);
}

TEST(OwnersThatDoNotExist) {
  Pipe pipe;
  pid_t gone = Fork([] {});
  EXPECT_EQ(WaitFor(gone), 0);
  EXPECT_ERRNO(fcntl(pipe.fd[0], F_SETOWN, gone), ESRCH);
  EXPECT_ERRNO(fcntl(pipe.fd[0], F_SETOWN, -gone), ESRCH);
  struct f_owner_ex owner = {F_OWNER_TID, gone};
  EXPECT_ERRNO(fcntl(pipe.fd[0], F_SETOWN_EX, &owner), ESRCH);
  owner = {static_cast<__pid_type>(77), getpid()};
  EXPECT_ERRNO(fcntl(pipe.fd[0], F_SETOWN_EX, &owner), EINVAL);
  EXPECT_ERRNO(fcntl(pipe.fd[0], F_SETSIG, 65), EINVAL);
  EXPECT_ERRNO(fcntl(pipe.fd[0], F_SETSIG, -1), EINVAL);
}

TEST(OwnerIsToldBack) {
  Pipe pipe;
  struct f_owner_ex owner = {F_OWNER_TID, 77};
  ASSERT_OK(fcntl(pipe.fd[0], F_GETOWN_EX, &owner));
  EXPECT_EQ(owner.pid, 0);
  owner = {F_OWNER_TID, gettid()};
  ASSERT_OK(fcntl(pipe.fd[0], F_SETOWN_EX, &owner));
  owner = {};
  ASSERT_OK(fcntl(pipe.fd[0], F_GETOWN_EX, &owner));
  EXPECT_EQ(owner.type, F_OWNER_TID);
  EXPECT_EQ(owner.pid, gettid());
  ASSERT_OK(fcntl(pipe.fd[0], F_SETOWN, -getpgrp()));
  ASSERT_OK(fcntl(pipe.fd[0], F_GETOWN_EX, &owner));
  EXPECT_EQ(owner.type, F_OWNER_PGRP);
  EXPECT_EQ(owner.pid, getpgrp());
  EXPECT_EQ(fcntl(pipe.fd[0], F_GETOWN), -getpgrp());
}

TEST(ProcessGroupIsTold) {
  Install(SIGIO);
  ASSERT_OK(setpgid(0, 0));
  Pipe pipe, ready;
  pid_t child = Fork([&] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    Put(ready.fd[1]);
    siginfo_t info;
    timespec limit = {20, 0};
    EXPECT_EQ(sigtimedwait(&set, &info, &limit), SIGIO);
  });
  Take(ready.fd[0]);
  ASSERT_OK(fcntl(pipe.fd[0], F_SETOWN, -getpgrp()));
  ASSERT_OK(fcntl(pipe.fd[0], F_SETFL, O_ASYNC));
  Put(pipe.fd[1]);
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(OneThreadIsTold) {
  Install(SIGRTMIN + 1);
  Pipe pipe;
  struct Shared {
    int fd;
    std::atomic<int> ready{0};
    std::atomic<bool> done{false};
  } shared{pipe.fd[0]};
  pthread_t thread;
  auto body = [](void* argument) -> void* {
    auto* shared = static_cast<Shared*>(argument);
    struct f_owner_ex owner = {F_OWNER_TID, gettid()};
    EXPECT_OK(fcntl(shared->fd, F_SETOWN_EX, &owner));
    shared->ready = 1;
    while (!shared->done) usleep(1000);
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, nullptr, body, &shared), 0);
  while (shared.ready == 0) usleep(1000);
  ASSERT_OK(fcntl(pipe.fd[0], F_SETSIG, SIGRTMIN + 1));
  ASSERT_OK(fcntl(pipe.fd[0], F_SETFL, O_ASYNC));
  Put(pipe.fd[1]);
  for (int i = 0; i < 20000 && caught == 0; ++i) usleep(1000);
  shared.done = true;
  pthread_join(thread, nullptr);
  EXPECT_EQ(caught, 1);
  EXPECT_TRUE(pthread_equal(caught_by, thread));
}

TEST(StrangersAreNotSignalled) {
  if (getuid() != 0) SKIP("needs root");
  Install(SIGIO);
  Pipe pipe;
  pid_t parent = getpid();
  // Somebody else makes us the owner: without a right to signal us, nothing comes.
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setresuid(12345, 12345, 12345));
    ASSERT_OK(fcntl(pipe.fd[0], F_SETOWN, parent));
    ASSERT_OK(fcntl(pipe.fd[0], F_SETFL, O_ASYNC));
  });
  Put(pipe.fd[1]);
  EXPECT_EQ(caught, 0);
}

TEST(WriterThatWaitsForRoomHasTold) {
  // The reader looks only when it is signalled: it has to be told of the part that fits.
  static int read_end;
  Pipe pipe;
  read_end = pipe.fd[0];
  ASSERT_OK(fcntl(pipe.fd[0], F_SETFL, O_NONBLOCK));
  struct sigaction action = {};
  action.sa_handler = [](int) {
    static char bytes[65536];
    while (read(read_end, bytes, sizeof(bytes)) > 0) {
    }
    caught = caught + 1;
  };
  ASSERT_OK(sigaction(SIGIO, &action, nullptr));
  Pipe ready;
  pid_t reader = Fork([&] {
    close(pipe.fd[1]);
    ASSERT_OK(fcntl(pipe.fd[0], F_SETOWN, getpid()));
    ASSERT_OK(fcntl(pipe.fd[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    Put(ready.fd[1]);
    for (;;) pause();
  });
  Take(ready.fd[0]);
  static char bytes[300000];
  EXPECT_EQ(write(pipe.fd[1], bytes, sizeof(bytes)), sizeof(bytes));
  kill(reader, SIGKILL);
  WaitFor(reader);
}

TEST(InotifySignals) {
  Install(SIGIO);
  std::string directory = MakeDirectory();
  int fd = ASSERT_OK(inotify_init1(IN_NONBLOCK));
  ASSERT_OK(inotify_add_watch(fd, directory.c_str(), IN_CREATE));
  MakeAsync(fd, SIGIO);
  MakeFile(directory + "/f");
  EXPECT_EQ(caught, 1);
  unlink((directory + "/f").c_str());
  rmdir(directory.c_str());
}

TEST(DirectoryNotification) {
  Install(SIGRTMIN + 1);
  std::string directory = MakeDirectory();
  int fd = ASSERT_OK(open(directory.c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_OK(fcntl(fd, F_SETSIG, SIGRTMIN + 1));
  ASSERT_OK(fcntl(fd, F_NOTIFY, DN_CREATE));
  MakeFile(directory + "/a");
  ASSERT_EQ(caught, 1);
  EXPECT_EQ(last_info.si_fd, fd);
  EXPECT_EQ(last_info.si_code, POLL_MSG);
  MakeFile(directory + "/b");
  EXPECT_EQ(caught, 1);  // once only
  ASSERT_OK(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
  ASSERT_OK(fcntl(fd, F_NOTIFY, DN_DELETE));
  MakeFile(directory + "/c");
  MakeFile(directory + "/d");
  EXPECT_EQ(caught, 3);
  unlink((directory + "/a").c_str());
  EXPECT_EQ(caught, 4);
  ASSERT_OK(chmod((directory + "/b").c_str(), 0644));
  EXPECT_EQ(caught, 4);                          // not asked for
  ASSERT_OK(fcntl(fd, F_NOTIFY, DN_MULTISHOT));  // none any more
  unlink((directory + "/b").c_str());
  unlink((directory + "/c").c_str());
  unlink((directory + "/d").c_str());
  EXPECT_EQ(caught, 4);
  rmdir(directory.c_str());
}

TEST(DirectoryNotificationIsForDirectories) {
  Pipe pipe;
  EXPECT_ERRNO(fcntl(pipe.fd[0], F_NOTIFY, DN_CREATE), ENOTDIR);
  EXPECT_OK(fcntl(pipe.fd[0], F_NOTIFY, 0));
  EXPECT_ERRNO(fcntl(-1, F_NOTIFY, DN_CREATE), EBADF);
}
