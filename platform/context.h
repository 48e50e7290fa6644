// Context: one guest thread as the platform sees it.
//
// Threading: Switch and the FP accessors are called by the task's own host thread
// only; Interrupt by any thread at any time.
#ifndef PLATFORM_CONTEXT_H_
#define PLATFORM_CONTEXT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "platform/address_space.h"
#include "platform/base/result.h"
#include "platform/registers.h"

namespace runsc {

// Why guest code stopped running.
struct SwitchResult {
  enum class Reason {
    kSyscall,      // registers.orig_rax holds the number; rip is behind the instruction; rax is -ENOSYS
    kFault,        // the guest thread got a synchronous signal; see below; rip is at the instruction
    kInterrupted,  // Interrupt() was called; nothing happened to the guest
    kNoThread,     // the host has no thread for this context (too many, no memory)
    kDead,         // the stub is gone (killed from outside): this sandbox cannot go on
  };
  enum class Access : uint8_t { kUnknown, kRead, kWrite, kExecute };

  Reason reason = Reason::kInterrupted;
  // kFault:
  int signal = 0;        // SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP
  int code = 0;          // si_code as the host gave it
  uint64_t address = 0;  // si_addr
  Access access = Access::kUnknown;
  // kSyscall: the instruction's address if it is worth a patch (see AddressSpace::PlanPatch), else 0.
  uint64_t hot_call = 0;
};

class Context {
 public:
  virtual ~Context() = default;

  // Runs guest code in `space` from `registers` until something happens, and puts
  // the registers back. With `single_step` one instruction is run (SIGTRAP follows).
  SwitchResult Switch(AddressSpace& space, Registers& registers, bool single_step) {
    SwitchResult result = SwitchToCall(space, registers, single_step);
    CompleteRegisters(registers);
    return result;
  }

  // The same, but of a system call it may put back no more than rip, rax, orig_rax and the arguments. Before
  // anything else is read, or anything but rax is changed, CompleteRegisters has to be called with the same
  // `registers`. Most calls need neither, and are faster for it. By the task's thread.
  virtual SwitchResult SwitchToCall(AddressSpace& space, Registers& registers, bool single_step) = 0;
  virtual void CompleteRegisters(Registers&) {}

  // Makes a Switch() that is running, or else the next one, return kInterrupted
  // soon. Several calls before that may coalesce into one.
  virtual void Interrupt() = 0;

  // FP and vector state in XSAVE layout (NT_X86_XSTATE), as it stands between two
  // Switch() calls. Lazily fetched: only signal delivery, fork and exec ask for it.
  virtual Result<void> GetFpState(std::span<std::byte> xsave) = 0;
  virtual Result<void> SetFpState(std::span<const std::byte> xsave) = 0;

  // The results of system calls that the platform may answer itself from now on, without a Switch()
  // returning; those not named are the Sentry's. By the task's thread.
  struct KnownResult {
    uint64_t number;
    uint64_t value;
  };
  virtual void SetKnownResults(std::span<const KnownResult>) {}

  // Hints of what its task does in the kernel, by which a platform can choose how its threads wait.
  // The task is about to sleep until `word` is no longer `value`. May wait for that a little, if
  // `may_wait` and if waiting has been paying; it is still to be looked at afterwards. By the task's thread.
  virtual void BeginSleep(const std::atomic<uint32_t>& word, uint32_t value, bool may_wait) {
    (void)word, (void)value, (void)may_wait;
  }
  // The task of `waker` is about to end this one's sleep. By the waker's thread.
  virtual void WokenBy(Context& waker) { (void)waker; }

  // How long the task's thread has been waiting for guest code without sleeping, in ticks of the time stamp
  // counter: CPU time that nobody's system calls took. Any thread.
  virtual uint64_t SpunTicks() const { return 0; }

  // Lets go of what the context holds in an address space (its stub thread), for
  // exec and exit. The next Switch() starts afresh there.
  virtual void Detach() = 0;
};

}  // namespace runsc

#endif  // PLATFORM_CONTEXT_H_
