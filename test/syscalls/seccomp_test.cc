// seccomp(2), prctl(PR_SET_SECCOMP), seccomp_unotify(2).
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <fstream>

#include "test/syscalls/syscall_test.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace {

using Program = std::vector<sock_filter>;

sock_filter Statement(uint16_t code, uint32_t k) { return BPF_STMT(code, k); }
sock_filter Jump(uint16_t code, uint32_t k, uint8_t jt, uint8_t jf) { return BPF_JUMP(code, k, jt, jf); }
sock_filter LoadNumber() { return Statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)); }
sock_filter Return(uint32_t value) { return Statement(BPF_RET | BPF_K, value); }

// `value` for the call `number`, everything else allowed.
Program For(uint32_t number, uint32_t value) {
  return {LoadNumber(), Jump(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), Return(value),
          Return(SECCOMP_RET_ALLOW)};
}

long Install(Program program, unsigned flags = 0) {
  sock_fprog prog = {static_cast<unsigned short>(program.size()), program.data()};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}
void NoNewPrivs() { ASSERT_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

std::string StatusLine(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key + ":\t", 0) == 0) return line.substr(key.size() + 2);
  }
  return "none";
}

Program Deny(uint32_t number, int error) {
  return For(number, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error));
}

}  // namespace

TEST(NeedsNoNewPrivsOrCapability) {
  if (geteuid() != 0) SKIP("needs root");
  EXPECT_EQ(Install(Deny(SYS_getppid, EDOM)), 0);  // root needs nothing
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setresuid(1000, 1000, 1000));
    EXPECT_ERRNO(Install(Deny(SYS_getppid, EDOM)), EACCES);
    NoNewPrivs();
    EXPECT_EQ(Install(Deny(SYS_getppid, EDOM)), 0);
  });
}

TEST(ErrnoIsCutAndOthersGoOn) {
  NoNewPrivs();
  ASSERT_OK(Install(Deny(SYS_getppid, EDOM)));
  EXPECT_ERRNO(syscall(SYS_getppid), EDOM);
  EXPECT_GT(syscall(SYS_getpid), 0);
  ASSERT_OK(Install(For(SYS_getpgrp, SECCOMP_RET_ERRNO | 0xffff)));
  EXPECT_ERRNO(syscall(SYS_getpgrp), 4095);
  ASSERT_OK(Install(For(SYS_getsid, SECCOMP_RET_ERRNO)));
  EXPECT_EQ(syscall(SYS_getsid, 0), 0);
}

// Who a task is may be known to the platform; a filter counts nevertheless, from the very next call on.
TEST(CallsWithKnownResultsAreFiltered) {
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(syscall(SYS_getpid), getpid());
  NoNewPrivs();
  ASSERT_OK(Install(Deny(SYS_getuid, EDOM)));
  for (int i = 0; i < 200; ++i) {
    ASSERT_ERRNO(syscall(SYS_getuid), EDOM);
    ASSERT_GT(syscall(SYS_getpid), 0);
  }
  ASSERT_OK(Install(Deny(SYS_getpid, ENOTTY)));
  for (int i = 0; i < 200; ++i) ASSERT_ERRNO(syscall(SYS_getpid), ENOTTY);
  EXPECT_CHILD_OK([] {
    for (int i = 0; i < 200; ++i) ASSERT_ERRNO(syscall(SYS_getpid), ENOTTY);
  });
}

TEST(ArgumentsAreSeen) {
  NoNewPrivs();
  Program program = {LoadNumber(),
                     Jump(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 0, 5),
                     Statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
                     Jump(BPF_JMP | BPF_JEQ | BPF_K, 77777, 0, 3),
                     Statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0]) + 4),
                     Jump(BPF_JMP | BPF_JEQ | BPF_K, 0x1234, 0, 1),
                     Return(SECCOMP_RET_ERRNO | EDOM),
                     Return(SECCOMP_RET_ALLOW)};
  ASSERT_OK(Install(program));
  EXPECT_ERRNO(syscall(SYS_close, 0x123400000000 + 77777), EDOM);
  EXPECT_ERRNO(syscall(SYS_close, 77777), EBADF);
  EXPECT_ERRNO(syscall(SYS_close, 77778), EBADF);
}

TEST(AllArithmetic) {
  NoNewPrivs();
  // ((((5 + 7) * 3 - 4) / 2 << 3 >> 1) & 0xff | 0x100) ^ 0x41, by K and by X, and with cells.
  auto arithmetic = [](bool by_x) {
    Program program = {Statement(BPF_LD | BPF_IMM, 5)};
    auto add = [&](uint16_t operation, uint32_t value) {
      if (by_x) {
        program.push_back(Statement(BPF_LDX | BPF_IMM, value));
        program.push_back(Statement(BPF_ALU | operation | BPF_X, 0));
      } else {
        program.push_back(Statement(BPF_ALU | operation | BPF_K, value));
      }
    };
    add(BPF_ADD, 7);
    add(BPF_MUL, 3);
    add(BPF_SUB, 4);
    add(BPF_DIV, 2);
    add(BPF_LSH, 3);
    add(BPF_RSH, 1);
    add(BPF_AND, 0xff);
    add(BPF_OR, 0x100);
    add(BPF_XOR, 0x41);
    return program;
  };
  const uint32_t result = ((((((5 + 7) * 3 - 4) / 2 << 3) >> 1) & 0xff) | 0x100) ^ 0x41;
  for (bool by_x : {false, true}) {
    Program program = arithmetic(by_x);
    program.push_back(Statement(BPF_ALU | BPF_NEG, 0));
    program.push_back(Statement(BPF_ST, 3));
    program.push_back(Statement(BPF_LDX | BPF_MEM, 3));
    program.push_back(Statement(BPF_MISC | BPF_TXA, 0));
    program.push_back(Statement(BPF_ALU | BPF_NEG, 0));
    program.push_back(Statement(BPF_MISC | BPF_TAX, 0));
    program.push_back(Statement(BPF_STX, 15));
    program.push_back(Statement(BPF_LD | BPF_MEM, 15));
    program.push_back(Jump(BPF_JMP | BPF_JEQ | BPF_K, result, 1, 0));
    program.push_back(Return(SECCOMP_RET_KILL_PROCESS));
    program.push_back(Statement(BPF_LD | BPF_W | BPF_LEN, 0));
    program.push_back(Statement(BPF_LDX | BPF_W | BPF_LEN, 0));
    program.push_back(Jump(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0));
    program.push_back(Return(SECCOMP_RET_KILL_PROCESS));
    program.push_back(Jump(BPF_JMP | BPF_JEQ | BPF_K, sizeof(seccomp_data), 1, 0));
    program.push_back(Return(SECCOMP_RET_KILL_PROCESS));
    program.push_back(LoadNumber());
    program.push_back(Jump(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1));
    program.push_back(Return(SECCOMP_RET_ERRNO | EDOM));
    program.push_back(Return(SECCOMP_RET_ALLOW));
    EXPECT_CHILD_OK([&] {
      ASSERT_OK(Install(program));
      EXPECT_ERRNO(syscall(SYS_getppid), EDOM);
    });
  }
  // By zero: as if it returned 0, which kills.
  EXPECT_KILLED(
      [] {
        ASSERT_OK(Install({LoadNumber(), Jump(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 3),
                           Statement(BPF_LDX | BPF_IMM, 0), Statement(BPF_ALU | BPF_DIV | BPF_X, 0),
                           Return(SECCOMP_RET_ALLOW), Return(SECCOMP_RET_ALLOW)}));
        syscall(SYS_getppid);
      },
      SIGSYS);
}

TEST(Comparisons) {
  NoNewPrivs();
  struct Case {
    uint16_t operation;
    uint32_t a, b;
    bool holds;
  };
  for (const Case& c : std::vector<Case>{{BPF_JEQ, 4, 4, true},
                                         {BPF_JEQ, 4, 5, false},
                                         {BPF_JGT, 5, 4, true},
                                         {BPF_JGT, 4, 4, false},
                                         {BPF_JGT, 0xffffffff, 1, true},
                                         {BPF_JGE, 4, 4, true},
                                         {BPF_JGE, 3, 4, false},
                                         {BPF_JSET, 6, 2, true},
                                         {BPF_JSET, 6, 9, false}}) {
    for (bool by_x : {false, true}) {
      Program program = {LoadNumber(), Jump(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 1, 0),
                         Return(SECCOMP_RET_ALLOW), Statement(BPF_LD | BPF_IMM, c.a),
                         Statement(BPF_LDX | BPF_IMM, c.b)};
      program.push_back(Jump(BPF_JMP | c.operation | (by_x ? BPF_X : BPF_K), by_x ? 0 : c.b, 0, 1));
      program.push_back(Return(SECCOMP_RET_ERRNO | EDOM));
      program.push_back(Return(SECCOMP_RET_ERRNO | ENOTTY));
      EXPECT_CHILD_OK([&] {
        ASSERT_OK(Install(program));
        EXPECT_ERRNO(syscall(SYS_getppid), c.holds ? EDOM : ENOTTY);
      });
    }
  }
}

TEST(BadProgramsAreRefused) {
  NoNewPrivs();
  const sock_filter allow = Return(SECCOMP_RET_ALLOW);
  EXPECT_ERRNO(Install({}), EINVAL);
  EXPECT_ERRNO(Install({LoadNumber()}), EINVAL);  // falls off
  EXPECT_ERRNO(Install(Program(4097, allow)), EINVAL);
  EXPECT_EQ(Install(Program(4096, allow)), 0);
  for (const Program& program : std::vector<Program>{
           {Statement(BPF_LD | BPF_W | BPF_ABS, sizeof(seccomp_data)), allow},
           {Statement(BPF_LD | BPF_W | BPF_ABS, 0xfffffffc), allow},
           {Statement(BPF_LD | BPF_W | BPF_ABS, 2), allow},
           {Statement(BPF_LD | BPF_H | BPF_ABS, 0), allow},
           {Statement(BPF_LD | BPF_B | BPF_ABS, 0), allow},
           {Statement(BPF_LD | BPF_W | BPF_IND, 0), allow},
           {Statement(BPF_LDX | BPF_B | BPF_MSH, 0), allow},
           {Statement(BPF_ALU | BPF_DIV | BPF_K, 0), allow},
           {Statement(BPF_ALU | BPF_MOD | BPF_K, 3), allow},
           {Statement(BPF_ALU | BPF_LSH | BPF_K, 32), allow},
           {Statement(BPF_ALU | BPF_RSH | BPF_K, 32), allow},
           {Statement(BPF_ST, 16), allow},
           {Statement(BPF_STX, 16), allow},
           {Statement(BPF_LD | BPF_MEM, 16), allow},
           {Statement(BPF_LD | BPF_MEM, 0), allow},   // never written
           {Statement(BPF_LDX | BPF_MEM, 0), allow},  // never written
           {Jump(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), Statement(BPF_ST, 1), Statement(BPF_LD | BPF_MEM, 1),
            allow},
           {Statement(BPF_JMP | BPF_JA, 1), allow},
           {Statement(BPF_JMP | BPF_JA, 0xffffffff), allow},
           {Jump(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), allow},
           {Jump(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), allow},
           {Statement(BPF_RET | BPF_X, 0)},
           {Statement(0xffff, 0), allow},
           {Statement(BPF_JMP | BPF_JA | BPF_X, 0), allow},
           {allow, Statement(BPF_JMP | BPF_JA, 0)},
       }) {
    if (!EXPECT_ERRNO(Install(program), EINVAL)) dprintf(2, "code %#x k %u\n", program[0].code, program[0].k);
  }
  sock_fprog bad = {2, reinterpret_cast<sock_filter*>(8)};
  EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &bad), EFAULT);
  EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, nullptr), EFAULT);
  EXPECT_ERRNO(Install({allow}, 1U << 20), EINVAL);
  EXPECT_ERRNO(Install({allow}, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV), EINVAL);
  EXPECT_ERRNO(Install({allow}, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_NEW_LISTENER), EINVAL);
  EXPECT_ERRNO(syscall(SYS_seccomp, 77, 0, nullptr), EINVAL);
  EXPECT_ERRNO(prctl(PR_SET_SECCOMP, 7, 0, 0, 0), EINVAL);
}

TEST(ChainsHaveALimit) {
  NoNewPrivs();
  const Program program(4096, Return(SECCOMP_RET_ALLOW));
  // 32768 instructions, as the kernel counts its own form of them.
  int installed = 0;
  while (installed < 100 && Install(program) == 0) ++installed;
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_GE(installed, 2);
  EXPECT_LE(installed, 8);
  EXPECT_EQ(StatusLine("/proc/self/status", "Seccomp_filters"), std::to_string(installed));
}

TEST(LongChainsComeToAnEnd) {
  NoNewPrivs();
  int status = WaitStatusOf([] {
    for (int i = 0; i < 3000; ++i) ASSERT_EQ(Install({Return(SECCOMP_RET_ALLOW)}), 0);
    EXPECT_EQ(StatusLine("/proc/self/status", "Seccomp_filters"), "3000");
  });
  EXPECT_EQ(status, 0);
}

TEST(StrictestAnswerCounts) {
  NoNewPrivs();
  ASSERT_OK(Install(For(SYS_getppid, SECCOMP_RET_LOG)));
  EXPECT_GE(syscall(SYS_getppid), 0);
  ASSERT_OK(Install(Deny(SYS_getppid, EDOM)));
  ASSERT_OK(Install(For(SYS_getppid, SECCOMP_RET_ALLOW)));
  ASSERT_OK(Install(For(SYS_getppid, SECCOMP_RET_TRACE | 5)));
  ASSERT_OK(Install(Deny(SYS_getppid, ENOTTY)));  // the youngest of equals
  EXPECT_ERRNO(syscall(SYS_getppid), ENOTTY);
  ASSERT_OK(Install(For(SYS_getppid, SECCOMP_RET_KILL_PROCESS)));
  EXPECT_KILLED([] { syscall(SYS_getppid); }, SIGSYS);
}

TEST(TraceWithoutTracerIsEnosys) {
  NoNewPrivs();
  ASSERT_OK(Install(For(SYS_getppid, SECCOMP_RET_TRACE | 5)));
  EXPECT_ERRNO(syscall(SYS_getppid), ENOSYS);
}

TEST(UnknownActionsKill) {
  NoNewPrivs();
  EXPECT_KILLED(
      [] {
        ASSERT_OK(Install(For(SYS_getppid, 0x00020000)));
        syscall(SYS_getppid);
      },
      SIGSYS);
}

TEST(KillThreadKillsOneThread) {
  NoNewPrivs();
  EXPECT_EXIT(
      [] {
        pthread_t thread;
        pthread_create(
            &thread, nullptr,
            [](void*) -> void* {
              Install(For(SYS_getppid, SECCOMP_RET_KILL_THREAD));
              syscall(SYS_getppid);
              _exit(3);
            },
            nullptr);
        pthread_join(thread, nullptr);
        _exit(7);
      },
      7);
  EXPECT_KILLED(
      [] {
        Install(For(SYS_getppid, SECCOMP_RET_KILL_THREAD));
        syscall(SYS_getppid);
      },
      SIGSYS);
}

TEST(KillProcessKillsAll) {
  NoNewPrivs();
  EXPECT_KILLED(
      [] {
        pthread_t thread;
        pthread_create(
            &thread, nullptr,
            [](void*) -> void* {
              Install(For(SYS_getppid, SECCOMP_RET_KILL_PROCESS));
              syscall(SYS_getppid);
              return nullptr;
            },
            nullptr);
        for (;;) pause();
      },
      SIGSYS);
}

static siginfo_t trapped;
static uint64_t trapped_rax, trapped_rip;

TEST(TrapTellsOfTheCall) {
  NoNewPrivs();
  struct sigaction action = {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t* info, void* context) {
    trapped = *info;
    auto* ucontext = static_cast<ucontext_t*>(context);
    trapped_rax = static_cast<uint64_t>(ucontext->uc_mcontext.gregs[REG_RAX]);
    trapped_rip = static_cast<uint64_t>(ucontext->uc_mcontext.gregs[REG_RIP]);
    ucontext->uc_mcontext.gregs[REG_RAX] = 4711;
  };
  ASSERT_OK(sigaction(SIGSYS, &action, nullptr));
  ASSERT_OK(Install(For(SYS_getppid, SECCOMP_RET_TRAP | 1234)));
  EXPECT_EQ(syscall(SYS_getppid), 4711);
  EXPECT_EQ(trapped.si_signo, SIGSYS);
  EXPECT_EQ(trapped.si_code, 1);  // SYS_SECCOMP
  EXPECT_EQ(trapped.si_errno, 1234);
  EXPECT_EQ(trapped.si_syscall, SYS_getppid);
  EXPECT_EQ(trapped.si_arch, AUDIT_ARCH_X86_64);
  EXPECT_EQ(reinterpret_cast<uint64_t>(trapped.si_call_addr), trapped_rip);
  EXPECT_EQ(trapped_rax, SYS_getppid);
  // Not to be blocked.
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  EXPECT_KILLED([] { syscall(SYS_getppid); }, SIGSYS);
}

TEST(InheritedByForkExecAndThreads) {
  NoNewPrivs();
  ASSERT_OK(Install(Deny(SYS_getppid, EDOM)));
  EXPECT_CHILD_OK([] {
    EXPECT_ERRNO(syscall(SYS_getppid), EDOM);
    EXPECT_EQ(StatusLine("/proc/self/status", "Seccomp"), "2");
    EXPECT_EQ(StatusLine("/proc/self/status", "Seccomp_filters"), "1");
    EXPECT_EQ(StatusLine("/proc/self/status", "NoNewPrivs"), "1");
    // The child's own does not reach the parent.
    ASSERT_OK(Install(Deny(SYS_getpgrp, EDOM)));
    EXPECT_EQ(StatusLine("/proc/self/status", "Seccomp_filters"), "2");
  });
  EXPECT_GE(syscall(SYS_getpgrp), 0);
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        EXPECT_ERRNO(syscall(SYS_getppid), EDOM);
        return nullptr;
      },
      nullptr);
  pthread_join(thread, nullptr);
  int fds[2];
  ASSERT_OK(pipe(fds));
  int status = WaitStatusOf([&] {
    dup2(fds[1], 1);
    execl("/bin/grep", "grep", "-c", "Seccomp:.*2", "/proc/self/status", nullptr);
    FAIL("exec");
  });
  EXPECT_EQ(status, 0);
  char answer[8] = {};
  EXPECT_EQ(read(fds[0], answer, sizeof(answer)), 2);
  EXPECT_EQ(answer[0], '1');
}

TEST(PrctlReportsAndSets) {
  NoNewPrivs();
  EXPECT_EQ(prctl(PR_GET_SECCOMP), 0);
  Program program = Deny(SYS_getppid, EDOM);
  sock_fprog prog = {static_cast<unsigned short>(program.size()), program.data()};
  ASSERT_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0));
  EXPECT_EQ(prctl(PR_GET_SECCOMP), 2);
  EXPECT_ERRNO(syscall(SYS_getppid), EDOM);
  EXPECT_ERRNO(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0), EINVAL);
  EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, nullptr), EINVAL);
}

TEST(StrictModeAllowsFourCalls) {
  EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, nullptr), EINVAL);
  EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, &trapped), EINVAL);
  int fds[2];
  ASSERT_OK(pipe(fds));
  EXPECT_EXIT(
      [&] {
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        char c = 'x';
        if (write(fds[1], &c, 1) != 1 || read(fds[0], &c, 1) != 1) syscall(SYS_exit, 1);
        syscall(SYS_exit, 5);
      },
      5);
  for (int call : {SYS_getpid, SYS_exit_group, SYS_prctl})
    EXPECT_KILLED(
        [&] {
          prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
          syscall(call, 0);
        },
        SIGKILL);
}

TEST(ActionsAndSizesAreTold) {
  for (uint32_t action :
       {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO,
        SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRACE, SECCOMP_RET_LOG, SECCOMP_RET_ALLOW})
    EXPECT_EQ(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), 0);
  uint32_t unknown = 0x00010000;
  EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &unknown), EOPNOTSUPP);
  EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &unknown), EINVAL);
  EXPECT_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, nullptr), EFAULT);
  seccomp_notif_sizes sizes = {};
  ASSERT_OK(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
  EXPECT_EQ(sizes.seccomp_notif, sizeof(seccomp_notif));
  EXPECT_EQ(sizes.seccomp_notif_resp, sizeof(seccomp_notif_resp));
  EXPECT_EQ(sizes.seccomp_data, sizeof(seccomp_data));
}

namespace {

// A thread that makes calls when asked to.
struct Worker {
  std::atomic<int> command{0};  // 1: wait in guest code; 2: check; 3: end; 4: a filter of its own
  std::atomic<int> done{0};
  std::atomic<int> tid{0};
  long result = 0;
  int error = 0;
  pthread_t thread{};

  static void* Main(void* argument) {
    auto* self = static_cast<Worker*>(argument);
    self->tid = static_cast<int>(syscall(SYS_gettid));
    for (;;) {
      int command = self->command.load();
      if (command == 3) return nullptr;
      if (command == 2) {
        self->result = syscall(SYS_getuid);
        self->error = errno;
      } else if (command == 4) {
        self->result = Install(Deny(SYS_getsid, EDOM));
      } else {
        continue;
      }
      self->command = 0;
      self->done.fetch_add(1);
    }
  }
  void Start() {
    pthread_create(&thread, nullptr, &Main, this);
    while (tid == 0) sched_yield();
  }
  void Do(int what) {
    int before = done;
    command = what;
    while (done == before) sched_yield();
  }
  void End() {
    command = 3;
    pthread_join(thread, nullptr);
  }
};

}  // namespace

TEST(ThreadSynchronisation) {
  Worker worker;
  worker.Start();
  NoNewPrivs();
  std::string status = "/proc/self/task/" + std::to_string(worker.tid) + "/status";
  EXPECT_EQ(StatusLine(status, "NoNewPrivs"), "0");
  worker.Do(2);
  EXPECT_EQ(worker.result, getuid());
  ASSERT_EQ(Install(Deny(SYS_getuid, EDOM), SECCOMP_FILTER_FLAG_TSYNC), 0);
  worker.Do(2);
  EXPECT_EQ(worker.result, -1);
  EXPECT_EQ(worker.error, EDOM);
  EXPECT_EQ(StatusLine(status, "Seccomp"), "2");
  EXPECT_EQ(StatusLine(status, "Seccomp_filters"), "1");
  EXPECT_EQ(StatusLine(status, "NoNewPrivs"), "1");
  // One that went its own way.
  worker.Do(4);
  EXPECT_EQ(worker.result, 0);
  EXPECT_EQ(Install(Deny(SYS_getppid, EDOM), SECCOMP_FILTER_FLAG_TSYNC), worker.tid);
  EXPECT_GE(syscall(SYS_getppid), 0);  // nothing was done
  EXPECT_ERRNO(Install(Deny(SYS_getppid, EDOM), SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH),
               ESRCH);
  EXPECT_EQ(StatusLine("/proc/self/status", "Seccomp_filters"), "1");
  worker.End();
  EXPECT_EQ(Install(Deny(SYS_getppid, EDOM), SECCOMP_FILTER_FLAG_TSYNC), 0);
}

namespace {

struct Supervised {
  int listener = -1;
  pid_t child = -1;
};

// A child with a listener on `number`, which runs `body`; the listener is here.
template <typename Body>
Supervised Supervise(uint32_t number, unsigned flags, Body body) {
  Supervised result;
  int sockets[2];
  ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
  result.child = Fork([&] {
    NoNewPrivs();
    int fd = static_cast<int>(
        ASSERT_OK(Install(For(number, SECCOMP_RET_USER_NOTIF), SECCOMP_FILTER_FLAG_NEW_LISTENER | flags)));
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EXPECT_ERRNO(Install(For(number, SECCOMP_RET_USER_NOTIF), SECCOMP_FILTER_FLAG_NEW_LISTENER), EBUSY);
    char byte = 0;
    iovec vec = {&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &vec;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    ASSERT_OK(sendmsg(sockets[1], &message, 0));
    close(fd);
    close(sockets[0]);
    body();
  });
  close(sockets[1]);
  char byte = 0;
  iovec vec = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &vec;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ASSERT_EQ(recvmsg(sockets[0], &message, 0), 1);
  memcpy(&result.listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  close(sockets[0]);
  return result;
}

seccomp_notif Receive(int listener) {
  seccomp_notif notification = {};
  ASSERT_OK(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification));
  return notification;
}
void HandleWith(int flags) {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  action.sa_flags = flags;
  ASSERT_OK(sigaction(SIGUSR1, &action, nullptr));
}
int Answer(int listener, uint64_t id, int64_t value, int error, uint32_t flags = 0) {
  seccomp_notif_resp response = {id, value, error, flags};
  return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

}  // namespace

TEST(SupervisorAnswers) {
  Supervised s = Supervise(SYS_getsid, 0, [] {
    EXPECT_EQ(syscall(SYS_getsid, 77, 88, 99), 4711);
    EXPECT_ERRNO(syscall(SYS_getsid, 1), EDOM);
    EXPECT_EQ(syscall(SYS_getsid, 0), getsid(getpid()));  // both are let through
  });
  pollfd poll_fd = {s.listener, POLLIN, 0};
  ASSERT_EQ(poll(&poll_fd, 1, -1), 1);
  EXPECT_EQ(poll_fd.revents, POLLIN);
  seccomp_notif n = Receive(s.listener);
  EXPECT_EQ(n.pid, s.child);
  EXPECT_EQ(n.flags, 0);
  EXPECT_EQ(n.data.nr, SYS_getsid);
  EXPECT_EQ(n.data.arch, AUDIT_ARCH_X86_64);
  EXPECT_EQ(n.data.args[0], 77);
  EXPECT_EQ(n.data.args[2], 99);
  EXPECT_NE(n.data.instruction_pointer, 0);
  poll_fd.events = POLLIN | POLLOUT;
  EXPECT_EQ(poll(&poll_fd, 1, -1), 1);
  EXPECT_EQ(poll_fd.revents, POLLOUT);
  EXPECT_OK(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
  uint64_t wrong = n.id + 1;
  EXPECT_ERRNO(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &wrong), ENOENT);
  EXPECT_ERRNO(Answer(s.listener, wrong, 0, 0), ENOENT);
  EXPECT_ERRNO(Answer(s.listener, n.id, 1, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE), EINVAL);
  EXPECT_ERRNO(Answer(s.listener, n.id, 0, 0, 0x80), EINVAL);
  EXPECT_OK(Answer(s.listener, n.id, 4711, 0));

  n = Receive(s.listener);
  EXPECT_NE(n.id, wrong - 1);
  EXPECT_EQ(n.data.args[0], 1);
  EXPECT_OK(Answer(s.listener, n.id, 0, -EDOM));
  for (int i = 0; i < 2; ++i) {
    n = Receive(s.listener);
    EXPECT_OK(Answer(s.listener, n.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
  }
  EXPECT_EQ(WaitFor(s.child), 0);
  EXPECT_ERRNO(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id), ENOENT);
  poll_fd.events = POLLIN;
  ASSERT_EQ(poll(&poll_fd, 1, -1), 1);
  EXPECT_EQ(poll_fd.revents, POLLHUP);
  seccomp_notif garbage = {};
  garbage.pid = 1;
  EXPECT_ERRNO(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_RECV, &garbage), EINVAL);
  EXPECT_ERRNO(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_RECV, nullptr), EFAULT);
  EXPECT_ERRNO(ioctl(s.listener, 0x4711, nullptr), EINVAL);
}

TEST(SupervisorGivesDescriptors) {
  Supervised s = Supervise(SYS_getsid, 0, [] {
    int fd = static_cast<int>(syscall(SYS_getsid, 0));
    char text[6] = {};
    EXPECT_EQ(read(fd, text, 5), 5);
    EXPECT_EQ(text, "hello");
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(read(77, text, 5), 0);  // the same open file, at its end
    EXPECT_EQ(fcntl(77, F_GETFD), 0);
  });
  int memfd = memfd_create("given", 0);
  ASSERT_EQ(write(memfd, "hello", 5), 5);
  lseek(memfd, 0, SEEK_SET);
  seccomp_notif_addfd add = {};
  add.srcfd = static_cast<uint32_t>(memfd);
  add.newfd = 77;
  add.flags = SECCOMP_ADDFD_FLAG_SETFD;
  EXPECT_ERRNO(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add), ENOENT);
  seccomp_notif n = Receive(s.listener);
  add.id = n.id;
  EXPECT_EQ(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add), 77);
  add.flags = 0;
  EXPECT_ERRNO(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add), EINVAL);
  add.newfd = 0;
  add.newfd_flags = O_APPEND;
  EXPECT_ERRNO(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add), EINVAL);
  add.newfd_flags = O_CLOEXEC;
  add.srcfd = 999;
  EXPECT_ERRNO(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add), EBADF);
  add.srcfd = static_cast<uint32_t>(memfd);
  add.flags = 8;
  EXPECT_ERRNO(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add), EINVAL);
  add.flags = SECCOMP_ADDFD_FLAG_SEND;
  EXPECT_GT(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add), 2);
  EXPECT_EQ(WaitFor(s.child), 0);
}

TEST(ClosedListenerIsEnosys) {
  Supervised s = Supervise(SYS_getsid, 0, [] {
    EXPECT_ERRNO(syscall(SYS_getsid, 0), ENOSYS);  // waits when it is closed
    EXPECT_ERRNO(syscall(SYS_getsid, 0), ENOSYS);
  });
  Receive(s.listener);
  close(s.listener);
  EXPECT_EQ(WaitFor(s.child), 0);
}

TEST(SignalsInterruptTheWait) {
  Supervised s = Supervise(SYS_getsid, 0, [] {
    HandleWith(0);
    EXPECT_ERRNO(syscall(SYS_getsid, 0), EINTR);
    HandleWith(SA_RESTART);
    EXPECT_EQ(syscall(SYS_getsid, 0), 5);  // asked again
  });
  seccomp_notif n = Receive(s.listener);
  kill(s.child, SIGUSR1);
  n = Receive(s.listener);
  kill(s.child, SIGUSR1);
  seccomp_notif again = Receive(s.listener);
  EXPECT_NE(again.id, n.id);
  EXPECT_ERRNO(Answer(s.listener, n.id, 5, 0), ENOENT);
  EXPECT_OK(Answer(s.listener, again.id, 5, 0));
  EXPECT_EQ(WaitFor(s.child), 0);
}

TEST(TakenCallsMayWaitKillable) {
  Supervised s = Supervise(SYS_getsid, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, [] {
    HandleWith(0);
    EXPECT_EQ(syscall(SYS_getsid, 0), 5);
    syscall(SYS_getsid, 0);
    FAIL("was not killed");
  });
  seccomp_notif n = Receive(s.listener);
  kill(s.child, SIGUSR1);
  EXPECT_OK(ioctl(s.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
  EXPECT_OK(Answer(s.listener, n.id, 5, 0));
  n = Receive(s.listener);
  kill(s.child, SIGKILL);
  int status = WaitFor(s.child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
