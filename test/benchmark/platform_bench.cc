// What the ptrace platform costs, beside what ptrace itself costs. Prints nanoseconds.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include <thread>

#include "platform/ptrace/ptrace_platform.h"
#include "test/platform/guest.h"

namespace runsc::platform_test {

std::vector<Test>& Tests() {
  static std::vector<Test> tests;
  return tests;
}
void Failed(const char*, int, const char*, long long, long long) {}

namespace {

GUEST(syscalls, "1: mov $7, %eax; syscall; jmp 1b\n");
GUEST(touch, "1: movzbl (%rdi), %ebx; add $4096, %rdi; jmp 1b\n");

double Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

template <typename F>
void Measure(const char* what, int count, F f) {
  double start = Now();
  for (int i = 0; i < count; ++i) f(i);
  printf("%-58s %10.0f ns\n", what, (Now() - start) / count);
  fflush(stdout);
}

void PinTo(pid_t pid, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(pid, sizeof(set), &set);
}

// The same four host calls that a Switch makes, with nothing around them.
void BarePtrace() {
  std::thread([] {
    pid_t child = fork();
    if (child == 0) {
      while (true) syscall(SYS_getppid);
    }
    PinTo(0, 0);
    PinTo(child, 0);
    ptrace(PTRACE_SEIZE, child, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
    ptrace(PTRACE_INTERRUPT, child, nullptr, nullptr);
    waitpid(child, nullptr, __WALL);
    user_regs_struct registers = {};
    ptrace(PTRACE_GETREGS, child, nullptr, &registers);
    Measure("bare ptrace round trip, one CPU, registers in and out", 50000, [&](int) {
      ptrace(PTRACE_SETREGS, child, nullptr, &registers);
      ptrace(PTRACE_SYSEMU, child, nullptr, nullptr);
      waitpid(child, nullptr, __WALL);
      ptrace(PTRACE_GETREGS, child, nullptr, &registers);
      registers.orig_rax = ~0ull;
    });
    kill(child, SIGKILL);
    waitpid(child, nullptr, __WALL);
  }).join();
}

int Main() {
  auto made = NewPtracePlatform();
  if (!made.ok()) {
    printf("SKIPPED: %s\n", std::string(made.error().message()).c_str());
    return 77;
  }
  Platform& platform = **made;
  BarePtrace();
  {
    Guest guest(platform, 64);
    guest.Load(guest_syscalls, guest_syscalls_end);
    auto context = guest.NewContext();
    Registers r = guest.Start();
    context->Switch(guest.space(), r, false);
    Measure("Switch, a system call", 50000, [&](int) { context->Switch(guest.space(), r, false); });
    constexpr uint64_t kArea = 0x7000000000;
    Measure("MapFile + Unmap by the task's thread, each", 10000, [&](int i) {
      if (i % 2 == 0)
        (void)guest.space().MapFile(kArea, guest.fd(), 0, kPage, {PROT_READ});
      else
        (void)guest.space().Unmap(kArea, kPage);
    });
    Measure("batch of 32 MapFile by the task's thread", 1000, [&](int) {
      guest.space().BeginBatch();
      for (uint64_t k = 0; k < 32; ++k)
        (void)guest.space().MapFile(kArea + k * 2 * kPage, guest.fd(), k * kPage, kPage, {PROT_READ});
      (void)guest.space().EndBatch();
    });
    std::thread([&] {
      Measure("MapFile + Unmap by another thread, each", 5000, [&](int i) {
        if (i % 2 == 0)
          (void)guest.space().MapFile(kArea, guest.fd(), 0, kPage, {PROT_READ});
        else
          (void)guest.space().Unmap(kArea, kPage);
      });
    }).join();
  }
  {
    Guest guest(platform, 64);
    guest.Load(guest_touch, guest_touch_end);
    auto context = guest.NewContext();
    Registers r = guest.Start();
    r.rdi = 0x7000000000;
    Measure("Switch to a fault + MapFile", 20000, [&](int i) {
      SwitchResult s = context->Switch(guest.space(), r, false);
      (void)guest.space().MapFile(s.address & ~(kPage - 1), guest.fd(), static_cast<uint64_t>(i % 32) * kPage,
                                  kPage, {PROT_READ});
    });
  }
  {
    Guest guest(platform, 64);
    guest.Load(guest_syscalls, guest_syscalls_end);
    Registers r = guest.Start();
    auto keep = guest.NewContext();
    keep->Switch(guest.space(), r, false);
    std::vector<std::unique_ptr<Context>> contexts;
    Measure("new context: first Switch", 200, [&](int) {
      contexts.push_back(guest.NewContext());
      Registers start = guest.Start();
      contexts.back()->Switch(guest.space(), start, false);
    });
    for (auto& context : contexts) context->Detach();
    Measure("new context on a parked thread: first Switch, Detach", 1000, [&](int) {
      Registers start = guest.Start();
      contexts[0]->Switch(guest.space(), start, false);
      contexts[0]->Detach();
    });
  }
  Measure("NewAddressSpace + release", 300, [&](int) { auto space = platform.NewAddressSpace(); });
  {
    std::vector<RefPtr<AddressSpace>> spaces;
    Measure("NewAddressSpace", 50, [&](int) { spaces.push_back(*platform.NewAddressSpace()); });
    Measure("release", 50, [&](int) { spaces.pop_back(); });
  }
  {
    Guest base(platform, 64);
    memcpy(base.memory(), guest_syscalls, static_cast<size_t>(guest_syscalls_end - guest_syscalls));
    Measure("NewAddressSpace, map code, first Switch, Detach, release", 300, [&](int) {
      auto space = *platform.NewAddressSpace();
      (void)space->MapFile(kCode, base.fd(), 0, kPage, {PROT_READ | PROT_EXEC});
      auto context = platform.NewContext();
      Registers r = base.Start();
      context->Switch(*space, r, false);
    });
  }
  return 0;
}

}  // namespace
}  // namespace runsc::platform_test

int main() { return runsc::platform_test::Main(); }
