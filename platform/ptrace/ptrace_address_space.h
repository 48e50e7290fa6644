// PtraceAddressSpace: one stub process, and the ranges that are mapped in it.
//
// A command list runs in one of two places. If the calling thread traces a stub thread
// of this very process, that thread is stopped (its tracer is here), and is borrowed:
// two context switches on one CPU. Every other caller goes through the keeper.
//
// Owner: the memory manager, and each context that has a stub thread here.
// Threading: as AddressSpace says. A batch belongs to the thread that began it first;
// changes of other threads meanwhile are carried out at once, together with what
// the batch has collected so far.
#ifndef PLATFORM_PTRACE_PTRACE_ADDRESS_SPACE_H_
#define PLATFORM_PTRACE_PTRACE_ADDRESS_SPACE_H_

#include <sys/types.h>

#include <memory>
#include <thread>
#include <vector>

#include "absl/container/btree_map.h"
#include "platform/address_space.h"
#include "platform/base/mutex.h"
#include "platform/ptrace/stub_process.h"

namespace runsc {

class PtracePlatform;
class StubThread;

class PtraceAddressSpace final : public AddressSpace {
 public:
  PtraceAddressSpace(PtracePlatform& platform, std::unique_ptr<StubProcess> process);

  Result<void> MapFile(uint64_t addr, int host_fd, uint64_t offset, uint64_t length,
                       MapOptions options) override;
  Result<void> Unmap(uint64_t addr, uint64_t length) override;
  Result<void> Protect(uint64_t addr, uint64_t length, int prot) override;
  void BeginBatch() override;
  Result<void> EndBatch() override;

  // A parked, untraced stub thread: an unused one or a new one.
  Result<pid_t> TakeThread() ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a thread that is no longer needed should park (and then be given back with
  // ReturnThread) or exit.
  bool WantsThread() ABSL_LOCKS_EXCLUDED(mu_);
  void ReturnThread(pid_t tid) ABSL_LOCKS_EXCLUDED(mu_);
  pid_t pid() const { return process_->pid(); }
  void MarkDead() { process_->MarkDead(); }

  // Says that the calling thread's stub thread in this space is stopped and may be
  // borrowed; null: there is none.
  static void SetBorrowable(PtraceAddressSpace* space, StubThread* thread);

 protected:
  void OnLastRelease() override;

 private:
  bool InRange(uint64_t addr, uint64_t length) const;
  Result<void> AddCommandLocked(const StubCommand& command) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<void> FlushLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AddRangeLocked(uint64_t start, uint64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Cuts [start, end) out; returns the mapped part's hull (empty: nothing was mapped).
  std::pair<uint64_t, uint64_t> RemoveRangeLocked(uint64_t start, uint64_t end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool BatchingLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  PtracePlatform& platform_;
  std::unique_ptr<StubProcess> process_;  // the pointer is constant; commands are run under mu_
  Mutex mu_{LockRank::kAddressSpace};
  // What may be mapped, as start -> end. mprotect(2) stops at the first hole, and an
  // munmap of nothing need not be made.
  absl::btree_map<uint64_t, uint64_t> ranges_ ABSL_GUARDED_BY(mu_);
  std::vector<StubCommand> pending_ ABSL_GUARDED_BY(mu_);
  Result<void> pending_error_ ABSL_GUARDED_BY(mu_);
  std::thread::id batch_owner_ ABSL_GUARDED_BY(mu_);
  int batch_depth_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<pid_t> free_threads_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // PLATFORM_PTRACE_PTRACE_ADDRESS_SPACE_H_
