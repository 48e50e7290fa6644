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
// The threat is a guest that uses the stub for itself. It can read all of the stub's code, jump to any
// instruction of it, and write to its own and its siblings' signal stacks and out pages at any time. Then:
//   - every system call it can make that way is in GuestFilterData (guest_filter.h), and none helps;
//   - what the Sentry reads from a slot is what a guest may say anyway: registers, faults, FP state. It
//     is copied once, addresses are checked to be in the slot, FP state is validated;
//   - threads that wait cannot be let go, nor command lists made or answered, by writing: in pages
//     and command page are read-only there, answers come through the keeper's mailbox;
//   - a thread caught in the stub's code does not answer interrupts: it is killed with its process;
//   - the stub region itself cannot be unmapped or mapped over: the Sentry's address
//     space ends below it.
// What is left to it is to harm its own process, and by not obeying, to end its sandbox.
#ifndef PLATFORM_SYSTRAP_SYSTRAP_PLATFORM_H_
#define PLATFORM_SYSTRAP_SYSTRAP_PLATFORM_H_

#include <memory>
#include <string>
#include <vector>

#include "platform/platform.h"
#include "platform/stub/cpu_balancer.h"
#include "platform/stub/stub_address_space.h"

namespace runsc {

// Call at boot: single-threaded, with the final user and group ids, before the Sentry's
// seccomp filter. The calling thread has to outlive the sandbox (stubs die with it).
// Spaces and contexts must not outlive the platform. ENOSYS: the host or its CPU lacks something.
Result<std::unique_ptr<Platform>> NewSystrapPlatform();

class SystrapPlatform final : public Platform {
 public:
  explicit SystrapPlatform(std::unique_ptr<StubMaster> master) : master_(std::move(master)) {}

  std::string_view name() const override { return "systrap"; }
  Result<RefPtr<AddressSpace>> NewAddressSpace() override;
  std::unique_ptr<Context> NewContext() override;
  uint64_t min_address() const override { return StubAddressSpace::kMinAddress; }
  uint64_t max_address() const override { return master_->base(); }
  size_t fp_state_size() const override;
  std::vector<int> death_fds() const override { return {master_->death_fd(), master_->stub_death_fd()}; }
  std::string TakeDeath(int fd) override;

  CpuBalancer& balancer() { return balancer_; }

 private:
  const std::unique_ptr<StubMaster> master_;
  CpuBalancer balancer_;
};

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_SYSTRAP_PLATFORM_H_
