// ThreadSlot: the Sentry's view of a guest thread's slot (slot_layout.h) and of the stub
// thread that belongs to it for good.
//
// Owner: the address space; lent to one context at a time, which alone uses it.
#ifndef PLATFORM_SYSTRAP_THREAD_SLOT_H_
#define PLATFORM_SYSTRAP_THREAD_SLOT_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "platform/base/result.h"
#include "platform/stub/stub_process.h"
#include "platform/systrap/slot_layout.h"

namespace runsc {

class ThreadSlot {
 public:
  static constexpr size_t kSlots = SYSTRAP_REGION_SIZE / SLOT_SIZE - 1;
  static constexpr size_t kMaxFpState = SLOT_OUT - SLOT_IN_FP;

  // Maps slot `index` of the pages' file, and prepares it for a new thread.
  static Result<std::unique_ptr<ThreadSlot>> New(StubPages& pages, uint64_t region, size_t index);
  ~ThreadSlot();
  ThreadSlot(const ThreadSlot&) = delete;
  ThreadSlot& operator=(const ThreadSlot&) = delete;

  SlotIn& in() { return *reinterpret_cast<SlotIn*>(base_); }
  SlotOut& out() { return *reinterpret_cast<SlotOut*>(base_ + SLOT_OUT); }
  std::byte* in_fp() { return reinterpret_cast<std::byte*>(base_ + SLOT_IN_FP); }

  uint64_t address() const { return address_; }  // in the stub process

  // The commands that make the thread: map both parts of the slot, then clone.
  static constexpr size_t kCommands = 3;
  void AddCommands(const StubPages& pages, std::span<StubCommand, kCommands> commands) const;

  // Copies `size` bytes that the stub says are at `address`; false if they are not inside
  // the slot's stack.
  bool ReadStack(uint64_t address, void* to, size_t size) const {
    uint64_t offset = address - address_ - SLOT_STACK;
    if (offset > SLOT_STACK_SIZE || size > SLOT_STACK_SIZE - offset) return false;
    memcpy(to, base_ + SLOT_STACK + offset, size);
    return true;
  }
  // The state's bytes that are inside the slot, at most `size`; empty if it is elsewhere.
  std::span<const std::byte> FpState(uint64_t address, size_t size) const;

  pid_t tid = -1;
  uint32_t run = 0;  // the number of the last run

 private:
  ThreadSlot(char* base, uint64_t address, size_t index) : base_(base), address_(address), index_(index) {}
  char* const base_;
  const uint64_t address_;  // in the stub process
  const size_t index_;
};

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_THREAD_SLOT_H_
