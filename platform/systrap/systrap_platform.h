// SystrapPlatform: guest code in stub processes that trap their own system calls.
//
//   Sentry ── master stub         forks one stub process an address space
//      ├──── stub process
//      │        ├ keeper          changes the address space, makes threads, on the Sentry's order
//      │        └ guest threads   one a task, each with a slot of shared memory
//      └──── ...
//
// A system call of the guest is refused by seccomp with SIGSYS; the handler, in the stub
// region of the same process, says in its slot where the signal frame is, and waits to be told with
// which registers to go on. Faults and interrupts come the same way. No ptrace.
//
// A system call instruction that is trapped often is rewritten into a jump (call_site.h) to a trampoline
// (site_table.h), which publishes the registers in the slot without any signal. What a guest can see of it:
//   - code that reads its own text sees the jump. (Reads by system calls see the original. Memory that can be
//     executed but not read would need protection keys.) Memory that is or becomes writable is never or
//     no longer patched.
//   - gs base, which is 0 as Linux tells it, is the slot's address to rdgsbase and to %gs: operands. A
//     guest that sets it has what it sets, and its calls are trapped.
//   - [64 KiB, SITE_END) cannot be mapped, as with a larger vm.mmap_min_addr.
//
// The threat is a guest that uses the stub for itself. It can read all of the stub's code, jump to any
// instruction of it, and write to its own and its siblings' signal stacks and out pages at any time. Then:
//   - every system call it can make that way is in guest_filter.h, and none helps;
//   - what the Sentry reads from a slot is what a guest may say anyway: registers, faults, FP state. It
//     is copied once, addresses are checked to be in the slot, FP state is validated;
//   - threads that wait cannot be let go, nor command lists made or answered, by writing: in pages
//     and command page are read-only there, answers come through the keeper's mailbox;
//   - a thread caught in the stub's code does not answer interrupts: it is killed with its process;
//   - trampolines are no more than guest code: a real system call in one is trapped like any other, and they
//     cannot be written to. A slot that says `call of site n` says what a trap there would say;
//   - the stub region and the sites' pages cannot be unmapped or mapped over: the Sentry's address
//     space ends below the one and begins above the other.
// What is left to it is to harm its own process, and by not obeying, to end its sandbox.
#ifndef PLATFORM_SYSTRAP_SYSTRAP_PLATFORM_H_
#define PLATFORM_SYSTRAP_SYSTRAP_PLATFORM_H_

#include <memory>
#include <string>
#include <vector>

#include "platform/platform.h"
#include "platform/stub/cpu_balancer.h"
#include "platform/stub/stub_address_space.h"
#include "platform/systrap/slot_layout.h"

namespace runsc {

// Call at boot: single-threaded, with the final user and group ids, before the Sentry's
// seccomp filter. The calling thread has to outlive the sandbox (stubs die with it).
// Spaces and contexts must not outlive the platform. ENOSYS: the host or its CPU lacks something.
// Whether the CPU has what it needs: FSGSBASE, and an XSAVE area that fits a slot.
bool SystrapSupported();
Result<std::unique_ptr<Platform>> NewSystrapPlatform();

class SystrapPlatform final : public Platform {
 public:
  SystrapPlatform(std::unique_ptr<StubMaster> master, bool can_patch)
      : master_(std::move(master)), can_patch_(can_patch) {}

  std::string_view name() const override { return "systrap"; }
  Result<RefPtr<AddressSpace>> NewAddressSpace() override;
  std::unique_ptr<Context> NewContext() override;
  uint64_t min_address() const override { return SITE_END; }
  uint64_t max_address() const override { return SLOTS_ABOVE; }
  size_t fp_state_size() const override;
  std::vector<int> death_fds() const override { return {master_->death_fd(), master_->stub_death_fd()}; }
  std::string TakeDeath(int fd) override;

  CpuBalancer& balancer() { return balancer_; }
  uint64_t stub_base() const { return master_->base(); }
  // Whether the CPU has what trampolines need.
  bool can_patch() const { return can_patch_; }

 private:
  const std::unique_ptr<StubMaster> master_;
  const bool can_patch_;
  CpuBalancer balancer_;
};

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_SYSTRAP_PLATFORM_H_
