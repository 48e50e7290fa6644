// StubAddressSpace: what the backends with stub processes have in common: one process,
// the ranges that are mapped in it, and the batching of changes into command lists.
//
// Owner: the memory manager, and each context that has a stub thread here.
// Threading: as AddressSpace says. A batch belongs to the thread that began it first;
// changes of other threads meanwhile are carried out at once, together with what
// the batch has collected so far.
#ifndef PLATFORM_STUB_STUB_ADDRESS_SPACE_H_
#define PLATFORM_STUB_STUB_ADDRESS_SPACE_H_

#include <sys/types.h>

#include <memory>
#include <thread>
#include <vector>

#include "absl/container/btree_map.h"
#include "platform/address_space.h"
#include "platform/base/mutex.h"
#include "platform/stub/stub_master.h"
#include "platform/stub/stub_process.h"

namespace runsc {

class StubAddressSpace : public AddressSpace {
 public:
  static constexpr uint64_t kMinAddress = 0x10000;  // the default of vm.mmap_min_addr

  Result<void> MapFile(uint64_t addr, int host_fd, uint64_t offset, uint64_t length,
                       MapOptions options) override;
  Result<void> Unmap(uint64_t addr, uint64_t length) override;
  Result<void> Protect(uint64_t addr, uint64_t length, int prot) override;
  void BeginBatch() override;
  Result<void> EndBatch() override;

  pid_t pid() const { return process_->pid(); }
  void MarkDead() { process_->MarkDead(); }

 protected:
  // The guest's memory is to be in [min_address, max_address).
  StubAddressSpace(StubMaster& master, std::unique_ptr<StubProcess> process, uint64_t min_address,
                   uint64_t max_address)
      : master_(master), process_(std::move(process)), min_address_(min_address), max_address_(max_address) {}
  void OnLastRelease() override;
  // Runs one list; the default is to let the keeper do it.
  virtual Result<int32_t> CarryOutLocked(std::span<const StubCommand> list)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  StubMaster& master_;
  std::unique_ptr<StubProcess> process_;  // the pointer is constant; commands are run under mu_
  const uint64_t min_address_, max_address_;
  Mutex mu_{LockRank::kAddressSpace};

 private:
  bool InRange(uint64_t addr, uint64_t length) const;
  Result<void> AddCommandLocked(const StubCommand& command) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<void> FlushLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AddRangeLocked(uint64_t start, uint64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Cuts [start, end) out; returns the mapped part's hull (empty: nothing was mapped).
  std::pair<uint64_t, uint64_t> RemoveRangeLocked(uint64_t start, uint64_t end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool BatchingLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // What may be mapped, as start -> end. mprotect(2) stops at the first hole, and an
  // munmap of nothing need not be made.
  absl::btree_map<uint64_t, uint64_t> ranges_ ABSL_GUARDED_BY(mu_);
  std::vector<StubCommand> pending_ ABSL_GUARDED_BY(mu_);
  Result<void> pending_error_ ABSL_GUARDED_BY(mu_);
  std::thread::id batch_owner_ ABSL_GUARDED_BY(mu_);
  int batch_depth_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace runsc

#endif  // PLATFORM_STUB_STUB_ADDRESS_SPACE_H_
