// SystrapAddressSpace: a stub process whose guest threads are driven through their slots.
// All changes of the address space are made by the keeper: guest threads are not allowed to.
//
// Threading: as AddressSpace says.
#ifndef PLATFORM_SYSTRAP_SYSTRAP_ADDRESS_SPACE_H_
#define PLATFORM_SYSTRAP_SYSTRAP_ADDRESS_SPACE_H_

#include <memory>
#include <vector>

#include "platform/stub/stub_address_space.h"
#include "platform/systrap/thread_slot.h"

namespace runsc {

class SystrapAddressSpace final : public StubAddressSpace {
 public:
  SystrapAddressSpace(StubMaster& master, std::unique_ptr<StubProcess> process,
                      std::unique_ptr<ThreadSlot> first)
      : StubAddressSpace(master, std::move(process)) {
    slots_.push_back(std::move(first));
  }
  static Result<RefPtr<SystrapAddressSpace>> New(StubMaster& master);

  // A stub thread that waits in its slot; an unused one or a new one. Valid until it is
  // returned, and at most as long as the address space.
  Result<ThreadSlot*> TakeSlot() ABSL_LOCKS_EXCLUDED(mu_);
  // Its thread waits again: its last run is done.
  void ReturnSlot(ThreadSlot* slot) ABSL_LOCKS_EXCLUDED(mu_);

  // False: the process is dead. One that was stopped from outside goes on.
  bool CheckAlive() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends a process that does not obey.
  void Kill() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  std::vector<std::unique_ptr<ThreadSlot>> slots_ ABSL_GUARDED_BY(mu_);
  std::vector<ThreadSlot*> free_slots_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_SYSTRAP_ADDRESS_SPACE_H_
