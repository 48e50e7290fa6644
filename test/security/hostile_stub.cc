// Guests that go for the code which runs them: the pages of the platform in their address
// space, system calls by other doors, registers and signal frames that no kernel made.
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "test/security/hostile.h"

namespace {

using namespace hostile;  // NOLINT: its only users are these programs

constexpr uint64_t kTaskEnd = 0x7ffffffff000;

// The first page behind the stack: its last bytes are the program's name.
uint64_t StackEnd() {
  uint64_t name = getauxval(AT_EXECFN);
  return (name + strlen(reinterpret_cast<const char*>(name)) + 2 * kPage) & ~(kPage - 1);
}

// Pages near the end of user space, behind the stack, that neither we nor the kernel have told of.
std::vector<uint64_t> SuspectPages() {
  std::vector<uint64_t> pages;
  for (uint64_t step = 0; step < 64; ++step) {
    for (uint64_t page = 0; page < 6; ++page) {
      uint64_t address = 0x7fffffff0000 - step * 0x100000 + page * kPage;
      if (address < kTaskEnd && address >= StackEnd()) pages.push_back(address);
    }
  }
  for (uint64_t page = 1; page <= 32; ++page) pages.push_back(kTaskEnd - page * kPage);
  // Code and commands, the first slot and the sites of the platform that traps.
  for (uint64_t page : {0x0, 0x1, 0x2, 0x10, 0x14, 0x18}) pages.push_back(0x7fff70000000 + page * kPage);
  for (uint64_t page : {0x60, 0x61, 0x68, 0x6f}) pages.push_back(page * kPage);
  return pages;
}

TEST(memory_calls_on_the_platforms_pages) {
  EXPECT_TRUE(Survives([] {
    static char source[2 * kPage];
    for (uint64_t address : SuspectPages()) {
      auto* page = reinterpret_cast<void*>(address);
      syscall(SYS_munmap, page, 3 * kPage);
      syscall(SYS_mprotect, page, kPage, PROT_READ | PROT_WRITE | PROT_EXEC);
      syscall(SYS_mmap, page, kPage, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
      syscall(SYS_mremap, source, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, page);
      syscall(SYS_mremap, page, kPage, 4 * kPage, MREMAP_MAYMOVE);
      syscall(SYS_madvise, page, kPage, MADV_DONTNEED);
      syscall(SYS_madvise, page, kPage, MADV_REMOVE);
      syscall(SYS_msync, page, kPage, MS_SYNC);
      syscall(SYS_mlock, page, kPage);
      syscall(SYS_mincore, page, kPage, source);
      syscall(SYS_brk, address + kPage);
      syscall(SYS_shmat, 0, page, SHM_REMAP);
      syscall(SYS_remap_file_pages, page, kPage, 0, 0, 0);
      syscall(SYS_pkey_mprotect, page, kPage, PROT_WRITE, -1);
      iovec own = {source, 8}, other = {page, 8};
      syscall(SYS_process_vm_writev, getpid(), &own, 1, &other, 1, 0);
      syscall(SYS_process_vm_readv, getpid(), &own, 1, &other, 1, 0);
      int fd = open("/proc/self/mem", O_RDWR);
      if (fd >= 0) (void)!pwrite(fd, source, 8, static_cast<off_t>(address));
      close(fd);
      // Copies by the kernel never reach them either.
      int fds[2];
      if (pipe(fds) == 0) {
        (void)!write(fds[1], "overwritten", 11);
        (void)!read(fds[0], page, 11);
        (void)!write(fds[1], page, 11);
        close(fds[0]);
        close(fds[1]);
      }
    }
    // And the whole range at once, with all that is ours above the stack.
    uint64_t start = std::max(StackEnd(), uint64_t{0x7ffff0000000});
    if (start < 0x7ffff8000000) syscall(SYS_munmap, start, 0x7ffff8000000 - start);
    syscall(SYS_mmap, 0x7fffff000000, 0xff0000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
            -1, 0);
  }));
}

[[noreturn]] void UsePage(int kind, uint64_t address) {
  CatchFaults();
  if (sigsetjmp(back, 1) != 0) _exit(0);
  if (kind == 0) (void)*reinterpret_cast<volatile char*>(address);
  if (kind == 1) *reinterpret_cast<volatile char*>(address) = 1;
  if (kind == 2) reinterpret_cast<void (*)()>(address)();
  _exit(0);
}

TEST(reads_writes_and_jumps_into_the_platforms_pages) {
  for (int kind = 0; kind < 3; ++kind) {
    for (uint64_t address : SuspectPages()) {
      // A jump may do anything with the child, also end it or never come back.
      pid_t child = fork();
      if (child == 0) UsePage(kind, address);
      int status;
      timespec pause = {0, 1'000'000};
      for (int i = 0; i < 100 && waitpid(child, &status, WNOHANG) == 0; ++i) nanosleep(&pause, nullptr);
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
    }
  }
}

bool CanRead(uint64_t address) {
  if (sigsetjmp(back, 1) != 0) return false;
  (void)*reinterpret_cast<volatile char*>(address);
  return true;
}

[[noreturn]] void JumpTo(uint64_t address) {
  if (sigsetjmp(back, 1) != 0) _exit(0);
  // With the registers that a list of commands would have: mmap over everything.
  static uint64_t commands[64];
  commands[1] = 1;
  commands[8] = SYS_exit_group;
  asm volatile(
      "movq %1, %%rbx\n movq %1, %%rbp\n movq %1, %%r15\n movl $9, %%r13d\n xorl %%r12d, %%r12d\n"
      "movl $231, %%eax\n xorl %%edi, %%edi\n jmp *%0\n"
      :
      : "r"(address), "r"(commands)
      : "rbx", "r12", "r13", "r15", "rax", "rdi", "memory");
  _exit(0);
}

// Every byte of a page that can be executed there, as an entry point.
TEST(jumps_to_every_byte_of_the_platforms_code) {
  std::vector<uint64_t> readable;
  CatchFaults();
  for (uint64_t address : SuspectPages()) {
    if (CanRead(address)) readable.push_back(address);
  }
  printf("%zu readable pages\n", readable.size());
  int jumps = 0;
  for (uint64_t page : readable) {
    for (uint64_t offset = 0; offset < 600; offset += 3) {
      pid_t child = fork();
      if (child == 0) JumpTo(page + offset);
      if (child < 0) continue;
      ++jumps;
      int status;
      timespec pause = {0, 200'000};
      for (int i = 0; i < 20 && waitpid(child, &status, WNOHANG) == 0; ++i) nanosleep(&pause, nullptr);
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
    }
  }
  printf("%d jumps\n", jumps);
}

// Two threads that take turns as fast as they can, so that the platform has them yield to each other, while a
// third one writes to every word of the platform's that it can: they may stumble, and are ended by their
// alarm or earlier.
TEST(turns_while_the_platforms_words_change) {
  CatchFaults();
  static std::vector<uint64_t> writable;
  for (uint64_t slot = 1; slot <= 4; ++slot) {
    const uint64_t out = 0x7fff70000000 + slot * 0x10000 + 0x4000;
    if (sigsetjmp(back, 1) != 0) continue;
    auto* word = reinterpret_cast<volatile uint32_t*>(out + 0xf00);
    *word = *word;
    writable.push_back(out);
  }
  printf("%zu slots\n", writable.size());
  for (int round = 0; round < 8; ++round) {
    StatusOf([round] {
      alarm(1);
      static std::atomic<uint32_t> turn{0};
      auto play = [](uint32_t me) {
        for (;;) {
          while (turn.load() != me)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 1 - me, nullptr, nullptr, 0);
          turn = 1 - me;
          syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
        }
      };
      std::thread(play, 1).detach();
      std::thread([round] {
        uint64_t state = 0x9e3779b97f4a7c15 * static_cast<uint64_t>(round + 1);
        for (;;) {
          state ^= state << 13;
          state ^= state >> 7;
          state ^= state << 17;
          for (uint64_t out : writable) {
            auto* words = reinterpret_cast<volatile uint32_t*>(out);
            // Whether the stub sleeps; in other rounds all that it publishes. Not the first word, which says
            // that a run ended: a process in which that is lost is killed, and the sandbox with it.
            constexpr uint64_t kSleeps = 64;
            words[round % 2 == 0 ? kSleeps : 1 + state % kSleeps] = static_cast<uint32_t>(state >> 32) % 4096;
          }
          if (state % 16 == 0) syscall(SYS_getppid);
        }
      }).detach();
      play(0);
    });
  }
  EXPECT_TRUE(Survives([] {}));
}

// The `syscall` instructions in the pages that can be read.
std::vector<uint64_t> CallsOfTheStub() {
  CatchFaults();
  static std::vector<uint64_t> sites;
  sites.clear();
  for (uint64_t address : SuspectPages()) {
    auto* page = reinterpret_cast<const volatile unsigned char*>(address);
    if (sigsetjmp(back, 1) != 0) continue;
    for (uint64_t i = 0; i + 1 < kPage; ++i)
      if (page[i] == 0x0f && page[i + 1] == 0x05) sites.push_back(address + i);
  }
  return sites;
}

// The stub's loop that yields, entered by a guest, and that call from each of the stub's `syscall`
// instructions: it is interrupted or killed like any other code.
TEST(yields_of_the_stub_made_by_the_guest) {
  std::vector<uint64_t> sites = CallsOfTheStub();
  for (uint64_t site : sites) {
    pid_t child = fork();
    if (child == 0) {
      for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS}) ::signal(signal, SIG_DFL);
      const uint64_t slot = (site & ~(kPage - 1)) + 0x10000;
      asm volatile("movq %1, %%rbx\n movl $-1, %%r12d\n jmp *%0\n"
                   :
                   : "r"(site), "D"(slot), "a"(SYS_sched_yield)
                   : "rbx", "r12", "memory");
      _exit(0);
    }
    ASSERT_TRUE(child > 0);
    int status;
    timespec pause = {0, 500'000};
    for (int i = 0; i < 40 && waitpid(child, &status, WNOHANG) == 0; ++i) nanosleep(&pause, nullptr);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  EXPECT_TRUE(Survives([] {}));
}

// What a keeper does for the Sentry, tried from its own `syscall` instructions by a guest that has not the
// key: a file of the Sentry mapped over our page. A call that the kernel of the sandbox answers changes
// nothing, for it knows of no such file; one that reached the host would.
TEST(calls_of_the_keeper_without_its_key) {
  std::vector<uint64_t> sites = CallsOfTheStub();
  printf("%zu system call instructions\n", sites.size());
  struct Shared {
    volatile int breached, tried;
  };
  auto* shared =
      static_cast<Shared*>(mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_TRUE(shared != MAP_FAILED);
  constexpr uint64_t kHigh = uint64_t{0xffffffff} << 32;
  for (uint64_t site : sites) {
    for (int fd = 0; fd < 24; ++fd) {
      pid_t child = fork();
      if (child == 0) {
        auto* target = static_cast<volatile char*>(
            mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        *target = 'A';
        for (int i = 3; i < 24; ++i) close(i);
        for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS}) ::signal(signal, SIG_DFL);
        // Dies, or comes back as what the stub makes of it: the page is looked at by another thread.
        pthread_t watcher;
        static volatile char* watched = target;
        pthread_create(
            &watcher, nullptr,
            [](void* argument) -> void* {
              auto* shared = static_cast<Shared*>(argument);
              for (int i = 0; i < 2000; ++i) {
                if (*watched != 'A') shared->breached = 1;
                if (shared->tried == 1 && i % 100 == 99) sched_yield();
              }
              _exit(0);
            },
            shared);
        shared->tried = 1;
        uint64_t flags = (MAP_SHARED | MAP_FIXED) | (fd % 2 == 0 ? 0 : kHigh);
        uint64_t file = static_cast<uint64_t>(fd / 2 + 3) | (fd % 2 == 0 ? 0 : kHigh);
        register uint64_t r10 asm("r10") = flags;
        register uint64_t r8 asm("r8") = file;
        register uint64_t r9 asm("r9") = 0;
        asm volatile("jmp *%0"
                     :
                     : "r"(site), "a"(SYS_mmap), "D"(target), "S"(kPage), "d"(PROT_READ | PROT_WRITE),
                       "r"(r10), "r"(r8), "r"(r9)
                     : "memory");
        _exit(0);
      }
      ASSERT_TRUE(child > 0);
      int status;
      timespec pause = {0, 500'000};
      for (int i = 0; i < 40 && waitpid(child, &status, WNOHANG) == 0; ++i) nanosleep(&pause, nullptr);
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
    }
  }
  EXPECT_EQ(shared->breached, 0);
  if (!sites.empty()) EXPECT_EQ(shared->tried, 1);
}

TEST(other_doors_to_the_kernel) {
  EXPECT_TRUE(DiesOf(SIGTRAP, [] { asm volatile("int3"); }));
  EXPECT_TRUE(DiesOf(SIGILL, [] { asm volatile("ud2"); }));
  EXPECT_TRUE(DiesOf(SIGSEGV, [] { asm volatile("hlt"); }));
  EXPECT_TRUE(DiesOf(SIGSEGV, [] { asm volatile("int $0x20"); }));
  EXPECT_TRUE(DiesOf(SIGSEGV, [] { asm volatile("cli"); }));
  EXPECT_TRUE(DiesOf(SIGSEGV, [] { asm volatile("outb %al, $0x80"); }));
  EXPECT_TRUE(DiesOf(SIGSEGV, [] { asm volatile("wrmsr" : : "a"(0), "c"(0), "d"(0)); }));
  EXPECT_TRUE(DiesOf(SIGSEGV, [] { asm volatile("mov %%cr3, %%rax" : : : "rax"); }));
  // 32-bit calls: exit(7) with IA32 emulation, a fault without.
  for (int kind = 0; kind < 2; ++kind) {
    int status = StatusOf([kind] {
      if (kind == 0) asm volatile("int $0x80" : : "a"(1), "b"(7));
      // sysenter in 64-bit mode comes back nowhere sensible.
      if (kind == 1) asm volatile("mov %%rsp, %%rbp\n sysenter" : : "a"(1), "b"(7) : "memory");
    });
    EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 7);
  }
  for (long number : {0x40000000L + SYS_write, 0x40000000L + 520, 512L, 547L, -1L, long(0x80000001)})
    EXPECT_ERRNO(syscall(number, -1, 0, 0), ENOSYS);
  // Only the low half of rax is the number.
  EXPECT_ERRNO(syscall((long(1) << 40) + SYS_write, -1, 0, 0), EBADF);
  // vsyscall: the calls that Linux still emulates, or a fault.
  StatusOf([] { reinterpret_cast<long (*)(void*, void*)>(0xffffffffff600000)(nullptr, nullptr); });
  StatusOf([] { reinterpret_cast<long (*)(void*)>(0xffffffffff600123)(nullptr); });
}

TEST(far_jumps_to_32_bit_code) {
  auto* code = static_cast<unsigned char*>(mmap(nullptr, kPage, PROT_READ | PROT_WRITE | PROT_EXEC,
                                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
  ASSERT_TRUE(code != MAP_FAILED);
  // In 32-bit mode: mov $1, %eax; mov $9, %ebx; int $0x80; ud2
  const unsigned char exits[] = {0xb8, 1, 0, 0, 0, 0xbb, 9, 0, 0, 0, 0xcd, 0x80, 0x0f, 0x0b};
  memcpy(code, exits, sizeof(exits));
  // sysenter; ud2 and syscall; ud2 as 32-bit code
  const unsigned char sysenter[] = {0xb8, 20, 0, 0, 0, 0x0f, 0x34, 0x0f, 0x0b};
  memcpy(code + 256, sysenter, sizeof(sysenter));
  const unsigned char syscall32[] = {0xb8, 20, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x0b};
  memcpy(code + 512, syscall32, sizeof(syscall32));
  const unsigned char spin[] = {0xeb, 0xfe};
  memcpy(code + 768, spin, sizeof(spin));
  for (uint64_t offset : {0, 256, 512, 768}) {
    pid_t child = fork();
    if (child == 0) {
      alarm(1);
      struct {
        uint32_t offset;
        uint16_t selector;
      } __attribute__((packed))
      target = {static_cast<uint32_t>(reinterpret_cast<uint64_t>(code) + offset), 0x23};
      // The stack too has to be below 4 GB for whatever comes of it.
      uint64_t stack = reinterpret_cast<uint64_t>(code) + kPage - 64;
      asm volatile("mov %1, %%rsp\n ljmp *%0" : : "m"(target), "r"(stack) : "memory");
    }
    int status;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) || WIFEXITED(status));
  }
}

TEST(odd_flags) {
  auto with_flags = [](uint64_t flags) {
    return [flags] {
      asm volatile("pushfq\n orq %0, (%%rsp)\n popfq\n" : : "r"(flags) : "memory", "cc");
      syscall(SYS_getpid);
      syscall(SYS_sched_yield);
      asm volatile("pushfq\n andq %0, (%%rsp)\n popfq\n" : : "r"(~flags) : "memory", "cc");
    };
  };
  EXPECT_TRUE(Survives(with_flags(1 << 14)));        // NT
  EXPECT_TRUE(Survives(with_flags(1 << 10)));        // DF
  EXPECT_TRUE(Survives(with_flags(1 << 21)));        // ID
  EXPECT_TRUE(DiesOf(SIGTRAP, with_flags(1 << 8)));  // TF
  int status = StatusOf([] {
    // AC: an access that is not aligned.
    alignas(8) char bytes[16] = {};
    asm volatile("pushfq\n orq $0x40000, (%%rsp)\n popfq\n movq $1, 1(%0)\n" : : "r"(bytes) : "memory", "cc");
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
  // Single steps through system calls, seen by a handler.
  EXPECT_TRUE(Survives([] {
    signal(SIGTRAP, [](int) {});
    asm volatile("pushfq\n orq $0x100, (%%rsp)\n popfq\n" : : : "memory", "cc");
    for (int i = 0; i < 50; ++i) syscall(SYS_getpid);
    asm volatile("pushfq\n andq $~0x100, (%%rsp)\n popfq\n" : : : "memory", "cc");
  }));
}

TEST(segment_registers) {
  for (int selector : {0x08, 0x10, 0x18, 0x23, 0x2b, 0x33, 0x3b, 0x63, 0x7b, 0xfffb, 0xffff, 0x0f, 0x07}) {
    for (int which = 0; which < 4; ++which) {
      int status = StatusOf([=] {
        if (which == 0) asm volatile("mov %0, %%ds" : : "r"(selector));
        if (which == 1) asm volatile("mov %0, %%es" : : "r"(selector));
        if (which == 2) asm volatile("mov %0, %%gs" : : "r"(selector));
        if (which == 3) asm volatile("mov %0, %%ss" : : "r"(selector));
        syscall(SYS_getpid);
        syscall(SYS_sched_yield);
      });
      EXPECT_TRUE(WIFSIGNALED(status) ? WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS
                                      : status == 0);
    }
  }
  EXPECT_TRUE(Survives([] {
    for (uint64_t base : {uint64_t{0}, uint64_t{0x7fffffffffff}, uint64_t{0x800000000000},
                          uint64_t{0xffffffff81000000}, ~uint64_t{0}, uint64_t{0x7fffffff0000}}) {
      syscall(SYS_arch_prctl, ARCH_SET_GS, base);
      syscall(SYS_getpid);
    }
  }));
  // wrfsbase/wrgsbase, where the machine has them.
  StatusOf([] {
    asm volatile("wrgsbase %0" : : "r"(0x7ffffffff123));
    syscall(SYS_getpid);
  });
  StatusOf([] {
    asm volatile("wrgsbase %0" : : "r"(0xffffffff81000000));
    syscall(SYS_getpid);
    syscall(SYS_gettid);
  });
  StatusOf([] {
    asm volatile("wrfsbase %0" : : "r"(0xffff888000000000));
    for (;;) asm volatile("syscall" : : "a"(60), "D"(0));
  });
}

// ---- Signal frames ----

uint64_t seed;
uint64_t Random() {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed;
}

uint64_t BadWord() {
  static const uint64_t kWords[] = {0,
                                    1,
                                    0x7fffffffffff,
                                    0x7ffffffff000,
                                    0x800000000000,
                                    0xffff800000000000,
                                    0xffffffffff600000,
                                    ~uint64_t{0},
                                    0x8000000000000000,
                                    0x4141414141414141,
                                    0x23,
                                    0x33,
                                    0x2b,
                                    0x10,
                                    0xffff,
                                    0x100,
                                    0x46505853,
                                    0x46505845,
                                    832,
                                    0xffffffff};
  return Random() % 4 == 0 ? Random() : kWords[Random() % (sizeof(kWords) / sizeof(kWords[0]))];
}

volatile int mutation;
void Mutate(int, siginfo_t*, void* context) {
  auto* ucontext = static_cast<ucontext_t*>(context);
  auto* words = reinterpret_cast<uint64_t*>(ucontext);
  auto& registers = ucontext->uc_mcontext.gregs;
  switch (mutation % 8) {
    case 0:
      registers[REG_RIP] = static_cast<greg_t>(BadWord());
      break;
    case 1:
      registers[REG_CSGSFS] = static_cast<greg_t>(BadWord());
      break;
    case 2:
      registers[REG_RSP] = static_cast<greg_t>(BadWord());
      break;
    case 3:
      registers[REG_EFL] = static_cast<greg_t>(BadWord());
      break;
    case 4:
      ucontext->uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(BadWord());
      break;
    case 5: {
      // The XSAVE area: its sizes, features and header.
      auto* fp = reinterpret_cast<uint64_t*>(ucontext->uc_mcontext.fpregs);
      for (int i = 0; i < 3; ++i) fp[464 / 8 + Random() % 16] = BadWord();
      break;
    }
    case 6: {
      auto* fp = reinterpret_cast<uint64_t*>(ucontext->uc_mcontext.fpregs);
      for (int i = 0; i < 8; ++i) fp[Random() % 100] = BadWord();
      break;
    }
    default:
      for (int i = 0; i < 4; ++i) words[Random() % (sizeof(ucontext_t) / 8)] = BadWord();
  }
}

TEST(signal_frames_that_no_kernel_made) {
  for (int round = 0; round < 600; ++round) {
    StatusOf([round] {
      seed = 0x9e3779b97f4a7c15 * static_cast<uint64_t>(round + 1);
      mutation = round;
      alarm(1);
      struct sigaction action = {};
      action.sa_sigaction = Mutate;
      action.sa_flags = SA_SIGINFO;
      sigaction(SIGUSR1, &action, nullptr);
      raise(SIGUSR1);
      syscall(SYS_getpid);
    });
  }
  // Without any frame, and with the stack nowhere.
  StatusOf([] { syscall(SYS_rt_sigreturn); });
  for (uint64_t stack :
       {uint64_t{0}, uint64_t{8}, uint64_t{0x7ffffffff000}, uint64_t{0xffff800000000000}, ~uint64_t{0} - 8})
    EXPECT_TRUE(DiesOf(SIGSEGV, [stack] {
      asm volatile("mov %0, %%rsp\n mov $15, %%eax\n syscall\n ud2" : : "r"(stack));
    }));
  // Delivery to a stack, a handler and a restorer that are not there.
  for (uint64_t bad :
       {uint64_t{0x10}, uint64_t{0x7ffffffff000}, uint64_t{0x7fffffff0000}, uint64_t{0xffff800000000000}}) {
    EXPECT_TRUE(DiesOf(SIGSEGV, [bad] {
      uint64_t action[4] = {bad, 0x04000000, bad, 0};
      syscall(SYS_rt_sigaction, SIGUSR1, action, nullptr, 8);
      syscall(SYS_kill, getpid(), SIGUSR1);
      for (int i = 0; i < 1000; ++i) syscall(SYS_sched_yield);
    }));
    EXPECT_TRUE(DiesOf(SIGSEGV, [bad] {
      signal(SIGUSR1, [](int) {});
      asm volatile(
          "mov %0, %%rsp\n mov $39, %%eax\n syscall\n mov %%eax, %%edi\n mov $10, %%esi\n mov $62, %%eax\n"
          "syscall\n ud2"
          :
          : "r"(bad));
    }));
  }
}

TEST(filters_on_filters) {
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, nullptr) < 0 && errno == EINVAL)
    SKIP("no seccomp in this kernel");
  // Some filters kill the child; the kernel goes on.
  StatusOf([] {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (int round = 0; round < 300; ++round) {
      seed = 0x1234567 + static_cast<uint64_t>(round);
      sock_filter code[64];
      for (auto& one : code)
        one = {static_cast<uint16_t>(Random() & 0xff), static_cast<uint8_t>(Random()),
               static_cast<uint8_t>(Random()), static_cast<uint32_t>(BadWord())};
      code[63] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
      sock_fprog program = {static_cast<unsigned short>(Random() % 65), code};
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
      syscall(SYS_seccomp, Random() % 5, Random() % 64, &program);
    }
  });
  EXPECT_TRUE(Survives([] {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    sock_fprog program = {1, code};
    int count = 0;
    while (count < 40000 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0) ++count;
    // Linux ends this at 32768 instructions in total.
    if (count == 40000) _exit(1);
  }));
  EXPECT_TRUE(DiesOf(SIGKILL, [] {
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    syscall(SYS_getpid);
  }));
}

// Two threads: one changes the memory that the other one's system calls are reading.
TEST(arguments_that_change_while_they_are_read) {
  static uint64_t area[512];
  static std::atomic<bool> stop{false};
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                  uint64_t state = 88172645463325252;
                  while (!stop.load()) {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    area[state % 512] = state % 3 == 0 ? state : state % 64;
                  }
                  return nullptr;
                },
                nullptr),
            0);
  // What waits has a time of its own that does not change.
  static timespec none = {0, 0};
  for (int i = 0; i < 3000; ++i) {
    syscall(SYS_writev, -1, area, 300);
    syscall(SYS_readv, -1, area, 8);
    syscall(SYS_sendmsg, -1, area, 0);
    syscall(SYS_poll, area, 8, 0);
    syscall(SYS_pselect6, 64, area, area + 8, area + 16, &none, area + 24);
    syscall(SYS_clone3, nullptr, 88);
    syscall(SYS_futex, area, 1, 1);
    syscall(SYS_rt_sigtimedwait, area, area + 4, &none, 8);
  }
  stop = true;
  pthread_join(thread, nullptr);
}

// Unmapping and mapping under the feet of others.
TEST(mappings_that_come_and_go) {
  static std::atomic<char*> area{nullptr};
  static std::atomic<bool> stop{false};
  constexpr size_t kSize = 16 * kPage;
  area = static_cast<char*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  EXPECT_TRUE(Survives([] {
    pthread_t thread;
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          while (!stop.load()) {
            munmap(area, kSize);
            mmap(area, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            mprotect(area, kSize / 2, PROT_NONE);
          }
          return nullptr;
        },
        nullptr);
    int fds[2];
    (void)!pipe2(fds, O_NONBLOCK);
    for (int i = 0; i < 3000; ++i) {
      (void)!write(fds[1], area, kSize);
      (void)!read(fds[0], area, kSize);
      syscall(SYS_futex, area.load(), 0, 12345, nullptr);
    }
    stop = true;
    pthread_join(thread, nullptr);
  }));
}

}  // namespace
