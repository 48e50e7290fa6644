// clone(2), vfork(2), threads.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "test/syscalls/syscall_test.h"

TEST(BadFlagCombinations) {
  auto clone = [](unsigned long flags) { return syscall(SYS_clone, flags, nullptr, nullptr, nullptr, 0); };
  EXPECT_ERRNO(clone(CLONE_THREAD), EINVAL);
  EXPECT_ERRNO(clone(CLONE_SIGHAND), EINVAL);
  EXPECT_ERRNO(clone(CLONE_THREAD | CLONE_SIGHAND), EINVAL);
  EXPECT_ERRNO(clone(CLONE_NEWNS | CLONE_FS), EINVAL);
  EXPECT_ERRNO(syscall(SYS_clone3, nullptr, 8), EINVAL);
  EXPECT_ERRNO(syscall(SYS_clone3, nullptr, 64), EFAULT);
}

TEST(ForkCopiesMemory) {
  volatile int value = 1;
  EXPECT_CHILD_OK([&] {
    value = 2;
    EXPECT_EQ(value, 2);
  });
  EXPECT_EQ(value, 1);
}

TEST(VforkSharesMemoryAndSuspendsTheParent) {
  static volatile int value;
  value = 0;
  pid_t child = vfork();
  if (child == 0) {
    value = 5;
    _exit(3);
  }
  EXPECT_EQ(value, 5);
  int status = WaitFor(child);
  EXPECT_EQ(WEXITSTATUS(status), 3);
}

TEST(TidsAreWrittenAndCleared) {
  struct Shared {
    int parent_tid, child_tid;
  };
  auto* shared =
      static_cast<Shared*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  shared->child_tid = -1;
  pid_t child = syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, nullptr,
                        &shared->parent_tid, &shared->child_tid, 0);
  if (child == 0) _exit(shared->child_tid == getpid() ? 0 : 1);
  EXPECT_EQ(shared->parent_tid, child);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(FpStateIsInherited) {
  unsigned expected = 0x1f80 | 0x6000, got = 0;
  asm volatile("ldmxcsr %0" : : "m"(expected));
  pid_t child = fork();
  if (child == 0) {
    asm volatile("stmxcsr %0" : "=m"(got));
    _exit((got & 0x6000) == 0x6000 ? 0 : 1);
  }
  EXPECT_EQ(WaitFor(child), 0);
}

// Made so often that the call's place in the code is one of those that systrap rewrites.
TEST(FpStateIsInheritedByEachOfManyChildren) {
  double in = 1.25, out = 0;
  for (int i = 0; i < 100; ++i) {
    in += 1;
    long child;
    asm volatile(
        "movsd %[in], %%xmm9\n\t"
        "mov %[number], %%eax\n\t"
        "syscall\n\t"
        "movsd %%xmm9, %[out]"
        : [out] "=m"(out), "=&a"(child)
        : [in] "m"(in), [number] "i"(SYS_fork)
        : "rcx", "r11", "xmm9", "memory");
    if (child == 0) _exit(out == in ? 0 : 1);
    ASSERT_OK(child);
    ASSERT_EQ(out, in);
    ASSERT_EQ(WaitFor(static_cast<pid_t>(child)), 0);
  }
}

TEST(ManyThreadsRunAndJoin) {
  static std::atomic<int> count;
  count = 0;
  pthread_t threads[8];
  for (auto& thread : threads)
    ASSERT_EQ(pthread_create(
                  &thread, nullptr,
                  [](void*) -> void* {
                    for (int i = 0; i < 1000; ++i) ++count;
                    return nullptr;
                  },
                  nullptr),
              0);
  for (auto& thread : threads) EXPECT_EQ(pthread_join(thread, nullptr), 0);
  EXPECT_EQ(count.load(), 8000);
}

TEST(ExitOfTheLeaderLeavesItsThreads) {
  EXPECT_EXIT(
      [] {
        pthread_t thread;
        pthread_create(
            &thread, nullptr,
            [](void*) -> void* {
              sched_yield();
              syscall(SYS_exit_group, 9);
              return nullptr;
            },
            nullptr);
        syscall(SYS_exit, 0);
      },
      9);
}

TEST(ExecKillsOtherThreadsAndKeepsThePid) {
  EXPECT_EXIT(
      [] {
        close(1);
        pthread_t thread;
        pthread_create(
            &thread, nullptr,
            [](void*) -> void* {
              char self[] = "/proc/self/exe";
              char list[] = "--list";
              execl(self, self, list, nullptr);
              _exit(1);
            },
            nullptr);
        for (;;) pause();
      },
      0);
}

// A signal to a group finds every process of it, also one that is being made: each member forks the next and
// waits, so that a spared one would go on for ever, and the pipe would stay open.
TEST(KillOfAGroupSparesNoneThatIsBeingForked) {
  for (int round = 0; round < 60; ++round) {
    int fds[2], ready[2];
    ASSERT_OK(pipe2(fds, O_CLOEXEC));
    ASSERT_OK(pipe2(ready, O_CLOEXEC));
    pid_t child = fork();
    if (child == 0) {
      setpgid(0, 0);
      close(fds[0]);
      (void)!write(ready[1], "x", 1);
      for (;;) {
        pid_t next = fork();
        if (next == 0) continue;
        if (next > 0) pause();
      }
    }
    close(fds[1]);
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    usleep(200 * (round % 10));
    EXPECT_OK(kill(-child, SIGKILL));
    EXPECT_EQ(WaitFor(child), SIGKILL);
    pollfd poll_fd{fds[0], POLLIN, 0};
    bool over = poll(&poll_fd, 1, 3000) == 1;
    EXPECT_TRUE(over);
    if (!over) kill(-child, SIGKILL);
    close(fds[0]);
    close(ready[0]);
    close(ready[1]);
  }
}

namespace {

struct CloneArguments {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
      cgroup;
};

long Clone3(CloneArguments arguments) {
  long child = syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (child == 0) _exit(0);
  return child;
}

}  // namespace

TEST(Clone3GivesTheNumberThatIsAskedFor) {
  if (geteuid() != 0) SKIP("needs root");
  pid_t wanted = 29999;
  const auto at = reinterpret_cast<uint64_t>(&wanted);
  // In a PID namespace of its own, where nobody else has it.
  ASSERT_OK(unshare(CLONE_NEWPID));
  EXPECT_CHILD_OK([&] {
    long child = Clone3({.exit_signal = SIGCHLD, .set_tid = at, .set_tid_size = 1});
    ASSERT_EQ(child, wanted);
    EXPECT_ERRNO(Clone3({.exit_signal = SIGCHLD, .set_tid = at, .set_tid_size = 1}), EEXIST);
    EXPECT_EQ(WaitFor(static_cast<pid_t>(child)), 0);
  });
  wanted = 0;
  EXPECT_ERRNO(Clone3({.exit_signal = SIGCHLD, .set_tid = at, .set_tid_size = 1}), EINVAL);
  EXPECT_ERRNO(Clone3({.exit_signal = SIGCHLD, .set_tid = at}), EINVAL);
  EXPECT_ERRNO(Clone3({.exit_signal = SIGCHLD, .set_tid_size = 1}), EINVAL);
  EXPECT_ERRNO(Clone3({.exit_signal = SIGCHLD, .set_tid = at, .set_tid_size = 33}), EINVAL);
  EXPECT_ERRNO(Clone3({.exit_signal = SIGCHLD, .set_tid = 8, .set_tid_size = 1}), EFAULT);
}

TEST(Clone3ChecksAddresses) {
  EXPECT_ERRNO(Clone3({.flags = CLONE_SETTLS, .exit_signal = SIGCHLD, .tls = uint64_t{1} << 60}), EPERM);
  EXPECT_ERRNO(Clone3({.exit_signal = SIGCHLD, .stack = uint64_t{1} << 62, .stack_size = 4096}), EINVAL);
  constexpr uint64_t kIntoCgroup = 0x200000000;
  EXPECT_ERRNO(Clone3({.flags = kIntoCgroup, .exit_signal = SIGCHLD, .cgroup = 999}), EBADF);
  EXPECT_ERRNO(Clone3({.flags = kIntoCgroup, .exit_signal = SIGCHLD, .cgroup = uint64_t{1} << 40}), EINVAL);
}
