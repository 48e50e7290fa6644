// SystrapContext: one guest thread; it holds a slot in at most one address space, taken
// at the first Switch there and kept until Detach or another space.
//
// Threading: as Context says.
#ifndef PLATFORM_SYSTRAP_SYSTRAP_CONTEXT_H_
#define PLATFORM_SYSTRAP_SYSTRAP_CONTEXT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/context.h"
#include "platform/systrap/handover.h"

namespace runsc {

class SystrapAddressSpace;
class SystrapPlatform;

class SystrapContext final : public Context {
 public:
  explicit SystrapContext(SystrapPlatform& platform);
  ~SystrapContext() override { Detach(); }

  SwitchResult Switch(AddressSpace& space, Registers& registers, bool single_step) override;
  void Interrupt() override ABSL_LOCKS_EXCLUDED(mu_);
  Result<void> GetFpState(std::span<std::byte> xsave) override;
  Result<void> SetFpState(std::span<const std::byte> xsave) override;
  void Detach() override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  Result<void> Attach(SystrapAddressSpace& space) ABSL_LOCKS_EXCLUDED(mu_);
  SwitchResult Run(Registers& registers, bool single_step);
  // Lets guest code run until the stub thread publishes something; false: it is dead.
  bool RunOnce();
  void LoadRegisters(const Registers& registers, bool single_step);
  void LoadFpState(std::span<const std::byte> state);
  // Reads what a signal in guest code left; false if guest code should just go on.
  bool ReadSignal(Registers& registers, bool single_step, SwitchResult& result);
  void SystemCallSignal(Registers& registers, const struct PublishedSignal& signal, SwitchResult& result);
  void Kick();
  SwitchResult Dead();

  SystrapPlatform& platform_;
  Handover handover_;
  RefPtr<SystrapAddressSpace> space_;   // where slot_ is
  std::vector<std::byte> fp_;           // state for the next slot; empty: initial
  uint64_t fp_address_ = 0;             // where the stub has put it
  uint64_t fs_base_ = 0, gs_base_ = 0;  // as guest code left them
  bool dead_ = false;
  ThreadSlot* slot_ = nullptr;  // written under mu_, by the task's thread

  // For Interrupt: a store of running_ followed by a look at interrupt_ here, the other
  // way round there.
  std::atomic<bool> interrupt_{false};
  std::atomic<bool> running_{false};
  Mutex mu_{LockRank::kLeaf};  // the slot, while Interrupt uses it
};

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_SYSTRAP_CONTEXT_H_
