// Guests that go for system calls which the platform has rewritten into jumps, once they were made often:
// their text is read and changed, jumped into, stepped through, and interrupted.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "test/security/hostile.h"

namespace {

using namespace hostile;  // NOLINT: its only users are these programs

constexpr unsigned char kGetpid[] = {0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0xc3};
// mov $SYS_getuid, %edx; mov %edx, %eax; syscall; cmp $-4095, %rax; jae 1f; ret; 1: ud2
constexpr unsigned char kGetuid[] = {0xba, SYS_getuid, 0,    0,    0,    0x89, 0xd0, 0x0f, 0x05, 0x48,
                                     0x3d, 0x01,       0xf0, 0xff, 0xff, 0x73, 0x01, 0xc3, 0x0f, 0x0b};
constexpr size_t kGetuidAt = 64;
constexpr int kOften = 300;

using Call = long (*)();
Call Function(char* code, size_t offset = 0) { return reinterpret_cast<Call>(code + offset); }

void PutCode(char* page) {
  memset(page, 0xcc, kPage);
  memcpy(page, kGetpid, sizeof(kGetpid));
  memcpy(page + kGetuidAt, kGetuid, sizeof(kGetuid));
}
void Heat(char* code) {
  for (int i = 0; i < kOften; ++i) {
    if (Function(code)() != getpid() || Function(code, kGetuidAt)() != getuid()) _exit(99);
  }
}
char* HotCode() {
  auto* page = static_cast<char*>(
      mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (page == MAP_FAILED) _exit(98);
  PutCode(page);
  mprotect(page, 2 * kPage, PROT_READ | PROT_EXEC);
  Heat(page);
  return page;
}
bool IsOriginal(const char* page) {
  return memcmp(page, kGetpid, sizeof(kGetpid)) == 0 &&
         memcmp(page + kGetuidAt, kGetuid, sizeof(kGetuid)) == 0;
}

TEST(rewritten_code_is_read_as_it_was) {
  for (int kind = 0; kind < 6; ++kind) {
    char* code = HotCode();
    std::vector<char> copy(kPage);
    int fds[2];
    ASSERT_EQ(pipe(fds), 0);
    iovec to = {copy.data(), kPage}, from = {code, kPage};
    if (kind == 0) {
      EXPECT_EQ(write(fds[1], code, kPage), static_cast<ssize_t>(kPage));
      EXPECT_EQ(read(fds[0], copy.data(), kPage), static_cast<ssize_t>(kPage));
    } else if (kind == 1) {
      EXPECT_EQ(process_vm_readv(getpid(), &to, 1, &from, 1, 0), static_cast<ssize_t>(kPage));
    } else if (kind == 2) {
      int fd = open("/proc/self/mem", O_RDONLY);
      EXPECT_EQ(pread(fd, copy.data(), kPage, reinterpret_cast<off_t>(code)), static_cast<ssize_t>(kPage));
      close(fd);
    } else if (kind == 3) {
      // A few bytes out of the middle.
      EXPECT_EQ(write(fds[1], code + 3, 2), 2);
      EXPECT_EQ(write(fds[1], code + kGetuidAt + 9, 4), 4);
      memcpy(copy.data(), code, kPage);
      memcpy(copy.data() + kGetuidAt, kGetuid, sizeof(kGetuid));
      EXPECT_EQ(read(fds[0], copy.data() + 3, 2), 2);
      EXPECT_EQ(read(fds[0], copy.data() + kGetuidAt + 9, 4), 4);
      memcpy(copy.data(), kGetpid, 3);
      memcpy(copy.data() + 5, kGetpid + 5, sizeof(kGetpid) - 5);
    } else if (kind == 4) {
      pid_t child = fork();
      if (child == 0) {
        (void)!write(fds[1], code, kPage);
        Heat(code);
        _exit(0);
      }
      EXPECT_EQ(read(fds[0], copy.data(), kPage), static_cast<ssize_t>(kPage));
      int status;
      waitpid(child, &status, 0);
      EXPECT_EQ(status, 0);
    } else {
      EXPECT_EQ(mprotect(code, kPage, PROT_READ), 0);
      memcpy(copy.data(), code, kPage);
      EXPECT_EQ(mprotect(code, kPage, PROT_READ | PROT_EXEC), 0);
    }
    EXPECT_TRUE(IsOriginal(copy.data()));
    Heat(code);
    close(fds[0]);
    close(fds[1]);
    munmap(code, 2 * kPage);
  }
}

TEST(rewritten_code_changes_and_goes_away) {
  EXPECT_TRUE(Survives([] {
    char* code = HotCode();
    // Written to.
    mprotect(code, kPage, PROT_READ | PROT_WRITE);
    if (!IsOriginal(code)) _exit(1);
    code[1] = SYS_getppid;
    mprotect(code, kPage, PROT_READ | PROT_EXEC);
    for (int i = 0; i < kOften; ++i)
      if (Function(code)() != getppid()) _exit(2);
    // Written to by way of /proc.
    int fd = open("/proc/self/mem", O_RDWR);
    char number = SYS_getpid;
    if (pwrite(fd, &number, 1, reinterpret_cast<off_t>(code + 1)) != 1) _exit(3);
    Heat(code);
    // Something else in its place.
    auto* again = static_cast<char*>(
        mmap(code, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    const unsigned char returns7[] = {0xb8, 7, 0, 0, 0, 0x90, 0x90, 0xc3};
    memcpy(again, returns7, sizeof(returns7));
    mprotect(again, kPage, PROT_READ | PROT_EXEC);
    if (Function(again)() != 7) _exit(4);
    munmap(code, 2 * kPage);
    // At another address.
    code = HotCode();
    auto* elsewhere =
        static_cast<char*>(mmap(nullptr, 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    auto* moved =
        static_cast<char*>(mremap(code, 2 * kPage, 2 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere));
    if (moved != elsewhere) _exit(5);
    if (!IsOriginal(moved)) _exit(6);
    Heat(moved);
    // Dropped.
    madvise(moved, kPage, MADV_DONTNEED);
    if (moved[0] != 0) _exit(7);
  }));
  // The same pages in parent and child, which go apart.
  char* code = HotCode();
  EXPECT_TRUE(Survives([code] {
    Heat(code);
    mprotect(code, kPage, PROT_READ | PROT_WRITE);
    if (!IsOriginal(code)) _exit(1);
    memset(code, 0xcc, kPage);
  }));
  Heat(code);
}

TEST(jumps_into_the_middle_of_rewritten_calls) {
  char* code = HotCode();
  for (int i = 0; i < kOften; ++i) {
    long result;
    asm volatile("call *%1" : "=a"(result) : "r"(code + 5), "0"(SYS_getpid) : "rcx", "r11", "memory");
    EXPECT_EQ(result, getpid());
  }
  // The others are nobody's way in; whatever comes of it stays in the child.
  for (size_t offset = 1; offset < sizeof(kGetuid); ++offset) {
    for (char* at : {code + offset, code + kGetuidAt + offset}) {
      pid_t child = fork();
      if (child == 0) {
        CatchFaults();
        alarm(1);
        if (sigsetjmp(back, 1) == 0) Function(at)();
        _exit(0);
      }
      int status;
      EXPECT_EQ(waitpid(child, &status, 0), child);
    }
  }
  Heat(code);
}

// Every place where a trampoline may be, with garbage in the registers.
TEST(jumps_to_trampolines) {
  char* code = HotCode();
  for (uint64_t at = 0x61000; at < 0x61000 + 6 * 64; at += 3) {
    pid_t child = fork();
    if (child == 0) {
      alarm(1);
      asm volatile("movl $231, %%eax\n movq $-1, %%r11\n jmp *%0" : : "r"(at), "D"(0) : "rax", "r11");
    }
    int status;
    timespec pause = {0, 200'000};
    for (int i = 0; i < 50 && waitpid(child, &status, WNOHANG) == 0; ++i) nanosleep(&pause, nullptr);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  // The pages themselves can be neither had nor lost.
  EXPECT_TRUE(Survives([code] {
    for (uint64_t page = 0x60000; page < 0x70000; page += kPage) {
      auto* there = reinterpret_cast<void*>(page);
      void* got = mmap(there, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
      if (got != there && errno != EPERM) _exit(1);
      munmap(there, kPage);
      mprotect(there, kPage, PROT_READ | PROT_WRITE);
      madvise(there, kPage, MADV_DONTNEED);
    }
    munmap(reinterpret_cast<void*>(0x10000), 0x80000);
    Heat(code);
  }));
}

volatile long steps;
char* stepped_code;
volatile uint64_t stepped[64];
void RecordStep(int, siginfo_t*, void* context) {
  auto rip = static_cast<uint64_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
  uint64_t offset = rip - reinterpret_cast<uint64_t>(stepped_code);
  const long step = steps;
  if (offset >= kPage || step >= 64) return;
  stepped[step] = offset;
  steps = step + 1;
}

// A program that steps through its own code meets its own instructions.
TEST(steps_through_rewritten_code) {
  EXPECT_TRUE(Survives([] {
    stepped_code = HotCode();
    struct sigaction action = {};
    action.sa_sigaction = RecordStep;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGTRAP, &action, nullptr);
    for (size_t entry : {size_t{0}, kGetuidAt}) {
      steps = 0;
      long result;
      asm volatile(
          "pushfq\n orq $0x100, (%%rsp)\n popfq\n call *%1\n pushfq\n andq $~0x100, (%%rsp)\n popfq\n"
          : "=a"(result)
          : "r"(stepped_code + entry)
          : "rcx", "rdx", "r11", "memory", "cc");
      if (result != (entry == 0 ? getpid() : static_cast<long>(getuid()))) _exit(1);
      // From the entry on, in order; a step over a call may or may not stop behind it.
      if (steps < 2 || stepped[0] != entry) _exit(2);
      for (long i = 1; i < steps; ++i)
        if (stepped[i] <= stepped[i - 1]) _exit(3);
      uint64_t last = stepped[steps - 1] - entry;
      if (entry == 0 ? last != 5 && last != 7 : last != 17) _exit(4);
    }
  }));
}

volatile long alarms;
void CountAlarm(int, siginfo_t*, void* context) {
  auto rip = static_cast<uint64_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
  // Where the guest has no code it cannot have been.
  if ((rip >= 0x60000 && rip < 0x70000) || rip >= 0x7fff6c000000) _exit(97);
  alarms = alarms + 1;
}

// Signals at any moment of calls that are answered, handed over and trapped.
TEST(signals_in_rewritten_calls) {
  EXPECT_TRUE(Survives([] {
    char* code = HotCode();
    struct sigaction action = {};
    action.sa_sigaction = CountAlarm;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGALRM, &action, nullptr);
    itimerval often = {{0, 150}, {0, 150}};
    setitimer(ITIMER_REAL, &often, nullptr);
    int fds[2];
    if (pipe(fds) != 0) _exit(1);
    timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
      for (int i = 0; i < 200; ++i) {
        Heat(code);
        double kept = i * 1.5;
        char byte = static_cast<char>(i), back_byte = 0;
        if (write(fds[1], &byte, 1) != 1 || read(fds[0], &back_byte, 1) != 1 || byte != back_byte) _exit(2);
        if (syscall(SYS_getppid) != getppid()) _exit(3);
        asm volatile("" : "+x"(kept));
        if (kept != i * 1.5) _exit(4);
      }
      clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < 3 || alarms < 50);
  }));
}

}  // namespace
