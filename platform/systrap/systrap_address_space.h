// SystrapAddressSpace: a stub process whose guest threads are driven through their slots.
// All changes of the address space are made by the keeper: guest threads are not allowed to.
//
// It also knows which of the guest's system calls are patched. The bytes are changed only while
// none of its threads is in guest code: contexts pass a gate before they let their stub thread go, and
// whoever closes it sends those back that have passed.
//
// Threading: as AddressSpace says.
#ifndef PLATFORM_SYSTRAP_SYSTRAP_ADDRESS_SPACE_H_
#define PLATFORM_SYSTRAP_SYSTRAP_ADDRESS_SPACE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "platform/stub/stub_address_space.h"
#include "platform/systrap/call_counter.h"
#include "platform/systrap/site_table.h"
#include "platform/systrap/thread_slot.h"

namespace runsc {

class SystrapContext;

class SystrapAddressSpace final : public StubAddressSpace {
 public:
  SystrapAddressSpace(StubMaster& master, std::unique_ptr<StubProcess> process,
                      std::unique_ptr<ThreadSlot> first, bool can_patch)
      : StubAddressSpace(master, std::move(process), SITE_END, SLOTS_ABOVE), can_patch_(can_patch) {
    slots_.push_back(std::move(first));
  }
  static Result<RefPtr<SystrapAddressSpace>> New(StubMaster& master, bool can_patch);

  // A stub thread that waits in its slot; an unused one or a new one. Valid until it is
  // returned, and at most as long as the address space.
  Result<ThreadSlot*> TakeSlot() ABSL_LOCKS_EXCLUDED(mu_);
  // Its thread waits again: its last run is done.
  void ReturnSlot(ThreadSlot* slot) ABSL_LOCKS_EXCLUDED(mu_);

  // False: the process is dead. One that was stopped from outside goes on.
  bool CheckAlive() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends a process that does not obey.
  void Kill() ABSL_LOCKS_EXCLUDED(mu_);

  std::optional<CodePatch> PlanPatch(uint64_t call, uint64_t number, std::span<const std::byte> code,
                                     uint64_t code_address) override ABSL_LOCKS_EXCLUDED(mu_, patch_mu_);
  bool ApplyPatch(const CodePatch& patch, absl::FunctionRef<void()> write) override
      ABSL_LOCKS_EXCLUDED(mu_, gate_mu_, patch_mu_);
  void UndoPatch(const CodePatch& patch, absl::FunctionRef<void()> write) override
      ABSL_LOCKS_EXCLUDED(gate_mu_, patch_mu_);
  void ForgetPatches(uint64_t addr, uint64_t length) override ABSL_LOCKS_EXCLUDED(patch_mu_);
  Result<void> InheritPatches(AddressSpace& from, std::span<const CodePatch> patches) override
      ABSL_LOCKS_EXCLUDED(mu_, patch_mu_);

  CallCounter& call_counter() { return call_counter_; }

  // A context that lets guest code run here, with its slot.
  void AddContext(SystrapContext* context) ABSL_LOCKS_EXCLUDED(gate_mu_);
  void RemoveContext(SystrapContext* context) ABSL_LOCKS_EXCLUDED(gate_mu_);
  // For a context that has said it is running, and takes that back if the gate is closed.
  bool gate_closed() const { return gate_.load(std::memory_order_seq_cst) != 0; }
  void WaitAtGate() const { gate_.wait(1); }

  // Moves with every change of what is patched.
  uint32_t patch_epoch() const { return patch_epoch_.load(std::memory_order_acquire); }
  struct Patched {
    const CallSite* site;
    uint32_t index;
  };
  // The patch whose bytes `rip` is in.
  std::optional<Patched> FindPatched(uint64_t rip) ABSL_LOCKS_EXCLUDED(patch_mu_);
  // An entry of this space's table, whether it is in force or not; null: none.
  const CallSite* SiteAt(uint32_t index) const {
    const SiteTable* table = table_pointer_.load(std::memory_order_acquire);
    return table == nullptr ? nullptr : table->Get(index);
  }

 protected:
  Result<int32_t> CarryOutLocked(std::span<const StubCommand> list) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

 private:
  void SetTableLocked(RefPtr<SiteTable> table) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool CloseGateLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate_mu_);
  void OpenGateLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate_mu_);

  const bool can_patch_;
  std::vector<std::unique_ptr<ThreadSlot>> slots_ ABSL_GUARDED_BY(mu_);
  std::vector<ThreadSlot*> free_slots_ ABSL_GUARDED_BY(mu_);
  RefPtr<SiteTable> table_ ABSL_GUARDED_BY(mu_);  // set once, by the first patch
  bool table_mapped_ ABSL_GUARDED_BY(mu_) = false;
  std::atomic<SiteTable*> table_pointer_{nullptr};

  CallCounter call_counter_;

  std::atomic<uint32_t> gate_{0};
  Mutex gate_mu_{LockRank::kStub};
  std::vector<SystrapContext*> contexts_ ABSL_GUARDED_BY(gate_mu_);

  std::atomic<uint32_t> patch_epoch_{0};
  Mutex patch_mu_{LockRank::kLeaf};
  absl::btree_map<uint64_t, uint32_t> patched_ ABSL_GUARDED_BY(patch_mu_);  // address -> index
  absl::btree_set<uint64_t> refused_ ABSL_GUARDED_BY(patch_mu_);            // patches that were undone
};

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_SYSTRAP_ADDRESS_SPACE_H_
