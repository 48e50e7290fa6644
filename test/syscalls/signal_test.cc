// Signals: delivery, masks, stacks, restarts, faults.
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#include "test/syscalls/waiting_child.h"

static volatile sig_atomic_t caught;
static siginfo_t last_info;

static void Catch(int, siginfo_t* info, void*) {
  caught = caught + 1;
  last_info = *info;
}

static void Install(int signal, int flags, void (*handler)(int, siginfo_t*, void*) = Catch) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigaction(signal, &action, nullptr);
}

TEST(HandlerGetsSiginfo) {
  caught = 0;
  Install(SIGUSR1, 0);
  ASSERT_OK(kill(getpid(), SIGUSR1));
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(last_info.si_code, SI_USER);
  EXPECT_EQ(last_info.si_pid, getpid());
  union sigval value;
  value.sival_int = 77;
  ASSERT_OK(sigqueue(getpid(), SIGUSR1, value));
  EXPECT_EQ(caught, 2);
  EXPECT_EQ(last_info.si_code, SI_QUEUE);
  EXPECT_EQ(last_info.si_value.sival_int, 77);
}

TEST(BlockedSignalsWaitAndRealTimeOnesQueue) {
  caught = 0;
  Install(SIGUSR1, 0);
  Install(SIGRTMIN, 0);
  sigset_t set, pending;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN);
  ASSERT_OK(sigprocmask(SIG_BLOCK, &set, nullptr));
  for (int i = 0; i < 3; ++i) {
    raise(SIGUSR1);
    raise(SIGRTMIN);
  }
  EXPECT_EQ(caught, 0);
  ASSERT_OK(sigpending(&pending));
  EXPECT_TRUE(sigismember(&pending, SIGUSR1) == 1);
  ASSERT_OK(sigprocmask(SIG_UNBLOCK, &set, nullptr));
  EXPECT_EQ(caught, 4);
}

TEST(SigtimedwaitTakesAndTimesOut) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  ASSERT_OK(sigprocmask(SIG_BLOCK, &set, nullptr));
  timespec zero = {};
  siginfo_t info;
  EXPECT_ERRNO(sigtimedwait(&set, &info, &zero), EAGAIN);
  raise(SIGUSR2);
  EXPECT_EQ(sigtimedwait(&set, &info, &zero), SIGUSR2);
  pid_t self = getpid();
  pid_t child = Fork([&] { kill(self, SIGUSR2); });
  EXPECT_EQ(sigwaitinfo(&set, &info), SIGUSR2);
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(AlternateStackAndNodefer) {
  static char* low;
  static size_t size = 65536;
  low = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  stack_t stack = {};
  stack.ss_sp = low;
  stack.ss_size = size;
  ASSERT_OK(sigaltstack(&stack, nullptr));
  static volatile bool on_stack;
  Install(SIGUSR1, SA_ONSTACK, [](int, siginfo_t*, void*) {
    char here;
    on_stack = &here > low && &here < low + size;
    stack_t now;
    sigaltstack(nullptr, &now);
    on_stack = on_stack && now.ss_flags == SS_ONSTACK;
  });
  raise(SIGUSR1);
  EXPECT_TRUE(on_stack);
  stack.ss_size = 100;
  EXPECT_ERRNO(sigaltstack(&stack, nullptr), ENOMEM);
  stack.ss_flags = 77;
  EXPECT_ERRNO(sigaltstack(&stack, nullptr), EINVAL);
}

static void DivideByZero() {
  volatile int zero = 0;
  volatile int one = 1;
  one = one / zero;
}

TEST(FaultsSayWhereAndWhy) {
  static char* page;
  page = static_cast<char*>(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  caught = 0;
  Install(SIGSEGV, 0, [](int, siginfo_t* info, void* context) {
    last_info = *info;
    caught = caught + 1;
    auto* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    if (registers[REG_TRAPNO] == 14 && (registers[REG_ERR] & 2) != 0) caught = caught + 10;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
  });
  *static_cast<volatile char*>(page + 5) = 1;
  EXPECT_EQ(caught, 11);
  EXPECT_EQ(last_info.si_addr, page + 5);
  EXPECT_EQ(last_info.si_code, SEGV_ACCERR);
  signal(SIGSEGV, SIG_DFL);
  EXPECT_KILLED([] { *static_cast<volatile char*>(nullptr) = 1; }, SIGSEGV);
  EXPECT_KILLED([] { asm volatile("ud2"); }, SIGILL);
  EXPECT_KILLED(DivideByZero, SIGFPE);
}

TEST(FloatingPointSurvivesAHandler) {
  Install(SIGUSR1, 0, [](int, siginfo_t*, void*) { asm volatile("pxor %%xmm5, %%xmm5" : : : "xmm5"); });
  double in = 3.25, out = 0;
  long pid = getpid(), result;
  asm volatile(
      "movsd %[in], %%xmm5\n\t"
      "syscall\n\t"
      "movsd %%xmm5, %[out]"
      : [out] "=m"(out), "=a"(result)
      : [in] "m"(in), "a"(SYS_kill), "D"(pid), "S"(static_cast<long>(SIGUSR1))
      : "rcx", "r11", "xmm5", "memory");
  EXPECT_EQ(result, 0);
  EXPECT_EQ(out, 3.25);
}

TEST(ReadIsRestartedOnlyWithSaRestart) {
  for (int flags : {0, SA_RESTART}) {
    int pipe_fds[2];
    ASSERT_OK(pipe(pipe_fds));
    caught = 0;
    Install(SIGUSR1, flags);
    pid_t self = getpid();
    pid_t child = Fork([&] {
      WaitUntilAsleep(self);
      kill(self, SIGUSR1);
      if (flags != 0) {
        usleep(50000);
        (void)!write(pipe_fds[1], "x", 1);
      }
    });
    char c;
    if (flags == 0) {
      EXPECT_ERRNO(read(pipe_fds[0], &c, 1), EINTR);
    } else {
      EXPECT_EQ(read(pipe_fds[0], &c, 1), 1);
    }
    EXPECT_EQ(caught, 1);
    EXPECT_EQ(WaitFor(child), 0);
  }
}

TEST(SigsuspendPutsTheMaskBack) {
  caught = 0;
  Install(SIGUSR1, 0);
  sigset_t set, empty, now;
  sigemptyset(&empty);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  ASSERT_OK(sigprocmask(SIG_SETMASK, &set, nullptr));
  raise(SIGUSR1);
  EXPECT_EQ(caught, 0);
  EXPECT_ERRNO(sigsuspend(&empty), EINTR);
  EXPECT_EQ(caught, 1);
  ASSERT_OK(sigprocmask(SIG_BLOCK, nullptr, &now));
  EXPECT_EQ(sigismember(&now, SIGUSR1), 1);
}

TEST(ABadFrameIsSigsegv) {
  EXPECT_KILLED(
      [] {
        asm volatile("mov $0x10, %%rsp; mov $15, %%eax; syscall" : : : "rax", "memory");
      },
      SIGSEGV);
}

TEST(ErrorsOfSending) {
  EXPECT_ERRNO(kill(getpid(), 65), EINVAL);
  EXPECT_ERRNO(kill(0x3fffffff, 0), ESRCH);
  EXPECT_ERRNO(syscall(SYS_tgkill, getpid(), 0, 0), EINVAL);
  EXPECT_OK(kill(getpid(), 0));
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  EXPECT_ERRNO(sigaction(SIGKILL, &action, nullptr), EINVAL);
  EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, nullptr, nullptr, 4), EINVAL);
}

TEST(WhatIsWrongWithATargetComesFirst) {
  EXPECT_ERRNO(kill(0x3fffffff, 65), ESRCH);
  EXPECT_ERRNO(kill(getpid(), 65), EINVAL);
  EXPECT_ERRNO(kill(getpid(), -1), EINVAL);
  EXPECT_ERRNO(kill(-0x3fffffff, 65), ESRCH);
  EXPECT_ERRNO(setpgid(-1, 0), EINVAL);
  EXPECT_ERRNO(setpgid(-1, 1), ESRCH);
}
