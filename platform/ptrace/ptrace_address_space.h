// PtraceAddressSpace: a stub process whose guest threads are traced.
//
// A command list runs in one of two places. If the calling thread traces a stub thread
// of this very process, that thread is stopped (its tracer is here), and is borrowed:
// two context switches on one CPU. Every other caller goes through the keeper.
//
// Threading: as AddressSpace says.
#ifndef PLATFORM_PTRACE_PTRACE_ADDRESS_SPACE_H_
#define PLATFORM_PTRACE_PTRACE_ADDRESS_SPACE_H_

#include <sys/types.h>

#include <memory>
#include <vector>

#include "platform/stub/stub_address_space.h"

namespace runsc {

class PtracePlatform;
class StubThread;

class PtraceAddressSpace final : public StubAddressSpace {
 public:
  PtraceAddressSpace(PtracePlatform& platform, std::unique_ptr<StubProcess> process);

  // A parked, untraced stub thread: an unused one or a new one.
  Result<pid_t> TakeThread() ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a thread that is no longer needed should park (and then be given back with
  // ReturnThread) or exit.
  bool WantsThread() ABSL_LOCKS_EXCLUDED(mu_);
  void ReturnThread(pid_t tid) ABSL_LOCKS_EXCLUDED(mu_);

  // Says that the calling thread's stub thread in this space is stopped and may be
  // borrowed; null: there is none.
  static void SetBorrowable(PtraceAddressSpace* space, StubThread* thread);

 protected:
  Result<int32_t> CarryOutLocked(std::span<const StubCommand> list) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

 private:
  PtracePlatform& platform_;
  std::vector<pid_t> free_threads_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // PLATFORM_PTRACE_PTRACE_ADDRESS_SPACE_H_
