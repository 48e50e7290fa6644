// PtraceContext: one guest thread; it holds a stub thread in at most one address
// space, made at the first Switch there and kept until Detach or another space.
//
// Threading: as Context says. Detach must be called by the task's thread before it
// exits; a context that is destroyed elsewhere with its stub thread still there takes
// the stub process with it.
#ifndef PLATFORM_PTRACE_PTRACE_CONTEXT_H_
#define PLATFORM_PTRACE_PTRACE_CONTEXT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "platform/base/ref.h"
#include "platform/context.h"
#include "platform/ptrace/stub_thread.h"
#include "platform/stub/cpu_balancer.h"

namespace runsc {

class PtraceAddressSpace;
class PtracePlatform;

class PtraceContext final : public Context {
 public:
  explicit PtraceContext(PtracePlatform& platform) : platform_(platform) {}
  ~PtraceContext() override { Detach(); }

  SwitchResult SwitchToCall(AddressSpace& space, Registers& registers, bool single_step) override;
  void Interrupt() override;
  Result<void> GetFpState(std::span<std::byte> xsave) override;
  Result<void> SetFpState(std::span<const std::byte> xsave) override;
  void Detach() override;

 private:
  Result<void> Attach(PtraceAddressSpace& space);
  SwitchResult Run(Registers& registers, bool single_step);
  SwitchResult Fault(Registers& registers, int signal, int code, uint64_t address);
  SwitchResult SyscallStop(Registers& registers);
  // A stop for a signal; false if guest code should just go on.
  bool SignalStop(Registers& registers, int signal, SwitchResult& result);
  SwitchResult Dead();

  PtracePlatform& platform_;
  RefPtr<PtraceAddressSpace> space_;  // where thread_ is
  StubThread thread_;
  CpuBalancer::Pair pair_;
  std::vector<std::byte> fp_;  // state for the next stub thread; empty: initial
  // The last kExecute fault, to tell one that comes back.
  uint64_t last_execute_fault_ = ~uint64_t{0};

  // For Interrupt: a store of running_ followed by a look at interrupt_ here, the other
  // way round there.
  std::atomic<bool> interrupt_{false};
  std::atomic<bool> running_{false};
  std::atomic<uint64_t> target_{0};  // process << 32 | thread
};

}  // namespace runsc

#endif  // PLATFORM_PTRACE_PTRACE_CONTEXT_H_
