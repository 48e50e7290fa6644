#include "platform/systrap/systrap_address_space.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "platform/base/log.h"

namespace runsc {

Result<RefPtr<SystrapAddressSpace>> SystrapAddressSpace::New(StubMaster& master) {
  ASSIGN_OR_RETURN(auto process, master.Prepare());
  ASSIGN_OR_RETURN(auto slot, ThreadSlot::New(process->pages(), master.base(), 0));
  // The first list makes a guest thread.
  StubCommand first[1 + ThreadSlot::kCommands] = {{SYS_prctl, {PR_SET_PDEATHSIG, SIGKILL}}};
  slot->AddCommands(process->pages(), std::span(first).last<ThreadSlot::kCommands>());
  RETURN_IF_ERROR(master.Fork(*process, first));
  return MakeRef<SystrapAddressSpace>(master, std::move(process), std::move(slot));
}

Result<ThreadSlot*> SystrapAddressSpace::TakeSlot() {
  MutexLock lock(mu_);
  if (process_->dead()) return Errno(ESRCH);
  if (!free_slots_.empty()) {
    ThreadSlot* slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
  }
  // The answer to the process's first list is the first thread.
  ASSIGN_OR_RETURN(int32_t first, process_->Finish());
  if (first > 0) {
    slots_[0]->tid = first;
    return slots_[0].get();
  }
  ASSIGN_OR_RETURN(auto slot, ThreadSlot::New(process_->pages(), master_.base(), slots_.size()));
  StubCommand commands[ThreadSlot::kCommands];
  slot->AddCommands(process_->pages(), commands);
  ASSIGN_OR_RETURN(slot->tid, process_->Run(commands));
  slots_.push_back(std::move(slot));
  return slots_.back().get();
}

void SystrapAddressSpace::ReturnSlot(ThreadSlot* slot) {
  MutexLock lock(mu_);
  free_slots_.push_back(slot);
}

bool SystrapAddressSpace::CheckAlive() {
  MutexLock lock(mu_);
  process_->CheckAlive();
  return !process_->dead();
}

void SystrapAddressSpace::Kill() {
  MutexLock lock(mu_);
  LOG_ERROR("stub process {} does not obey: killed", process_->pid());
  if (!process_->reaped()) kill(process_->pid(), SIGKILL);
  process_->MarkDead();
}

}  // namespace runsc
