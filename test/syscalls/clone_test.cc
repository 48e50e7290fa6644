// clone(2), vfork(2), threads.
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
