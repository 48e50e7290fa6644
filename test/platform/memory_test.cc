// Address spaces: mapping, protecting, many of them, batches, hostile use of stub memory.
#include <signal.h>
#include <sys/syscall.h>

#include <thread>

#include "test/platform/guest.h"

namespace runsc::platform_test {
namespace {

constexpr uint64_t kArea = 0x7000000000;

// Reads or writes one byte at rdi, then makes call 7.
GUEST(peek, "1: movzbl (%rdi), %ebx; mov $7, %eax; syscall; jmp 1b\n");
GUEST(poke, "1: movb $0x42, (%rdi); mov $7, %eax; syscall; jmp 1b\n");
GUEST(spin_read, "1: incq (%rsi); movzbl (%rdi), %ebx; jmp 1b\n");
GUEST(spin, "1: incq (%rsi); jmp 1b\n");
GUEST(syscalls, "1: mov $7, %eax; syscall; jmp 1b\n");

SwitchResult At(Context& context, Guest& guest, uint64_t address, Registers* out = nullptr) {
  Registers r = guest.Start();
  r.rdi = address;
  SwitchResult s = context.Switch(guest.space(), r, false);
  if (out != nullptr) *out = r;
  return s;
}

TEST(MapUnmapProtect) {
  Guest guest(platform);
  guest.Load(guest_poke, guest_poke_end);
  auto context = guest.NewContext();
  EXPECT(At(*context, guest, kArea).reason == Reason::kFault);
  EXPECT(guest.space().MapFile(kArea, guest.fd(), 20 * kPage, 4 * kPage, {PROT_READ | PROT_WRITE}).ok());
  EXPECT(At(*context, guest, kArea + 3 * kPage).reason == Reason::kSyscall);
  EXPECT_EQ(guest.memory()[23 * kPage], 0x42);
  EXPECT(guest.space().Protect(kArea, 4 * kPage, PROT_READ).ok());
  SwitchResult s = At(*context, guest, kArea);
  EXPECT(s.reason == Reason::kFault);
  EXPECT_EQ(s.code, SEGV_ACCERR);
  EXPECT(guest.space().Protect(kArea, 4 * kPage, PROT_READ | PROT_WRITE).ok());
  EXPECT(At(*context, guest, kArea).reason == Reason::kSyscall);
  // Unmap the middle; a Protect across the hole reaches both sides.
  EXPECT(guest.space().Unmap(kArea + kPage, 2 * kPage).ok());
  s = At(*context, guest, kArea + kPage);
  EXPECT(s.reason == Reason::kFault);
  EXPECT_EQ(s.code, SEGV_MAPERR);
  EXPECT(guest.space().Protect(kArea - kPage, 8 * kPage, PROT_READ).ok());
  EXPECT_EQ(At(*context, guest, kArea).code, SEGV_ACCERR);
  EXPECT_EQ(At(*context, guest, kArea + 3 * kPage).code, SEGV_ACCERR);
  EXPECT_EQ(At(*context, guest, kArea + 2 * kPage).code, SEGV_MAPERR);
  // Replace what is there.
  EXPECT(
      guest.space().MapFile(kArea, guest.fd(), 30 * kPage, 4 * kPage, {PROT_READ | PROT_WRITE, true}).ok());
  EXPECT(At(*context, guest, kArea + kPage).reason == Reason::kSyscall);
  EXPECT_EQ(guest.memory()[31 * kPage], 0x42);
  // Nothing there, or nothing left.
  EXPECT(guest.space().Unmap(kArea + 0x1000000, kPage).ok());
  EXPECT(guest.space().Unmap(kArea - 16 * kPage, 64 * kPage).ok());
  EXPECT(guest.space().Protect(kArea, kPage, PROT_READ).ok());
  EXPECT_EQ(At(*context, guest, kArea).code, SEGV_MAPERR);
}

TEST(MapFileRefusesNonsense) {
  Guest guest(platform);
  AddressSpace& space = guest.space();
  EXPECT(!space.MapFile(0, guest.fd(), 0, kPage, {PROT_READ}).ok());
  EXPECT(!space.MapFile(kArea + 1, guest.fd(), 0, kPage, {PROT_READ}).ok());
  EXPECT(!space.MapFile(kArea, guest.fd(), 1, kPage, {PROT_READ}).ok());
  EXPECT(!space.MapFile(kArea, guest.fd(), 0, 0, {PROT_READ}).ok());
  EXPECT(!space.MapFile(kArea, guest.fd(), 0, kPage + 1, {PROT_READ}).ok());
  EXPECT(!space.MapFile(kArea, guest.fd(), 0, ~uint64_t{0} & ~(kPage - 1), {PROT_READ}).ok());
  EXPECT(!space.MapFile(platform.max_address(), guest.fd(), 0, kPage, {PROT_READ}).ok());
  EXPECT(!space.MapFile(platform.max_address() - kPage, guest.fd(), 0, 2 * kPage, {PROT_READ}).ok());
  EXPECT(!space.Unmap(platform.max_address(), kPage).ok());
  EXPECT(!space.Protect(platform.max_address() - kPage, 2 * kPage, PROT_READ | PROT_WRITE).ok());
  EXPECT(!space.MapFile(kArea, 12345, 0, kPage, {PROT_READ}).ok());
  EXPECT(space.MapFile(platform.max_address() - kPage, guest.fd(), 0, kPage, {PROT_READ}).ok());
  EXPECT(space.MapFile(platform.min_address(), guest.fd(), 0, kPage, {PROT_READ}).ok());
}

TEST(Batches) {
  Guest guest(platform);
  guest.Load(guest_peek, guest_peek_end);
  auto context = guest.NewContext();
  for (int attached = 0; attached < 2; ++attached) {
    guest.space().BeginBatch();
    guest.space().BeginBatch();
    for (uint64_t i = 0; i < 200; ++i)
      EXPECT(guest.space()
                 .MapFile(kArea + 2 * i * kPage, guest.fd(), (20 + i % 40) * kPage, kPage, {PROT_READ})
                 .ok());
    EXPECT(guest.space().EndBatch().ok());
    EXPECT(guest.space().Unmap(kArea + 100 * kPage, kPage).ok());
    EXPECT(guest.space().EndBatch().ok());
    for (uint64_t i = 0; i < 40; ++i) guest.memory()[(20 + i) * kPage] = static_cast<char>(i);
    for (uint64_t i = 0; i < 200; i += 7) {
      Registers r;
      EXPECT(At(*context, guest, kArea + 2 * i * kPage, &r).reason == Reason::kSyscall);
      EXPECT_EQ(r.rbx, i % 40);
    }
    EXPECT(At(*context, guest, kArea + 100 * kPage).reason == Reason::kFault);
    EXPECT(guest.space().Unmap(kArea, 1000 * kPage).ok());
  }
  guest.space().BeginBatch();
  (void)guest.space().MapFile(kArea, 12345, 0, kPage, {PROT_READ});
  EXPECT(!guest.space().EndBatch().ok());
  EXPECT(guest.space().EndBatch().ok());  // one too many does no harm
}

// Another thread unmaps under a running guest thread: after Unmap the guest cannot
// have touched the page.
TEST(UnmapUnderRunningThread) {
  Guest guest(platform);
  guest.Load(guest_spin_read, guest_spin_read_end);
  std::atomic<bool> stop{false};
  std::atomic<int> faults{0};
  auto context = guest.NewContext();
  EXPECT(guest.space().MapFile(kArea, guest.fd(), 20 * kPage, kPage, {PROT_READ}).ok());
  std::thread task([&] {
    Registers r = guest.Start();
    r.rdi = kArea;
    r.rsi = kData;
    while (!stop) {
      SwitchResult s = context->Switch(guest.space(), r, false);
      if (s.reason == Reason::kFault) {
        EXPECT_EQ(s.address, kArea);
        // Counted when the page is back: the next Unmap must not come before it.
        EXPECT(guest.space().MapFile(kArea, guest.fd(), 20 * kPage, kPage, {PROT_READ}).ok());
        faults.fetch_add(1);
      } else {
        EXPECT(s.reason == Reason::kInterrupted);
      }
    }
    context->Detach();
  });
  for (int i = 0; i < 200; ++i) {
    int before = faults.load();
    EXPECT(guest.space().Unmap(kArea, kPage).ok());
    while (faults.load() == before && !stop) std::this_thread::yield();
    EXPECT(guest.space().Protect(kCode, kPage, PROT_READ | PROT_EXEC).ok());
  }
  stop = true;
  context->Interrupt();
  task.join();
}

TEST(ManyContextsInOneSpace) {
  Guest guest(platform);
  guest.Load(guest_syscalls, guest_syscalls_end);
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<Registers> registers;
  for (int i = 0; i < 220; ++i) {
    contexts.push_back(guest.NewContext());
    registers.push_back(guest.Start());
  }
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < contexts.size(); ++i) {
      EXPECT(contexts[i]->Switch(guest.space(), registers[i], false).reason == Reason::kSyscall);
      registers[i].rax = i;
    }
  }
  for (auto& context : contexts) context->Detach();
  // Threads that have been given back serve again.
  for (int i = 0; i < 50; ++i) {
    Registers r = guest.Start();
    EXPECT(contexts[0]->Switch(guest.space(), r, false).reason == Reason::kSyscall);
    contexts[0]->Detach();
  }
}

TEST(ManySpacesAndThreads) {
  std::vector<std::unique_ptr<Guest>> guests;
  for (int i = 0; i < 50; ++i) {
    guests.push_back(std::make_unique<Guest>(platform, 20));
    guests.back()->Load(guest_poke, guest_poke_end);
  }
  std::vector<std::thread> tasks;
  for (auto& guest : guests) {
    tasks.emplace_back([&guest] {
      auto context = guest->NewContext();
      Registers r = guest->Start();
      r.rdi = kData;
      for (int i = 0; i < 20; ++i) {
        EXPECT(context->Switch(guest->space(), r, false).reason == Reason::kSyscall);
        EXPECT_EQ(guest->Data<uint8_t>(0).load(), 0x42);
        guest->Data<uint8_t>(0).store(0);
      }
      context->Detach();
    });
  }
  for (auto& task : tasks) task.join();
  // A context moves through all of them, as exec does.
  auto context = platform.NewContext();
  for (auto& guest : guests) {
    Registers r = guest->Start();
    r.rdi = kData;
    EXPECT(context->Switch(guest->space(), r, false).reason == Reason::kSyscall);
  }
}

TEST(SpacesComeAndGo) {
  for (int i = 0; i < 200; ++i) {
    Guest guest(platform, 20);
    guest.Load(guest_syscalls, guest_syscalls_end);
    if (i % 2 == 0) continue;
    auto context = guest.NewContext();
    Registers r = guest.Start();
    EXPECT(context->Switch(guest.space(), r, false).reason == Reason::kSyscall);
  }
}

// The stub region: guest code can read it, and that is all. Every system call made
// from it is still a guest's system call.
TEST(StubCodeIsNoWayOut) {
  Guest guest(platform);
  guest.Load(guest_poke, guest_poke_end);
  auto context = guest.NewContext();
  uint64_t stub = StubBase(platform);
  constexpr uint64_t kJump = 0x800;
  memcpy(guest.memory() + kJump, "\x41\xff\xe4", 3);  // jmp *%r12
  for (uint64_t page = 0; page < 2; ++page) {
    SwitchResult s = At(*context, guest, stub + page * kPage);
    EXPECT(s.reason == Reason::kFault);
    EXPECT_EQ(s.code, SEGV_ACCERR);
  }
  for (uint64_t offset = 0; offset < 1700; ++offset) {
    Registers r = guest.Start();
    r.rip = kCode + kJump;
    r.r12 = stub + offset;
    // An mmap that the stub's filter would let pass.
    r.rax = SYS_mmap;
    r.rdi = kArea;
    r.rsi = kPage;
    r.rdx = PROT_READ | PROT_WRITE | PROT_EXEC;
    r.r10 = MAP_SHARED | MAP_FIXED;
    r.r8 = static_cast<uint64_t>(guest.fd());
    r.r9 = 0;
    r.rbx = r.rbp = r.r15 = kData;
    guest.Data<uint64_t>(0) = SYS_exit_group;
    for (int i = 0; i < 3; ++i) {
      context->Interrupt();  // some offsets are loops without a call
      SwitchResult s = context->Switch(guest.space(), r, false);
      EXPECT(s.reason != Reason::kDead);
      if (s.reason == Reason::kFault) break;
      if (s.reason == Reason::kSyscall) r.rax = 0;
    }
  }
  EXPECT(At(*context, guest, kData).reason == Reason::kSyscall);
  EXPECT_EQ(At(*context, guest, kArea).code, SEGV_MAPERR);
}

// A guest thread that scribbles over the response page can at worst be slow.
TEST(GuestForgesKeeperAnswers) {
  Guest guest(platform);
  guest.Load(guest_spin, guest_spin_end);
  auto context = guest.NewContext();
  std::thread task([&] {
    Registers r = guest.Start();
    r.rsi = StubBase(platform) + 2 * kPage;
    SwitchResult s = context->Switch(guest.space(), r, false);
    EXPECT(s.reason == Reason::kInterrupted || s.reason == Reason::kDead);
    context->Detach();
  });
  auto other = guest.NewContext();
  bool alive = true;
  for (int i = 0; i < 50 && alive; ++i) {
    alive = guest.space().MapFile(kArea, guest.fd(), 20 * kPage, kPage, {PROT_READ}).ok() &&
            guest.space().Unmap(kArea, kPage).ok();
  }
  context->Interrupt();
  task.join();
}

}  // namespace
}  // namespace runsc::platform_test
