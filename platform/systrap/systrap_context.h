// SystrapContext: one guest thread; it holds a slot in at most one address space, taken
// at the first Switch there and kept until Detach or another space.
//
// It has its address space count where system calls are trapped, and asks for a patch where they are often.
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

struct CallSite;
class SystrapAddressSpace;
class SystrapPlatform;

class SystrapContext final : public Context {
 public:
  explicit SystrapContext(SystrapPlatform& platform);
  ~SystrapContext() override { Detach(); }

  SwitchResult SwitchToCall(AddressSpace& space, Registers& registers, bool single_step) override;
  void CompleteRegisters(Registers& registers) override;
  void Interrupt() override ABSL_LOCKS_EXCLUDED(mu_);
  Result<void> GetFpState(std::span<std::byte> xsave) override;
  Result<void> SetFpState(std::span<const std::byte> xsave) override;
  void SetKnownResults(std::span<const KnownResult> results) override;
  void BeginSleep(const std::atomic<uint32_t>& word, uint32_t value, bool may_wait) override {
    if (slot_ != nullptr && !handover_.turns().coupled()) handover_.StopSpinning(*slot_);
    handover_.turns().BeginSleep(word, value, may_wait);
  }
  void WokenBy(Context& waker) override {
    handover_.turns().WokenBy(static_cast<SystrapContext&>(waker).handover_.turns());
  }
  uint64_t SpunTicks() const override { return handover_.spun_ticks(); }
  void Detach() override ABSL_LOCKS_EXCLUDED(mu_);

  // For the address space's gate, which has this context in its list. Any thread.
  bool running() const { return running_.load(std::memory_order_seq_cst); }
  // The stub thread leaves guest code, and its task's thread comes to the gate.
  void SendBack() { Kick(); }

 private:
  Result<void> Attach(SystrapAddressSpace& space) ABSL_LOCKS_EXCLUDED(mu_);
  SwitchResult Run(Registers& registers, bool single_step);
  // Lets guest code run until the stub thread publishes something; false: it is dead.
  bool RunOnce();
  // Does what a single step at a patched call would have done; false: nothing to do.
  bool StepOverPatch(Registers& registers, SwitchResult& result);
  void LoadRegisters(const Registers& registers, bool single_step);
  void ReadSite(uint32_t kind, Registers& registers, SwitchResult& result);
  void LoadFpState(std::span<const std::byte> state);
  // Reads what a signal in guest code left; false if guest code should just go on.
  bool ReadSignal(Registers& registers, bool single_step, SwitchResult& result);
  void SystemCallSignal(Registers& registers, const struct PublishedSignal& signal, SwitchResult& result);
  // From a place in a trampoline to the one in the guest's code that it stands for. True: that is a
  // call, and begun.
  bool LeaveTrampoline(Registers& registers, int signal, SwitchResult& result);
  uint64_t CountCall(uint64_t call, uint64_t number);
  void WriteKnownResults();
  // Lets the stub thread put FP state that is in its CPU into memory.
  void SaveFpState();
  void Kick();
  SwitchResult Dead();

  SystrapPlatform& platform_;
  Handover handover_;
  RefPtr<SystrapAddressSpace> space_;   // where slot_ is
  std::vector<std::byte> fp_;           // state for the next slot; empty: initial
  uint64_t fp_address_ = 0;             // where the stub has put it; 0: in its CPU
  uint64_t fs_base_ = 0, gs_base_ = 0;  // as guest code left them
  // The call of a patched site whose registers are still in the out page: with them the stub thread goes
  // back, unless CompleteRegisters has been called.
  bool partial_ = false;
  uint32_t patch_epoch_ = 0;  // when guest code was last entered
  std::vector<KnownResult> known_results_;
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
