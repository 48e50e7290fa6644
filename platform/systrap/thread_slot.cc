#include "platform/systrap/thread_slot.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>

namespace runsc {
namespace {

uint64_t FileOffset(size_t index) { return SLOTS_OFFSET + index * SLOT_SIZE; }

constexpr uint64_t SignalBit(int signal) { return uint64_t{1} << (signal - 1); }

}  // namespace

Result<std::unique_ptr<ThreadSlot>> ThreadSlot::New(StubPages& pages, uint64_t region, size_t index) {
  if (index >= kSlots) return Errno(EAGAIN);
  void* base = mmap(nullptr, SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, pages.fd(),
                    static_cast<off_t>(FileOffset(index)));
  if (base == MAP_FAILED) return HostErrno();
  uint64_t address = region + SLOTS_OFFSET + index * SLOT_SIZE;
  std::unique_ptr<ThreadSlot> slot(new ThreadSlot(static_cast<char*>(base), address, index));
  SlotIn& in = slot->in();
  in.alt_stack[0] = address + SLOT_STACK;
  in.alt_stack[2] = SLOT_STACK_SIZE;
  for (int signal :
       {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, static_cast<int>(SYSTRAP_INTERRUPT_SIGNAL)})
    in.unblock |= SignalBit(signal);
  in.clean_flags = 2;
  for (auto& answer : in.answers) answer.store(~uint64_t{0}, std::memory_order_relaxed);
  return slot;
}

ThreadSlot::~ThreadSlot() { munmap(base_, SLOT_SIZE); }

void ThreadSlot::AddCommands(const StubPages& pages, std::span<StubCommand, kCommands> commands) const {
  uint64_t fd = static_cast<uint64_t>(pages.fd());
  uint64_t offset = FileOffset(index_);
  commands[0] = {SYS_mmap, {address_, SLOT_OUT, PROT_READ, MAP_SHARED | MAP_FIXED, fd, offset}};
  commands[1] = {SYS_mmap,
                 {address_ + SLOT_OUT, SLOT_SIZE - SLOT_OUT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                  fd, offset + SLOT_OUT}};
  commands[2] = {SYS_clone, {STUB_THREAD_FLAGS, address_ + SLOT_SIZE}};
}

std::span<const std::byte> ThreadSlot::FpState(uint64_t address, size_t size) const {
  const auto* bytes = reinterpret_cast<const std::byte*>(base_);
  uint64_t offset = address - address_;
  if (offset >= SLOT_SIZE) return {};
  return {bytes + offset, std::min(size, SLOT_SIZE - offset)};
}

}  // namespace runsc
