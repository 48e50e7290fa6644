// ptrace(2): stops, registers, memory, events, and what wait(2) tells of them.
#include <elf.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reg.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <fstream>

#include "test/syscalls/syscall_test.h"

namespace {

// A traced child that stops itself before `body`; it is in that stop.
template <typename Body>
pid_t Trace(Body body) {
  pid_t child = Fork([&] {
    ASSERT_OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
    raise(SIGSTOP);
    body();
  });
  int status = WaitFor(child);
  ASSERT_TRUE(WIFSTOPPED(status));
  ASSERT_EQ(WSTOPSIG(status), SIGSTOP);
  return child;
}
// An untraced child that says on a pipe that it runs `body`.
template <typename Body>
pid_t Run(Body body) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  pid_t child = Fork([&] {
    close(fds[0]);
    (void)!write(fds[1], "x", 1);
    close(fds[1]);
    body();
  });
  close(fds[1]);
  char c;
  ASSERT_EQ(read(fds[0], &c, 1), 1);
  close(fds[0]);
  return child;
}

int Wait(pid_t pid, int options = __WALL) {
  int status = -1;
  pid_t got;
  do got = waitpid(pid, &status, options);
  while (got == -1 && errno == EINTR);
  ASSERT_EQ(got, pid);
  return status;
}
int Stopped(int code) { return code << 8 | 0x7f; }
int EventStatus(int event, int signal = SIGTRAP) { return event << 16 | signal << 8 | 0x7f; }
constexpr int kSyscallStop = SIGTRAP | 0x80;

void Go(int request, pid_t pid, int signal = 0) {
  ASSERT_OK(ptrace(static_cast<__ptrace_request>(request), pid, 0, signal));
}
int GoAndWait(int request, pid_t pid, int signal = 0) {
  Go(request, pid, signal);
  return Wait(pid);
}
user_regs_struct Registers(pid_t pid) {
  user_regs_struct registers = {};
  ASSERT_OK(ptrace(PTRACE_GETREGS, pid, 0, &registers));
  return registers;
}
siginfo_t Info(pid_t pid) {
  siginfo_t info = {};
  ASSERT_OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
  return info;
}
unsigned long Message(pid_t pid) {
  unsigned long message = 0;
  ASSERT_OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
  return message;
}
void SetOptions(pid_t pid, long options) { ASSERT_OK(ptrace(PTRACE_SETOPTIONS, pid, 0, options)); }
std::string StatusLine(pid_t pid, const std::string& key) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key + ":\t", 0) == 0) return line.substr(key.size() + 2);
  }
  return "none";
}
void End(pid_t pid) {
  kill(pid, SIGKILL);
  int status = -1;
  do {
    if (waitpid(pid, &status, __WALL) != pid) break;
  } while (WIFSTOPPED(status));
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

}  // namespace

TEST(StopsAreToldAndResumed) {
  pid_t child = Trace([] {
    raise(SIGUSR1);
    _exit(3);
  });
  EXPECT_EQ(Info(child).si_signo, SIGSTOP);
  EXPECT_EQ(StatusLine(child, "TracerPid"), std::to_string(getpid()));
  EXPECT_EQ(StatusLine(child, "State"), "t (tracing stop)");
  EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0);  // told once
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGUSR1));
  EXPECT_ERRNO(ptrace(PTRACE_CONT, child, 0, 65), EIO);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 3 << 8);  // the signal was not delivered
}

TEST(SignalsAreDeliveredAsTheTracerSays) {
  pid_t child = Trace([] {
    raise(SIGUSR1);
    _exit(3);
  });
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGUSR1));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child, SIGUSR2), SIGUSR2);
  // Another siginfo, which the handler sees.
  static siginfo_t seen;
  child = Trace([] {
    struct sigaction action = {};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = [](int, siginfo_t* info, void*) { seen = *info; };
    sigaction(SIGUSR1, &action, nullptr);
    raise(SIGUSR1);
    EXPECT_EQ(seen.si_value.sival_int, 4711);
    // Ignored signals are shown, too; blocked ones later.
    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR2);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    raise(SIGHUP);
    raise(SIGWINCH);
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
  });
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGUSR1));
  siginfo_t info = Info(child);
  info.si_value.sival_int = 4711;
  ASSERT_OK(ptrace(PTRACE_SETSIGINFO, child, 0, &info));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child, SIGUSR1), Stopped(SIGUSR2));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child, SIGUSR2), Stopped(SIGWINCH));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGHUP));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 0);
}

TEST(RequestsNeedAStoppedTracee) {
  pid_t child = Run([] {
    for (;;) pause();
  });
  EXPECT_ERRNO(ptrace(PTRACE_CONT, child, 0, 0), ESRCH);
  EXPECT_ERRNO(ptrace(PTRACE_PEEKDATA, child, 0, 0), ESRCH);
  EXPECT_ERRNO(ptrace(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
  EXPECT_ERRNO(ptrace(PTRACE_SEIZE, child, 8, 0), EIO);
  EXPECT_ERRNO(ptrace(PTRACE_SEIZE, child, 0, 0x1000), EIO);
  ASSERT_OK(ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD));
  EXPECT_ERRNO(ptrace(PTRACE_ATTACH, child, 0, 0), EPERM);
  EXPECT_ERRNO(ptrace(PTRACE_CONT, child, 0, 0), ESRCH);
  user_regs_struct registers;
  EXPECT_ERRNO(ptrace(PTRACE_GETREGS, child, 0, &registers), ESRCH);
  EXPECT_ERRNO(ptrace(PTRACE_CONT, 99999, 0, 0), ESRCH);
  ASSERT_OK(ptrace(PTRACE_INTERRUPT, child, 0, 0));
  EXPECT_EQ(Wait(child), EventStatus(PTRACE_EVENT_STOP));
  EXPECT_ERRNO(ptrace(static_cast<__ptrace_request>(0x4711), child, 0, 0), EIO);
  EXPECT_ERRNO(ptrace(PTRACE_SETOPTIONS, child, 0, 1 << 30), EINVAL);
  EXPECT_CHILD_OK([&] { EXPECT_ERRNO(ptrace(PTRACE_CONT, child, 0, 0), ESRCH); });
  End(child);
}

TEST(SystemCallStops) {
  pid_t child = Trace([] {
    syscall(SYS_getsid, 0x7fff1234, 2L, 3L, 4L, 5L, 6L);
    // Results that a platform may know are seen as well.
    for (int i = 0; i < 3; ++i) syscall(SYS_getpid);
    _exit(9);
  });
  SetOptions(child, PTRACE_O_TRACESYSGOOD);
  auto info = [&] {
    __ptrace_syscall_info result = {};
    EXPECT_GT(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(result), &result), 0);
    return result;
  };
  EXPECT_EQ(info().op, PTRACE_SYSCALL_INFO_NONE);
  // Until getsid: the way out of raise() has calls of its own.
  do ASSERT_EQ(GoAndWait(PTRACE_SYSCALL, child), Stopped(kSyscallStop));
  while (Registers(child).orig_rax != SYS_getsid);
  user_regs_struct registers = Registers(child);
  EXPECT_EQ(registers.rax, -ENOSYS);
  EXPECT_EQ(registers.rdi, 0x7fff1234);
  EXPECT_EQ(registers.r9, 6);
  EXPECT_EQ(Info(child).si_code, kSyscallStop);
  __ptrace_syscall_info call = info();
  EXPECT_EQ(call.op, PTRACE_SYSCALL_INFO_ENTRY);
  EXPECT_EQ(call.entry.nr, SYS_getsid);
  EXPECT_EQ(call.entry.args[0], 0x7fff1234);
  EXPECT_EQ(call.entry.args[5], 6);
  EXPECT_EQ(call.instruction_pointer, registers.rip);
  EXPECT_EQ(call.stack_pointer, registers.rsp);
  EXPECT_EQ(GoAndWait(PTRACE_SYSCALL, child), Stopped(kSyscallStop));
  call = info();
  EXPECT_EQ(call.op, PTRACE_SYSCALL_INFO_EXIT);
  EXPECT_EQ(call.exit.rval, -ESRCH);
  EXPECT_EQ(call.exit.is_error, 1);
  EXPECT_EQ(Registers(child).rax, -ESRCH);
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(GoAndWait(PTRACE_SYSCALL, child), Stopped(kSyscallStop));
    EXPECT_EQ(info().entry.nr, SYS_getpid);
    ASSERT_EQ(GoAndWait(PTRACE_SYSCALL, child), Stopped(kSyscallStop));
    EXPECT_EQ(info().exit.rval, child);
    EXPECT_EQ(info().exit.is_error, 0);
  }
  ASSERT_EQ(GoAndWait(PTRACE_SYSCALL, child), Stopped(kSyscallStop));
  EXPECT_EQ(info().entry.nr, SYS_exit_group);
  EXPECT_EQ(GoAndWait(PTRACE_SYSCALL, child), 9 << 8);
}

TEST(CallsCanBeChangedAndSkipped) {
  pid_t child = Trace([] {
    EXPECT_EQ(syscall(SYS_getsid, 1), 4711);       // its result is another
    EXPECT_EQ(syscall(SYS_getsid, 2), getppid());  // it is another call
    EXPECT_EQ(syscall(SYS_getsid, 3), 1234);       // there is none
  });
  auto next = [&] {
    do ASSERT_EQ(GoAndWait(PTRACE_SYSCALL, child), Stopped(SIGTRAP));
    while (Registers(child).orig_rax != SYS_getsid || static_cast<long>(Registers(child).rax) != -ENOSYS);
  };
  next();
  ASSERT_EQ(GoAndWait(PTRACE_SYSCALL, child), Stopped(SIGTRAP));
  ASSERT_OK(ptrace(PTRACE_POKEUSER, child, RAX * 8, 4711));
  next();
  ASSERT_OK(ptrace(PTRACE_POKEUSER, child, ORIG_RAX * 8, SYS_getppid));
  ASSERT_EQ(GoAndWait(PTRACE_SYSCALL, child), Stopped(SIGTRAP));
  next();
  ASSERT_OK(ptrace(PTRACE_POKEUSER, child, ORIG_RAX * 8, -1));
  ASSERT_OK(ptrace(PTRACE_POKEUSER, child, RAX * 8, 1234));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 0);
}

extern "C" const char step_start[], step_end[];
__attribute__((noinline)) static long Steps() {
  long result;
  asm volatile(
      ".globl step_start, step_end\n"
      "step_start: mov $39, %%eax\n"  // getpid
      "syscall\n"
      "inc %%rax\n"
      "nop\n"
      "step_end: nop\n"
      : "=a"(result)
      :
      : "rcx", "r11", "memory");
  return result;
}

TEST(SingleSteps) {
  for (bool hot : {false, true}) {
    pid_t child = Trace([hot] {
      // A call that is made often is what a platform may rewrite.
      if (hot)
        for (int i = 0; i < 300; ++i) Steps();
      raise(SIGUSR1);
      EXPECT_EQ(Steps(), getpid() + 1);
    });
    EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGUSR1));
    const auto start = reinterpret_cast<uint64_t>(step_start);
    // To the start by a breakpoint.
    long word = ptrace(PTRACE_PEEKTEXT, child, start, 0);
    EXPECT_EQ(word & 0xffffffffffffff, 0x050f00000027b8);  // as it was compiled
    ASSERT_OK(ptrace(PTRACE_POKETEXT, child, start, (word & ~0xffL) | 0xcc));
    EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGTRAP));
    EXPECT_EQ(Info(child).si_code, SI_KERNEL);
    EXPECT_EQ(Registers(child).rip, start + 1);
    ASSERT_OK(ptrace(PTRACE_POKETEXT, child, start, word));
    ASSERT_OK(ptrace(PTRACE_POKEUSER, child, RIP * 8, start));
    const uint64_t expected[] = {5, 7, 10, 11};
    for (uint64_t offset : expected) {
      ASSERT_EQ(GoAndWait(PTRACE_SINGLESTEP, child), Stopped(SIGTRAP));
      EXPECT_EQ(Registers(child).rip - start, offset);
      EXPECT_EQ(Registers(child).eflags & 0x100, 0);
    }
    EXPECT_EQ(Info(child).si_code, TRAP_TRACE);
    EXPECT_EQ(Registers(child).rax, child + 1);
    EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 0);
  }
}

TEST(SteppingIntoAHandler) {
  static std::atomic<int> handled{0};
  static void (*const handler)(int) = [](int) { handled = 1; };
  pid_t child = Trace([] {
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    EXPECT_EQ(handled, 1);
  });
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGUSR1));
  EXPECT_EQ(GoAndWait(PTRACE_SINGLESTEP, child, SIGUSR1), Stopped(SIGTRAP));
  EXPECT_EQ(Registers(child).rip, reinterpret_cast<uint64_t>(handler));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 0);
}

TEST(MemoryIsReadAndWritten) {
  static long word = 0x1122334455667788;
  static const long constant = 0x0102030405060708;
  auto* shared =
      static_cast<long*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  *shared = 5;
  pid_t child = Trace([&] {
    mprotect(shared, 4096, PROT_READ);
    raise(SIGUSR1);
    EXPECT_EQ(word, 77);
    EXPECT_EQ(*const_cast<const volatile long*>(&constant), 78);
    EXPECT_EQ(*shared, 5);
  });
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGUSR1));
  errno = 0;
  EXPECT_EQ(ptrace(PTRACE_PEEKDATA, child, &word, 0), 0x1122334455667788);
  EXPECT_OK(ptrace(PTRACE_POKEDATA, child, &word, 77));
  EXPECT_OK(ptrace(PTRACE_POKEDATA, child, &constant, 78));  // read-only, but private
  EXPECT_EQ(*const_cast<const volatile long*>(&constant), 0x0102030405060708);
  EXPECT_EQ(ptrace(PTRACE_PEEKDATA, child, shared, 0), 5);
  EXPECT_ERRNO(ptrace(PTRACE_POKEDATA, child, shared, 6), EIO);  // others would see it
  EXPECT_ERRNO(ptrace(PTRACE_PEEKDATA, child, 8, 0), EIO);
  EXPECT_ERRNO(ptrace(PTRACE_POKEDATA, child, 8, 0), EIO);
  int mem = open(("/proc/" + std::to_string(child) + "/mem").c_str(), O_RDWR);
  ASSERT_GE(mem, 0);
  long value = 0;
  EXPECT_EQ(pread(mem, &value, sizeof(value), reinterpret_cast<off_t>(&word)), sizeof(value));
  EXPECT_EQ(value, 77);
  EXPECT_ERRNO(pwrite(mem, &value, sizeof(value), reinterpret_cast<off_t>(shared)), EIO);
  iovec local = {&value, sizeof(value)}, remote = {const_cast<long*>(&constant), sizeof(value)};
  EXPECT_EQ(process_vm_readv(child, &local, 1, &remote, 1, 0), sizeof(value));
  EXPECT_EQ(value, 78);
  EXPECT_ERRNO(process_vm_writev(child, &local, 1, &remote, 1, 0), EFAULT);
  EXPECT_EQ(*shared, 5);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 0);
}

TEST(RegisterSets) {
  pid_t child = Trace([] {
    double value = 0;
    asm volatile(
        "movq %1, %%xmm7\n"
        "mov $62, %%eax\n"  // kill
        "syscall\n"
        "movq %%xmm7, %0\n"
        : "=x"(value)
        : "r"(0x4048f5c28f5c28f6), "D"(static_cast<long>(getpid())), "S"(static_cast<long>(SIGUSR1))
        : "rax", "rcx", "r11", "xmm7", "memory");
    EXPECT_EQ(value, 2.5);
  });
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGUSR1));
  user_fpregs_struct fp = {};
  ASSERT_OK(ptrace(PTRACE_GETFPREGS, child, 0, &fp));
  uint64_t xmm7;
  memcpy(&xmm7, reinterpret_cast<char*>(fp.xmm_space) + 7 * 16, 8);
  EXPECT_EQ(xmm7, 0x4048f5c28f5c28f6);
  double changed = 2.5;
  memcpy(reinterpret_cast<char*>(fp.xmm_space) + 7 * 16, &changed, 8);
  ASSERT_OK(ptrace(PTRACE_SETFPREGS, child, 0, &fp));

  alignas(64) static char area[16384];
  iovec vec = {area, sizeof(area)};
  ASSERT_OK(ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &vec));
  EXPECT_GE(vec.iov_len, 576);
  EXPECT_LT(vec.iov_len, sizeof(area));
  uint64_t features;
  memcpy(&features, area + 464, 8);
  EXPECT_EQ(features & 3, 3);
  EXPECT_EQ(memcmp(area + 160 + 7 * 16, &changed, 8), 0);
  ASSERT_OK(ptrace(PTRACE_SETREGSET, child, NT_X86_XSTATE, &vec));
  vec.iov_len = 512;
  EXPECT_ERRNO(ptrace(PTRACE_SETREGSET, child, NT_X86_XSTATE, &vec), EFAULT);

  user_regs_struct registers = Registers(child), other = {};
  vec = {&other, sizeof(other)};
  ASSERT_OK(ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &vec));
  EXPECT_EQ(vec.iov_len, sizeof(other));
  EXPECT_EQ(memcmp(&registers, &other, sizeof(other)), 0);
  EXPECT_EQ(registers.cs, 0x33);
  EXPECT_EQ(registers.ss, 0x2b);
  EXPECT_NE(registers.fs_base, 0);
  vec.iov_len = 7;
  EXPECT_ERRNO(ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &vec), EINVAL);
  vec.iov_len = 8;
  EXPECT_ERRNO(ptrace(PTRACE_GETREGSET, child, 0x777, &vec), EINVAL);
  ASSERT_OK(ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &vec));
  EXPECT_EQ(vec.iov_len, 8);

  EXPECT_EQ(ptrace(PTRACE_PEEKUSER, child, RIP * 8, 0), registers.rip);
  EXPECT_ERRNO(ptrace(PTRACE_PEEKUSER, child, 3, 0), EIO);
  EXPECT_ERRNO(ptrace(PTRACE_PEEKUSER, child, 4096, 0), EIO);
  EXPECT_EQ(ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, u_debugreg[7]), 0), 0);
  EXPECT_ERRNO(ptrace(PTRACE_POKEUSER, child, CS * 8, 0), EIO);
  EXPECT_ERRNO(ptrace(PTRACE_GETREGS, child, 0, 8), EFAULT);
  ASSERT_OK(ptrace(PTRACE_SETREGS, child, 0, &registers));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 0);
}

TEST(ForkEvents) {
  struct Case {
    long option;
    int event;
    int flags;
  };
  for (bool seize : {false, true}) {
    for (const Case& c : std::vector<Case>{{PTRACE_O_TRACEFORK, PTRACE_EVENT_FORK, SIGCHLD},
                                           {PTRACE_O_TRACEVFORK, PTRACE_EVENT_VFORK, SIGCHLD | CLONE_VFORK},
                                           {PTRACE_O_TRACECLONE, PTRACE_EVENT_CLONE, SIGUSR1}}) {
      auto body = [&] {
        signal(SIGUSR1, SIG_IGN);
        long made = syscall(SYS_clone, c.flags, 0, 0, 0, 0);
        if (made == 0) _exit(4);
        int status = 0;
        waitpid(static_cast<pid_t>(made), &status, __WALL);
        _exit(WEXITSTATUS(status) + 1);
      };
      long options = c.option | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACESYSGOOD;
      pid_t child;
      if (seize) {
        child = Run([&] {
          raise(SIGSTOP);
          body();
        });
        EXPECT_EQ(Wait(child, WUNTRACED), Stopped(SIGSTOP));
        ASSERT_OK(ptrace(PTRACE_SEIZE, child, 0, options));
        EXPECT_EQ(Wait(child), EventStatus(PTRACE_EVENT_STOP, SIGSTOP));
        kill(child, SIGCONT);
        EXPECT_EQ(GoAndWait(PTRACE_CONT, child), EventStatus(PTRACE_EVENT_STOP));
        EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGCONT));
      } else {
        child = Trace(body);
        SetOptions(child, options);
      }
      EXPECT_EQ(GoAndWait(PTRACE_CONT, child), EventStatus(c.event));
      auto grandchild = static_cast<pid_t>(Message(child));
      EXPECT_EQ(Wait(grandchild), seize ? EventStatus(PTRACE_EVENT_STOP) : Stopped(SIGSTOP));
      EXPECT_EQ(StatusLine(grandchild, "TracerPid"), std::to_string(getpid()));
      Go(PTRACE_CONT, child);
      Go(PTRACE_CONT, grandchild);
      EXPECT_EQ(Wait(grandchild), 4 << 8);
      int status = Wait(child);
      if (c.event == PTRACE_EVENT_VFORK) {
        EXPECT_EQ(status, EventStatus(PTRACE_EVENT_VFORK_DONE));
        EXPECT_EQ(Message(child), grandchild);
        status = GoAndWait(PTRACE_CONT, child);
      }
      while (WIFSTOPPED(status)) {
        EXPECT_TRUE(WSTOPSIG(status) == SIGCHLD || WSTOPSIG(status) == SIGUSR1);
        status = GoAndWait(PTRACE_CONT, child);
      }
      EXPECT_EQ(status, 5 << 8);
    }
  }
}

TEST(ThreadsAreTraced) {
  pid_t child = Trace([] {
    pthread_t thread;
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          syscall(SYS_exit, 3);
          return nullptr;
        },
        nullptr);
    pthread_join(thread, nullptr);
    raise(SIGUSR1);
    _exit(6);
  });
  SetOptions(child, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), EventStatus(PTRACE_EVENT_CLONE));
  auto thread = static_cast<pid_t>(Message(child));
  EXPECT_EQ(Wait(thread), Stopped(SIGSTOP));
  Go(PTRACE_CONT, child);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, thread), EventStatus(PTRACE_EVENT_EXIT));
  EXPECT_EQ(Message(thread), 3 << 8);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, thread), 3 << 8);
  EXPECT_EQ(Wait(child), Stopped(SIGUSR1));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), EventStatus(PTRACE_EVENT_EXIT));
  EXPECT_EQ(Message(child), 6 << 8);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 6 << 8);
}

TEST(ExecIsTold) {
  auto body = [] {
    execl("/bin/true", "true", nullptr);
    FAIL("exec");
  };
  pid_t child = Trace(body);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGTRAP));  // as if it was sent
  EXPECT_EQ(Info(child).si_code, SI_USER);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 0);
  child = Trace(body);
  SetOptions(child, PTRACE_O_TRACEEXEC);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), EventStatus(PTRACE_EVENT_EXEC));
  EXPECT_EQ(Message(child), child);
  EXPECT_EQ(Registers(child).orig_rax, SYS_execve);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 0);
}

TEST(AttachAndDetach) {
  static std::atomic<int>* counter;
  counter = static_cast<std::atomic<int>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  pid_t child = Run([] {
    for (;;) counter->fetch_add(1);
  });
  ASSERT_OK(ptrace(PTRACE_ATTACH, child, 0, 0));
  EXPECT_EQ(Wait(child), Stopped(SIGSTOP));
  int before = *counter;
  sched_yield();
  EXPECT_EQ(before, *counter);
  EXPECT_ERRNO(ptrace(PTRACE_INTERRUPT, child, 0, 0), EIO);
  EXPECT_ERRNO(ptrace(PTRACE_LISTEN, child, 0, 0), EIO);
  EXPECT_ERRNO(ptrace(PTRACE_DETACH, child, 0, 999), EIO);
  ASSERT_OK(ptrace(PTRACE_DETACH, child, 0, 0));
  while (*counter == before) sched_yield();
  EXPECT_EQ(StatusLine(child, "TracerPid"), "0");
  // One that is stopped, and stays so afterwards.
  kill(child, SIGSTOP);
  EXPECT_EQ(Wait(child, WUNTRACED), Stopped(SIGSTOP));
  ASSERT_OK(ptrace(PTRACE_ATTACH, child, 0, 0));
  EXPECT_EQ(Wait(child), Stopped(SIGSTOP));
  ASSERT_OK(ptrace(PTRACE_DETACH, child, 0, 0));
  while (StatusLine(child, "State") != "T (stopped)") sched_yield();
  kill(child, SIGCONT);
  before = *counter;
  while (*counter == before) sched_yield();
  // With a signal.
  ASSERT_OK(ptrace(PTRACE_ATTACH, child, 0, 0));
  EXPECT_EQ(Wait(child), Stopped(SIGSTOP));
  ASSERT_OK(ptrace(PTRACE_DETACH, child, 0, SIGTERM));
  EXPECT_EQ(Wait(child), SIGTERM);
}

TEST(InterruptedCallsGoOn) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  pid_t child = Run([&] {
    char c = 0;
    EXPECT_EQ(read(fds[0], &c, 1), 1);
    EXPECT_EQ(c, 'y');
  });
  while (StatusLine(child, "State") != "S (sleeping)") sched_yield();
  ASSERT_OK(ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD));
  ASSERT_OK(ptrace(PTRACE_INTERRUPT, child, 0, 0));
  EXPECT_EQ(Wait(child), EventStatus(PTRACE_EVENT_STOP));
  user_regs_struct registers = Registers(child);
  EXPECT_EQ(registers.orig_rax, SYS_read);
  EXPECT_EQ(registers.rax, -512);  // ERESTARTSYS
  EXPECT_EQ(GoAndWait(PTRACE_SYSCALL, child), Stopped(kSyscallStop));
  EXPECT_EQ(Registers(child).orig_rax, SYS_read);
  EXPECT_EQ(Registers(child).rdi, fds[0]);
  Go(PTRACE_SYSCALL, child);
  (void)!write(fds[1], "y", 1);
  EXPECT_EQ(Wait(child), Stopped(kSyscallStop));
  EXPECT_EQ(Registers(child).rax, 1);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 0);
}

TEST(GroupStopsAndListening) {
  pid_t child = Run([] {
    for (;;) pause();
  });
  // The test's own group may be orphaned, and an orphaned one is not stopped by a terminal's signals.
  ASSERT_OK(setpgid(child, 0));
  ASSERT_OK(ptrace(PTRACE_SEIZE, child, 0, 0));
  kill(child, SIGTSTP);
  EXPECT_EQ(Wait(child), Stopped(SIGTSTP));  // the signal
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child, SIGTSTP), EventStatus(PTRACE_EVENT_STOP, SIGTSTP));
  Go(PTRACE_LISTEN, child);
  EXPECT_ERRNO(ptrace(PTRACE_CONT, child, 0, 0), ESRCH);  // not stopped, to its tracer
  kill(child, SIGCONT);
  EXPECT_EQ(Wait(child), EventStatus(PTRACE_EVENT_STOP));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGCONT));
  Go(PTRACE_CONT, child);
  End(child);
  // The old way: the stop has no siginfo, and resuming undoes it.
  child = Trace([] { _exit(2); });
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child, SIGSTOP), Stopped(SIGSTOP));
  siginfo_t info;
  EXPECT_ERRNO(ptrace(PTRACE_GETSIGINFO, child, 0, &info), EINVAL);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 2 << 8);
}

TEST(KillEndsAnyStop) {
  pid_t child = Trace([] {});
  ASSERT_OK(ptrace(PTRACE_KILL, child, 0, 0));
  EXPECT_EQ(Wait(child), SIGKILL);
  child = Trace([] {});
  End(child);
}

TEST(TracerDeath) {
  int fds[2];
  ASSERT_OK(pipe(fds));
  for (bool kill_with_it : {false, true}) {
    pid_t child = Run([&] {
      for (;;) {
        char c;
        if (read(fds[0], &c, 1) == 1) _exit(7);
      }
    });
    EXPECT_CHILD_OK([&] {
      ASSERT_OK(ptrace(PTRACE_SEIZE, child, 0, kill_with_it ? PTRACE_O_EXITKILL : 0));
      ASSERT_OK(ptrace(PTRACE_INTERRUPT, child, 0, 0));
      EXPECT_EQ(Wait(child), EventStatus(PTRACE_EVENT_STOP));
    });
    if (!kill_with_it) {
      EXPECT_EQ(StatusLine(child, "TracerPid"), "0");
      (void)!write(fds[1], "x", 1);
    }
    EXPECT_EQ(Wait(child), kill_with_it ? SIGKILL : 7 << 8);
  }
}

TEST(ZombiesAreTheTracersFirst) {
  int go[2], told[2];
  ASSERT_OK(pipe(go));
  ASSERT_OK(pipe(told));
  pid_t child = Run([&] {
    char c;
    (void)!read(go[0], &c, 1);
    _exit(3);
  });
  pid_t tracer = Fork([&] {
    ASSERT_OK(ptrace(PTRACE_SEIZE, child, 0, 0));
    (void)!write(told[1], "s", 1);
    siginfo_t info = {};
    ASSERT_OK(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT));
    EXPECT_EQ(info.si_status, 3);
    (void)!write(told[1], "z", 1);
    (void)!read(go[0], &info, 1);
    EXPECT_EQ(Wait(child), 3 << 8);
  });
  char c;
  ASSERT_EQ(read(told[0], &c, 1), 1);
  (void)!write(go[1], "x", 1);
  ASSERT_EQ(read(told[0], &c, 1), 1);
  EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0);
  (void)!write(go[1], "x", 1);
  EXPECT_EQ(Wait(child), 3 << 8);
  EXPECT_EQ(WaitFor(tracer), 0);
}

TEST(WaitingByThread) {
  static pid_t child;
  child = Trace([] {
    for (;;) pause();
  });
  Go(PTRACE_CONT, child);
  kill(child, SIGUSR1);
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        EXPECT_ERRNO(waitpid(child, nullptr, __WNOTHREAD | __WALL | WNOHANG), ECHILD);
        EXPECT_EQ(Wait(child), Stopped(SIGUSR1));
        EXPECT_ERRNO(ptrace(PTRACE_CONT, child, 0, 0), ESRCH);  // another thread is its tracer
        return nullptr;
      },
      nullptr);
  pthread_join(thread, nullptr);
  siginfo_t info = {};
  Go(PTRACE_CONT, child);
  kill(child, SIGUSR2);
  ASSERT_OK(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED));
  EXPECT_EQ(info.si_code, CLD_TRAPPED);
  EXPECT_EQ(info.si_status, SIGUSR2);
  EXPECT_EQ(info.si_pid, child);
  End(child);
}

TEST(SignalMasksAndPendingSignals) {
  pid_t child = Trace([] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    raise(SIGUSR1);
    kill(getpid(), SIGWINCH);
    _exit(1);
  });
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGWINCH));
  uint64_t mask = 0;
  EXPECT_ERRNO(ptrace(PTRACE_GETSIGMASK, child, 4, &mask), EINVAL);
  ASSERT_OK(ptrace(PTRACE_GETSIGMASK, child, 8, &mask));
  EXPECT_EQ(mask, 1 << (SIGUSR1 - 1));
  __ptrace_peeksiginfo_args arguments = {0, 0, 8};
  siginfo_t infos[8];
  EXPECT_EQ(ptrace(PTRACE_PEEKSIGINFO, child, &arguments, infos), 1);
  EXPECT_EQ(infos[0].si_signo, SIGUSR1);
  EXPECT_EQ(infos[0].si_code, SI_TKILL);
  arguments.off = 1;
  EXPECT_EQ(ptrace(PTRACE_PEEKSIGINFO, child, &arguments, infos), 0);
  arguments.flags = 8;
  EXPECT_ERRNO(ptrace(PTRACE_PEEKSIGINFO, child, &arguments, infos), EINVAL);
  mask = 0;
  ASSERT_OK(ptrace(PTRACE_SETSIGMASK, child, 8, &mask));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), Stopped(SIGUSR1));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 1 << 8);
}

TEST(SeccompEvents) {
  pid_t child = Trace([] {
    sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsid, 0, 1),
                            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 1234),
                            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    sock_fprog program = {4, filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ASSERT_OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    EXPECT_EQ(syscall(SYS_getsid, 77777), 4711);
    EXPECT_EQ(syscall(SYS_getsid, 0), getsid(0));
    _exit(4);
  });
  SetOptions(child, PTRACE_O_TRACESECCOMP);
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), EventStatus(PTRACE_EVENT_SECCOMP));
  EXPECT_EQ(Message(child), 1234);
  __ptrace_syscall_info info = {};
  EXPECT_GT(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info), 0);
  EXPECT_EQ(info.op, PTRACE_SYSCALL_INFO_SECCOMP);
  EXPECT_EQ(info.seccomp.nr, SYS_getsid);
  EXPECT_EQ(info.seccomp.args[0], 77777);
  EXPECT_EQ(info.seccomp.ret_data, 1234);
  if (geteuid() == 0) {
    sock_filter instructions[8];
    EXPECT_EQ(ptrace(PTRACE_SECCOMP_GET_FILTER, child, 0, instructions), 4);
    EXPECT_EQ(instructions[1].k, SYS_getsid);
    EXPECT_ERRNO(ptrace(PTRACE_SECCOMP_GET_FILTER, child, 1, instructions), ENOENT);
  }
  ASSERT_OK(ptrace(PTRACE_POKEUSER, child, ORIG_RAX * 8, -1));
  ASSERT_OK(ptrace(PTRACE_POKEUSER, child, RAX * 8, 4711));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), EventStatus(PTRACE_EVENT_SECCOMP));
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), EventStatus(PTRACE_EVENT_SECCOMP));  // getsid() itself
  EXPECT_EQ(GoAndWait(PTRACE_CONT, child), 4 << 8);
}

TEST(AccessIsChecked) {
  if (geteuid() != 0) SKIP("needs root");
  pid_t child = Run([] {
    for (;;) pause();
  });
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setresuid(1000, 1000, 1000));
    EXPECT_ERRNO(ptrace(PTRACE_ATTACH, child, 0, 0), EPERM);
    EXPECT_ERRNO(ptrace(PTRACE_SEIZE, child, 0, 0), EPERM);
  });
  End(child);
  child = Run([] {
    (void)!setresgid(1000, 1000, 1000);
    (void)!setresuid(1000, 1000, 1000);
    raise(SIGSTOP);  // not dumpable now
    prctl(PR_SET_DUMPABLE, 1);
    raise(SIGSTOP);
    for (;;) pause();
  });
  EXPECT_EQ(Wait(child, WUNTRACED), Stopped(SIGSTOP));
  auto attach = [&] {
    ASSERT_OK(setresgid(1000, 1000, 1000));
    ASSERT_OK(setresuid(1000, 1000, 1000));
    return ptrace(PTRACE_SEIZE, child, 0, 0);
  };
  EXPECT_CHILD_OK([&] { EXPECT_ERRNO(attach(), EPERM); });
  kill(child, SIGCONT);
  EXPECT_EQ(Wait(child, WUNTRACED), Stopped(SIGSTOP));
  EXPECT_CHILD_OK([&] { EXPECT_OK(attach()); });
  End(child);
}
