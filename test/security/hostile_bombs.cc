// Guests that use up whatever has a limit: each has to be refused with Linux's errno at some
// point, and the sandbox to be usable afterwards.
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#include "test/syscalls/syscall_test.h"

namespace {

// A process can be made, runs and ends: what every test leaves behind.
bool Usable() {
  pid_t child = fork();
  if (child == 0) _exit(42);
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

std::string Folder(const char* name) {
  std::string folder = std::string("/tmp/bomb-") + name;
  mkdir(folder.c_str(), 0755);
  return folder;
}

TEST(fork_bomb_ends_in_eagain) {
  constexpr int kMost = 40000;
  int fds[2];
  ASSERT_OK(pipe(fds));
  std::vector<pid_t> children;
  int error = 0;
  for (int i = 0; i < kMost; ++i) {
    pid_t child = fork();
    if (child == 0) {
      close(fds[1]);
      char byte;
      (void)!read(fds[0], &byte, 1);
      _exit(0);
    }
    if (child < 0) {
      error = errno;
      break;
    }
    children.push_back(child);
  }
  EXPECT_EQ(error, EAGAIN);
  EXPECT_GT(children.size(), 100u);
  printf("%zu processes\n", children.size());
  close(fds[1]);
  for (pid_t child : children) EXPECT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(Usable());
}

TEST(forking_tree_is_killed_as_a_group) {
  // Each child makes children, without end.
  pid_t bomb = fork();
  if (bomb > 0) setpgid(bomb, bomb);  // whoever is first
  if (bomb == 0) {
    setpgid(0, 0);
    rlimit limit = {300, 300};
    setrlimit(RLIMIT_NPROC, &limit);
    (void)!setresuid(1234, 1234, 1234);
    for (;;) {
      if (fork() < 0) sched_yield();
    }
  }
  timespec some = {0, 300'000'000};
  nanosleep(&some, nullptr);
  for (int i = 0; i < 200; ++i) {
    if (kill(-bomb, SIGKILL) != 0 && errno == ESRCH) break;
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    timespec pause = {0, 5'000'000};
    nanosleep(&pause, nullptr);
  }
  EXPECT_TRUE(Usable());
}

pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
void* Wait(void*) {
  pthread_mutex_lock(&gate);
  pthread_mutex_unlock(&gate);
  return nullptr;
}

TEST(thread_bomb_ends_in_eagain) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 16384);
  pthread_mutex_lock(&gate);
  std::vector<pthread_t> threads;
  int error = 0;
  for (int i = 0; i < 40000; ++i) {
    pthread_t thread;
    error = pthread_create(&thread, &attributes, Wait, nullptr);
    if (error != 0) break;
    threads.push_back(thread);
  }
  printf("%zu threads\n", threads.size());
  EXPECT_EQ(error, EAGAIN);
  pthread_mutex_unlock(&gate);
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  EXPECT_TRUE(Usable());
}

TEST(descriptors_run_out) {
  rlimit limit;
  ASSERT_OK(getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = limit.rlim_max = 500;
  ASSERT_OK(setrlimit(RLIMIT_NOFILE, &limit));
  int error = 0;
  for (int i = 0; i < 1000 && error == 0; ++i) {
    if (open(i % 2 ? "/etc/passwd" : "/proc/self/stat", O_RDONLY) < 0) error = errno;
  }
  EXPECT_EQ(error, EMFILE);
  int fds[2];
  EXPECT_ERRNO(pipe(fds), EMFILE);
  EXPECT_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), EMFILE);
  EXPECT_ERRNO(epoll_create1(0), EMFILE);
}

// Files of the Gofer, one after another and many at a time: more than either of us may hold.
TEST(many_host_files) {
  int opened = 0, error = 0;
  for (int i = 0; i < 200; ++i) {
    for (const char* path : {"/etc/passwd", "/etc/group", "/etc/hosts", "/bin/sh"}) {
      int fd = open(path, O_RDONLY);
      if (fd >= 0) {
        ++opened;
      } else {
        error = errno;
      }
    }
  }
  printf("%d files open, errno %d\n", opened, error);
  EXPECT_GT(opened, 90);
}

TEST(pipe_buffers) {
  // Each pipe is full, until descriptors or memory run out.
  std::string junk(65536, 'x');
  int pipes = 0;
  for (; pipes < 300; ++pipes) {
    int fds[2];
    if (pipe2(fds, O_NONBLOCK) != 0) break;
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    while (write(fds[1], junk.data(), junk.size()) > 0) {
    }
  }
  EXPECT_GT(pipes, 100);
  EXPECT_TRUE(Usable());
}

bool SendFds(int socket, const int* fds, int count) {
  char byte = 0;
  iovec iov = {&byte, 1};
  char control[CMSG_SPACE(sizeof(int) * 253)] = {};
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * count);
  memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  return sendmsg(socket, &message, MSG_DONTWAIT) == 1;
}

TEST(sockets_that_hold_each_other) {
  for (int i = 0; i < 20000; ++i) {
    int pair[2];
    ASSERT_OK(socketpair(AF_UNIX, i % 2 ? SOCK_DGRAM : SOCK_STREAM, 0, pair));
    // Each end in the other's queue, also itself.
    int both[2] = {pair[0], pair[1]};
    SendFds(pair[0], both, 2);
    SendFds(pair[1], both, 2);
    close(pair[0]);
    close(pair[1]);
  }
  EXPECT_TRUE(Usable());
}

TEST(sockets_sent_in_sockets) {
  // A chain: each socket is in the queue of the next one; then all go at once.
  int last = -1;
  int depth = 0;
  for (; depth < 50000; ++depth) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) break;
    if (last >= 0) {
      if (!SendFds(pair[0], &last, 1)) break;
      close(last);
    }
    close(pair[0]);
    last = pair[1];
  }
  printf("chain of %d sockets\n", depth);
  close(last);
  EXPECT_TRUE(Usable());
}

TEST(datagram_queue) {
  int pair[2];
  ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair));
  int sent = 0;
  while (sent < 10'000'000 && write(pair[0], "", 0) == 0) ++sent;
  EXPECT_LT(sent, 10'000'000);
  sent = 0;
  while (sent < 100'000 && SendFds(pair[1], pair, 2)) ++sent;
  EXPECT_LT(sent, 100'000);
}

TEST(mappings_up_to_the_limit) {
  int count = 0, error = 0;
  for (; count < 70000; ++count) {
    void* page = mmap(nullptr, 4096, count % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
      error = errno;
      break;
    }
  }
  EXPECT_EQ(error, ENOMEM);
  EXPECT_LT(count, 65536);
  EXPECT_GT(count, 60000);
}

TEST(epoll_cycles_and_depth) {
  int a = EXPECT_OK(epoll_create1(0)), b = EXPECT_OK(epoll_create1(0));
  epoll_event event = {};
  event.events = EPOLLIN;
  EXPECT_OK(epoll_ctl(a, EPOLL_CTL_ADD, b, &event));
  EXPECT_ERRNO(epoll_ctl(b, EPOLL_CTL_ADD, a, &event), ELOOP);
  EXPECT_ERRNO(epoll_ctl(a, EPOLL_CTL_ADD, a, &event), EINVAL);
  int error = 0, last = a;
  for (int i = 0; i < 50 && error == 0; ++i) {
    int next = epoll_create1(0);
    if (epoll_ctl(next, EPOLL_CTL_ADD, last, &event) != 0) error = errno;
    last = next;
  }
  EXPECT_TRUE(error == ELOOP || error == EINVAL);
  // Many watchers of one file, all woken by one write.
  int fd = EXPECT_OK(eventfd(0, EFD_NONBLOCK));
  for (int i = 0; i < 2000; ++i) {
    int epoll = epoll_create1(0);
    if (epoll < 0) break;
    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
  uint64_t one = 1;
  EXPECT_EQ(write(fd, &one, 8), 8);
}

TEST(inotify_floods) {
  int fd = EXPECT_OK(inotify_init1(IN_NONBLOCK));
  std::string folder = Folder("inotify");
  EXPECT_OK(inotify_add_watch(fd, folder.c_str(), IN_ALL_EVENTS));
  std::string path = folder + "/a", other = folder + "/b";
  close(open(path.c_str(), O_CREAT | O_WRONLY, 0644));
  for (int i = 0; i < 40000; ++i)
    rename(i % 2 ? other.c_str() : path.c_str(), i % 2 ? path.c_str() : other.c_str());
  // The queue has ended in an overflow instead of growing on.
  std::string buffer(1 << 20, '\0');
  bool overflow = false;
  ssize_t size;
  while ((size = read(fd, buffer.data(), buffer.size())) > 0) {
    for (ssize_t at = 0; at < size;) {
      auto* event = reinterpret_cast<inotify_event*>(buffer.data() + at);
      overflow |= (event->mask & IN_Q_OVERFLOW) != 0;
      at += static_cast<ssize_t>(sizeof(*event) + event->len);
    }
  }
  EXPECT_TRUE(overflow);
  // A user's instances end before descriptors do.
  rlimit limit;
  ASSERT_OK(getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = limit.rlim_max;
  ASSERT_OK(setrlimit(RLIMIT_NOFILE, &limit));
  int instances = 0;
  while (instances < 10000 && inotify_init() >= 0) ++instances;
  EXPECT_EQ(errno, EMFILE);
  EXPECT_LE(instances, 8192);
}

TEST(directories_deep_within_each_other) {
  std::string folder = Folder("deep");
  ASSERT_OK(chdir(folder.c_str()));
  int depth = 0;
  for (; depth < 20000; ++depth) {
    if (mkdir("d", 0755) != 0 || chdir("d") != 0) break;
  }
  printf("depth %d\n", depth);
  char buffer[8192];
  EXPECT_TRUE(getcwd(buffer, sizeof(buffer)) == nullptr || depth < 4096);
  (void)!open("/proc/self/cwd", O_RDONLY);
  ASSERT_OK(chdir("/"));
  // A rename of the top, and then nobody uses it any more.
  EXPECT_OK(rename(folder.c_str(), (folder + "-moved").c_str()));
  EXPECT_TRUE(Usable());
}

TEST(symlinks_to_symlinks) {
  std::string folder = Folder("links");
  ASSERT_OK(chdir(folder.c_str()));
  EXPECT_OK(symlink("loop", "loop"));
  EXPECT_ERRNO(open("loop", O_RDONLY), ELOOP);
  // Each names the one before twice: 2^40 steps, were they not counted.
  EXPECT_OK(symlink(".", "l0"));
  for (int i = 1; i <= 40; ++i) {
    std::string below = "l" + std::to_string(i - 1);
    EXPECT_OK(symlink((below + "/" + below).c_str(), ("l" + std::to_string(i)).c_str()));
  }
  EXPECT_ERRNO(open("l40", O_RDONLY), ELOOP);
  std::string longest(4095, 'x');
  EXPECT_OK(symlink(longest.c_str(), "long"));
  EXPECT_ERRNO(open("long", O_RDONLY), ENAMETOOLONG);
}

TEST(a_hundred_thousand_files) {
  std::string folder = Folder("many");
  ASSERT_OK(chdir(folder.c_str()));
  int made = 0;
  for (; made < 100000; ++made) {
    if (mknod(("f" + std::to_string(made)).c_str(), S_IFREG | 0644, 0) != 0) break;
  }
  EXPECT_TRUE(made == 100000 || errno == ENOSPC);
  for (int i = 0; i < made; ++i) unlink(("f" + std::to_string(i)).c_str());
  EXPECT_OK(rmdir(folder.c_str()));
}

TEST(arguments_too_long) {
  std::string huge(140000, 'a');
  char* one[] = {const_cast<char*>("x"), huge.data(), nullptr};
  EXPECT_ERRNO(execv("/proc/self/exe", one), E2BIG);
  std::string large(100000, 'a');
  std::vector<char*> many(1000, large.data());
  many.push_back(nullptr);
  EXPECT_ERRNO(execv("/proc/self/exe", many.data()), E2BIG);
  std::vector<char*> empty(10'000'000, const_cast<char*>(""));
  empty.push_back(nullptr);
  EXPECT_ERRNO(execv("/proc/self/exe", empty.data()), E2BIG);
}

TEST(mounts_on_mounts) {
  std::string folder = Folder("mounts");
  if (unshare(CLONE_NEWNS) != 0) SKIP("no mount namespaces");
  int error = 0, count = 0;
  for (; count < 20000 && error == 0; ++count) {
    if (mount("none", folder.c_str(), "tmpfs", 0, nullptr) != 0) error = errno;
  }
  printf("%d mounts, errno %d\n", count, error);
  EXPECT_EQ(error, ENOSPC);
  EXPECT_TRUE(Usable());
  ASSERT_OK(umount2(folder.c_str(), MNT_DETACH));
  for (int i = 0; i < 5000; ++i) umount2(folder.c_str(), MNT_DETACH);
  (void)!open((folder + "/x").c_str(), O_CREAT | O_WRONLY, 0600);
  // Each bind with everything beneath doubles: 2^40 mounts.
  std::string tree = Folder("tree");
  ASSERT_OK(mount("none", tree.c_str(), "tmpfs", 0, nullptr));
  error = 0;
  for (int i = 0; i < 40 && error == 0; ++i) {
    std::string below = tree + "/" + std::to_string(i);
    mkdir(below.c_str(), 0755);
    if (mount(tree.c_str(), below.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) error = errno;
  }
  EXPECT_EQ(error, ENOSPC);
}

TEST(timers_run_out) {
  rlimit limit = {20000, 20000};
  EXPECT_OK(setrlimit(RLIMIT_SIGPENDING, &limit));
  int error = 0, count = 0;
  for (; count < 300000 && error == 0; ++count) {
    sigevent event = {};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN;
    timer_t timer;
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) error = errno;
  }
  EXPECT_EQ(error, EAGAIN);
}

TEST(a_timer_that_always_fires) {
  signal(SIGALRM, [](int) {});
  itimerval tiny = {{0, 1}, {0, 1}};
  EXPECT_OK(setitimer(ITIMER_REAL, &tiny, nullptr));
  int timer = EXPECT_OK(timerfd_create(CLOCK_MONOTONIC, 0));
  itimerspec nanosecond = {{0, 1}, {0, 1}};
  EXPECT_OK(timerfd_settime(timer, 0, &nanosecond, nullptr));
  for (int i = 0; i < 20; ++i) {
    uint64_t expirations;
    (void)!read(timer, &expirations, 8);
  }
}

TEST(queued_signals_run_out) {
  rlimit limit = {2000, 2000};
  EXPECT_OK(setrlimit(RLIMIT_SIGPENDING, &limit));
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  int error = 0, count = 0;
  for (; count < 1'000'000 && error == 0; ++count) {
    if (sigqueue(getpid(), SIGRTMIN + count % 5, sigval{}) != 0) error = errno;
  }
  EXPECT_EQ(error, EAGAIN);
  timespec now = {};
  siginfo_t info;
  for (int i = 1; i < count; ++i) {
    if (sigtimedwait(&all, &info, &now) < 0) break;
  }
  EXPECT_OK(sigqueue(getpid(), SIGRTMIN, sigval{}));
}

TEST(huge_vectors) {
  std::vector<iovec> vectors(1024, iovec{&vectors, SIZE_MAX});
  int fd = EXPECT_OK(open("/tmp/bomb-vector", O_RDWR | O_CREAT, 0600));
  EXPECT_ERRNO(syscall(SYS_writev, fd, vectors.data(), 1024), EINVAL);
  EXPECT_ERRNO(syscall(SYS_writev, fd, vectors.data(), 1025), EINVAL);
  EXPECT_ERRNO(syscall(SYS_writev, fd, vectors.data(), -1), EINVAL);
  size_t large = 1 << 20;
  auto* area =
      static_cast<char*>(mmap(nullptr, large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (auto& vector : vectors) vector = {area, large};
  ssize_t written = writev(fd, vectors.data(), 1024);
  EXPECT_TRUE(written > 0 || errno == ENOSPC || errno == ENOMEM);
  EXPECT_OK(ftruncate(fd, 0));
  // Offsets at the end of what there is.
  EXPECT_ERRNO(pwrite(fd, "x", 1, INT64_MAX), EFBIG);
  EXPECT_ERRNO(pwrite(fd, "x", 1, -1), EINVAL);
  EXPECT_ERRNO(ftruncate(fd, -1), EINVAL);
  (void)!ftruncate(fd, INT64_MAX);
  (void)!fallocate(fd, 0, 0, INT64_MAX);
  (void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, INT64_MAX);
  unlink("/tmp/bomb-vector");
}

TEST(huge_writes_to_proc) {
  std::string junk(1 << 20, '9');
  for (const char* path :
       {"/proc/sys/kernel/hostname", "/proc/sys/kernel/pid_max", "/proc/sys/vm/overcommit_memory",
        "/proc/self/comm", "/proc/self/oom_score_adj", "/proc/self/uid_map", "/proc/self/setgroups",
        "/proc/self/coredump_filter", "/proc/self/clear_refs", "/proc/sys/fs/file-max", "/proc/sysrq-trigger",
        "/proc/self/attr/current", "/proc/self/loginuid", "/proc/self/timerslack_ns"}) {
    int fd = open(path, O_WRONLY);
    if (fd < 0) continue;
    (void)!write(fd, junk.data(), junk.size());
    (void)!pwrite(fd, junk.data(), 10, INT64_MAX - 5);
    syscall(SYS_write, fd, nullptr, SIZE_MAX);
    close(fd);
  }
  EXPECT_TRUE(Usable());
}

TEST(file_locks_flood) {
  int fd = EXPECT_OK(open("/tmp/bomb-locks", O_RDWR | O_CREAT, 0600));
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_len = 1;
  int count = 0;
  for (; count < 20000; ++count) {
    lock.l_start = 2 * count;
    if (fcntl(fd, F_SETLK, &lock) != 0) break;
  }
  lock.l_start = INT64_MAX;
  lock.l_len = INT64_MAX;
  (void)fcntl(fd, F_SETLK, &lock);
  close(fd);
  EXPECT_GT(count, 100);
}

TEST(futexes_and_priorities) {
  // Robust lists that go in circles.
  uint64_t area[8] = {};
  area[0] = reinterpret_cast<uint64_t>(&area[0]) | 1;
  area[2] = reinterpret_cast<uint64_t>(&area[3]);
  area[3] = reinterpret_cast<uint64_t>(&area[4]);
  area[4] = reinterpret_cast<uint64_t>(&area[3]);
  EXPECT_CHILD_OK([&] {
    syscall(SYS_set_robust_list, &area[2], 24);
    _exit(0);
  });
  EXPECT_CHILD_OK([&] {
    syscall(SYS_set_robust_list, 0xffff800000000000, 24);
    _exit(0);
  });
}

}  // namespace
