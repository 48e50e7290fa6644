// Interrupt at any moment, and death of a stub.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "platform/systrap/systrap_platform.h"
#include "test/platform/guest.h"

namespace runsc::platform_test {
namespace {

GUEST(forever, "1: incq (%rdi); jmp 1b\n");
GUEST(calls, "1: inc %r15; mov $7, %eax; syscall; jmp 1b\n");

TEST(InterruptBeforeSwitchIsKept) {
  Guest guest(platform);
  guest.Load(guest_forever, guest_forever_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  r.rdi = kData;
  for (int i = 0; i < 1000; ++i) {
    context->Interrupt();
    if (i % 3 == 0) context->Interrupt();
    EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kInterrupted);
  }
}

// Each Interrupt of a running Switch ends it; none is lost.
TEST(InterruptRunningSwitch) {
  Guest guest(platform);
  guest.Load(guest_forever, guest_forever_end);
  auto context = guest.NewContext();
  constexpr int kRounds = 3000;
  std::atomic<int> ended{0};
  std::thread task([&] {
    Registers r = guest.Start();
    r.rdi = kData;
    for (int i = 0; i < kRounds; ++i) {
      SwitchResult s = context->Switch(guest.space(), r, false);
      EXPECT(s.reason == Reason::kInterrupted);
      ended.fetch_add(1);
    }
    context->Detach();
  });
  for (int i = 0; i < kRounds; ++i) {
    // At different moments: before the Switch, on its way in, in guest code.
    for (int spin = 0; spin < (i % 64) * 50; ++spin) __builtin_ia32_pause();
    context->Interrupt();
    while (ended.load() == i) std::this_thread::yield();
  }
  task.join();
}

// A storm of interrupts neither loses nor repeats system calls.
TEST(InterruptStorm) {
  Guest guest(platform);
  guest.Load(guest_calls, guest_calls_end);
  auto context = guest.NewContext();
  std::atomic<bool> stop{false};
  std::thread task([&] {
    Registers r = guest.Start();
    uint64_t calls = 0;
    int interrupted = 0;
    for (int i = 0; i < 20000; ++i) {
      SwitchResult s = context->Switch(guest.space(), r, i % 16 == 15);
      if (s.reason == Reason::kSyscall) {
        ++calls;
        EXPECT_EQ(r.r15, calls);
        EXPECT_EQ(r.orig_rax, 7u);
        r.rax = static_cast<uint64_t>(-512);
      } else if (s.reason == Reason::kInterrupted) {
        ++interrupted;
      } else {
        EXPECT(s.reason == Reason::kFault);
        EXPECT_EQ(s.signal, SIGTRAP);  // a single step
      }
    }
    EXPECT(interrupted > 0);
    stop = true;
    context->Detach();
  });
  while (!stop) {
    context->Interrupt();
    for (int spin = 0; spin < 100; ++spin) __builtin_ia32_pause();
  }
  task.join();
}

// All processes whose memory is emptied like a stub's: children of this one.
std::set<pid_t> Children() {
  std::set<pid_t> children;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return children;
  while (dirent* entry = readdir(proc)) {
    pid_t pid = atoi(entry->d_name);
    if (pid <= 0) continue;
    char path[64], line[512] = {};
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE* file = fopen(path, "r");
    if (file == nullptr) continue;
    int parent = -1;
    char state = '?';
    if (fgets(line, sizeof(line), file) != nullptr && strrchr(line, ')') != nullptr)
      sscanf(strrchr(line, ')'), ") %c %d", &state, &parent);
    fclose(file);
    if (parent == getpid() && state != 'Z') children.insert(pid);
  }
  closedir(proc);
  return children;
}

TEST(KilledStub) {
  for (int round = 0; round < 4; ++round) {
    std::set<pid_t> before = Children();
    Guest guest(platform);
    guest.Load(guest_forever, guest_forever_end);
    auto context = guest.NewContext(), second = guest.NewContext();
    std::set<pid_t> stubs;
    for (pid_t pid : Children())
      if (before.count(pid) == 0) stubs.insert(pid);
    EXPECT_EQ(stubs.size(), 1u);
    auto kill_stub = [&stubs] {
      for (pid_t pid : stubs) kill(pid, SIGKILL);
    };
    if (round == 0) {
      kill_stub();  // before anything ran
    }
    std::atomic<bool> done{false};
    std::thread task([&] {
      Registers r = guest.Start();
      r.rdi = kData;
      if (round >= 2) {  // stopped between two Switches
        context->Interrupt();
        EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kInterrupted);
      }
      if (round == 2) kill_stub();
      EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kDead);
      EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kDead);
      EXPECT(!guest.space().Unmap(kData, kPage).ok());
      std::vector<std::byte> state(platform.fp_state_size());
      (void)context->GetFpState(state);
      context->Interrupt();
      context->Detach();
      done = true;
    });
    if (round == 1 || round == 3) {
      while (guest.Data<uint64_t>(0).load() == 0) std::this_thread::yield();
      kill_stub();
    }
    task.join();
    EXPECT(!guest.space().MapFile(kData, guest.fd(), 0, kPage, {PROT_READ}).ok());
    Registers r = guest.Start();
    EXPECT(second->Switch(guest.space(), r, false).reason == Reason::kDead);
  }
  // The platform itself is unharmed.
  Guest guest(platform);
  guest.Load(guest_calls, guest_calls_end);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
}

// A process of its own that traces the keeper and holds the thread which that makes next, at its first
// instruction. Says on `out` when it traces and again when it holds one; lets go when `in` closes.
[[noreturn]] void HoldNextThread(pid_t keeper, int in, int out) {
  auto say = [out] { (void)!write(out, "x", 1); };
  int status = 0;
  unsigned long thread = 0;
  if (ptrace(PTRACE_SEIZE, keeper, 0, PTRACE_O_TRACECLONE) != 0) _exit(1);
  say();
  while (thread == 0) {
    if (waitpid(keeper, &status, __WALL) != keeper || !WIFSTOPPED(status)) _exit(1);
    if (status >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8)) ptrace(PTRACE_GETEVENTMSG, keeper, 0, &thread);
    ptrace(PTRACE_CONT, keeper, 0, 0);
  }
  waitpid(static_cast<pid_t>(thread), &status, __WALL);
  say();
  char byte;
  (void)!read(in, &byte, 1);
  _exit(0);  // its tracees go on
}

// A thread whose first turn comes when its keeper is long at other work is no keeper for it.
TEST(ThreadThatStartsLate) {
  if (dynamic_cast<SystrapPlatform*>(&platform) == nullptr) return;  // ptrace's threads have their tracer
  std::set<pid_t> before = Children();
  Guest guest(platform);
  guest.Load(guest_calls, guest_calls_end);
  std::set<pid_t> stubs = Children();
  for (pid_t pid : before) stubs.erase(pid);
  EXPECT_EQ(stubs.size(), 1u);
  auto first = guest.NewContext(), second = guest.NewContext();
  Registers r = guest.Start();
  EXPECT(first->Switch(guest.space(), r, false).reason == Reason::kSyscall);

  int to_holder[2], from_holder[2];
  EXPECT(pipe2(to_holder, O_CLOEXEC) == 0 && pipe2(from_holder, O_CLOEXEC) == 0);
  pid_t holder = fork();
  if (holder == 0) {
    close(to_holder[1]);
    HoldNextThread(*stubs.begin(), to_holder[0], from_holder[1]);
  }
  close(to_holder[0]);
  close(from_holder[1]);
  char byte;
  if (read(from_holder[0], &byte, 1) == 1) {
    std::thread task([&] {
      Registers r = guest.Start();
      EXPECT(second->Switch(guest.space(), r, false).reason == Reason::kSyscall);
      second->Detach();
    });
    EXPECT(read(from_holder[0], &byte, 1) == 1);
    // A list that is longer than the thread's own.
    guest.space().BeginBatch();
    for (uint64_t page = 1; page < kDataPages; page += 2)
      EXPECT(guest.space().MapFile(kData + page * kPage, guest.fd(), kPage, kPage, {PROT_READ}).ok());
    EXPECT(guest.space().EndBatch().ok());
    close(to_holder[1]);
    task.join();
  } else {
    puts("SKIPPED ThreadThatStartsLate: a stub process cannot be traced here");
    close(to_holder[1]);
  }
  waitpid(holder, nullptr, 0);
  close(from_holder[0]);
}

// Signals from outside are no business of the guest's.
TEST(ForeignSignals) {
  std::set<pid_t> before = Children();
  Guest guest(platform);
  guest.Load(guest_calls, guest_calls_end);
  std::set<pid_t> stubs = Children();
  for (pid_t pid : before) stubs.erase(pid);
  EXPECT_EQ(stubs.size(), 1u);
  auto context = guest.NewContext();
  Registers r = guest.Start();
  for (int i = 0; i < 200; ++i) {
    for (pid_t pid : stubs) kill(pid, i % 2 == 0 ? SIGURG : SIGWINCH);
    EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
    EXPECT_EQ(r.r15, static_cast<uint64_t>(i + 1));
  }
  // Stopped from outside: goes on by itself.
  for (pid_t pid : stubs) kill(pid, SIGSTOP);
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  std::thread([&] { EXPECT(guest.space().Unmap(kData, kPage).ok()); }).join();
  EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
}

// Not a timed assertion: prints how evenly busy guest threads share the CPUs.
TEST(BusyThreadsShareTheCpus) {
  constexpr int kThreads = 4;
  Guest guest(platform);
  guest.Load(guest_forever, guest_forever_end);
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<std::thread> tasks;
  for (int i = 0; i < kThreads; ++i) contexts.push_back(guest.NewContext());
  std::atomic<bool> stop{false};
  for (int i = 0; i < kThreads; ++i) {
    tasks.emplace_back([&, i] {
      Registers r = guest.Start();
      r.rdi = kData + 256 * static_cast<uint64_t>(i);
      while (!stop)
        EXPECT(contexts[static_cast<size_t>(i)]->Switch(guest.space(), r, false).reason ==
               Reason::kInterrupted);
      contexts[static_cast<size_t>(i)]->Detach();
    });
  }
  timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // until the balancer has seen them
  uint64_t first[kThreads], total = 0;
  for (int i = 0; i < kThreads; ++i) first[i] = guest.Data<uint64_t>(256 * static_cast<uint64_t>(i)).load();
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  clock_gettime(CLOCK_MONOTONIC, &end);
  for (int i = 0; i < kThreads; ++i) {
    first[i] = guest.Data<uint64_t>(256 * static_cast<uint64_t>(i)).load() - first[i];
    total += first[i];
  }
  stop = true;
  for (auto& context : contexts) context->Interrupt();
  for (auto& task : tasks) task.join();
  printf("       shares of %d busy threads, in percent:", kThreads);
  for (uint64_t share : first)
    printf(" %llu", static_cast<unsigned long long>(share * 100 / (total == 0 ? 1 : total)));
  printf("; %llu M iterations\n", static_cast<unsigned long long>(total / 1000000));
  EXPECT(total > 0);
}

// More callers than CPUs: a platform may let them run in turn, but each has to come round, and an interrupt
// has to reach one that waits.
TEST(ManyCallersComeRound) {
  constexpr size_t kThreads = 6;
  Guest guest(platform);
  guest.Load(guest_calls, guest_calls_end);
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<std::thread> tasks;
  for (size_t i = 0; i < kThreads; ++i) contexts.push_back(guest.NewContext());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> calls[kThreads] = {}, interrupts[kThreads] = {};
  for (size_t i = 0; i < kThreads; ++i) {
    tasks.emplace_back([&, i] {
      Registers r = guest.Start();
      while (!stop) {
        SwitchResult s = contexts[i]->Switch(guest.space(), r, false);
        (s.reason == Reason::kInterrupted ? interrupts : calls)[i].fetch_add(1);
        // Some of them sleep at times.
        if (i % 3 == 0 && calls[i] % 4096 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      contexts[i]->Detach();
    });
  }
  auto* systrap = dynamic_cast<SystrapPlatform*>(&platform);
  int in_turn = 0;
  for (int round = 0; round < 20; ++round) {
    uint64_t before[kThreads], calls_before[kThreads];
    if (systrap != nullptr && systrap->balancer().any_in_turn()) ++in_turn;
    for (size_t i = 0; i < kThreads; ++i) before[i] = interrupts[i], calls_before[i] = calls[i];
    for (auto& context : contexts) context->Interrupt();
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
    // However long the machine takes for it.
    for (size_t i = 0; i < kThreads; ++i) {
      while (interrupts[i] == before[i] || calls[i] == calls_before[i])
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  stop = true;
  for (auto& context : contexts) context->Interrupt();
  for (auto& task : tasks) task.join();
  uint64_t least = ~uint64_t{0}, all = 0;
  for (const auto& count : calls) {
    least = std::min(least, count.load());
    all += count;
  }
  printf("       %llu calls, the slowest %llu; in turn %d times of 20\n",
         static_cast<unsigned long long>(all), static_cast<unsigned long long>(least), in_turn);
  EXPECT(least > 0);
}

}  // namespace
}  // namespace runsc::platform_test
