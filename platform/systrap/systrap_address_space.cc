#include "platform/systrap/systrap_address_space.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "platform/base/log.h"
#include "platform/systrap/systrap_context.h"

namespace runsc {
namespace {

// How long a thread in guest code may take to come out of it.
constexpr int kGateTries = 4000, kTriesPerKick = 200;
constexpr long kGatePauseNs = 50'000;

uint32_t IndexOf(const CodePatch& patch) {
  uint32_t pointer;
  memcpy(&pointer, patch.replacement.data() + 3, sizeof(pointer));
  return (pointer - SITE_TABLE) / 8;
}

}  // namespace

Result<RefPtr<SystrapAddressSpace>> SystrapAddressSpace::New(StubMaster& master, bool can_patch) {
  ASSIGN_OR_RETURN(auto process, master.Prepare());
  ASSIGN_OR_RETURN(auto slot, ThreadSlot::New(process->pages(), master.base(), 0));
  // The first list makes a guest thread.
  StubCommand first[1 + ThreadSlot::kCommands] = {{SYS_prctl, {PR_SET_PDEATHSIG, SIGKILL}}};
  slot->AddCommands(process->pages(), std::span(first).last<ThreadSlot::kCommands>());
  RETURN_IF_ERROR(master.Fork(*process, first));
  return MakeRef<SystrapAddressSpace>(master, std::move(process), std::move(slot), can_patch);
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

// The sites' pages are mapped with the next change, which has to precede the use of any site.
Result<int32_t> SystrapAddressSpace::CarryOutLocked(std::span<const StubCommand> list) {
  if (!table_ || table_mapped_) return process_->Run(list);
  const uint64_t fd = static_cast<uint64_t>(table_->fd());
  constexpr uint64_t kFlags = MAP_SHARED | MAP_FIXED;
  std::vector<StubCommand> commands = {
      {SYS_mmap, {SITE_TABLE, SITE_CODE - SITE_TABLE, PROT_READ, kFlags, fd, 0}},
      {SYS_mmap, {SITE_CODE, SITE_CODE_SIZE, PROT_READ | PROT_EXEC, kFlags, fd, SITE_CODE - SITE_TABLE}}};
  if (commands.size() + list.size() > kStubCommands) {
    RETURN_IF_ERROR(process_->Run(commands));
    table_mapped_ = true;
    return process_->Run(list);
  }
  commands.insert(commands.end(), list.begin(), list.end());
  Result<int32_t> done = process_->Run(commands);
  table_mapped_ = done.ok();
  return done;
}

void SystrapAddressSpace::SetTableLocked(RefPtr<SiteTable> table) {
  table_ = std::move(table);
  table_pointer_.store(table_.get(), std::memory_order_release);
}

std::optional<CodePatch> SystrapAddressSpace::PlanPatch(uint64_t call, uint64_t number,
                                                        std::span<const std::byte> code,
                                                        uint64_t code_address) {
  if (!can_patch_) return std::nullopt;
  std::optional<CallSite> site = FindCallSite(call, number, code, code_address);
  if (!site) return std::nullopt;
  {
    MutexLock lock(patch_mu_);
    if (refused_.contains(site->address)) return std::nullopt;
    // Nor one that overlaps another.
    auto next = patched_.lower_bound(site->address);
    if (next != patched_.end() && next->first < site->end()) return std::nullopt;
    if (next != patched_.begin() && std::prev(next)->first + CodePatch::kLength > site->address)
      return std::nullopt;
  }
  MutexLock lock(mu_);
  if (!table_) {
    uint64_t enter = static_cast<uint64_t>(runsc_systrap_stub_enter - runsc_systrap_stub_begin);
    auto table = SiteTable::New(master_.base() + enter);
    if (!table.ok()) return std::nullopt;
    SetTableLocked(*std::move(table));
  }
  std::optional<uint32_t> index = table_->Add(*site);
  if (!index) return std::nullopt;
  return SiteTable::PatchFor(*site, *index);
}

bool SystrapAddressSpace::ApplyPatch(const CodePatch& patch, absl::FunctionRef<void()> write) {
  {
    MutexLock lock(mu_);
    if (!table_mapped_ && !CarryOutLocked({}).ok()) return false;
  }
  MutexLock gate(gate_mu_);
  const bool closed = CloseGateLocked();
  if (closed) {
    write();
    MutexLock lock(patch_mu_);
    patched_.emplace(patch.address, IndexOf(patch));
    patch_epoch_.fetch_add(1, std::memory_order_release);
  }
  OpenGateLocked();
  return closed;
}

void SystrapAddressSpace::UndoPatch(const CodePatch& patch, absl::FunctionRef<void()> write) {
  MutexLock gate(gate_mu_);
  // A thread that does not come out is not in the bytes: they are one jump.
  (void)CloseGateLocked();
  write();
  {
    MutexLock lock(patch_mu_);
    patched_.erase(patch.address);
    refused_.insert(patch.address);
    patch_epoch_.fetch_add(1, std::memory_order_release);
  }
  OpenGateLocked();
}

void SystrapAddressSpace::ForgetPatches(uint64_t addr, uint64_t length) {
  MutexLock lock(patch_mu_);
  auto first = patched_.lower_bound(addr > CodePatch::kLength ? addr - CodePatch::kLength + 1 : 0);
  auto last = patched_.lower_bound(addr + length);
  if (first == last) return;
  patched_.erase(first, last);
  patch_epoch_.fetch_add(1, std::memory_order_release);
}

Result<void> SystrapAddressSpace::InheritPatches(AddressSpace& from, std::span<const CodePatch> patches) {
  if (patches.empty()) return Ok();
  auto& parent = static_cast<SystrapAddressSpace&>(from);
  RefPtr<SiteTable> table(parent.table_pointer_.load(std::memory_order_acquire));
  if (!table) return Errno(EINVAL);
  {
    MutexLock lock(mu_);
    SetTableLocked(std::move(table));
  }
  MutexLock lock(patch_mu_);
  for (const CodePatch& patch : patches) patched_.emplace(patch.address, IndexOf(patch));
  patch_epoch_.fetch_add(1, std::memory_order_release);
  return Ok();
}

std::optional<SystrapAddressSpace::Patched> SystrapAddressSpace::FindPatched(uint64_t rip) {
  if (table_pointer_.load(std::memory_order_acquire) == nullptr) return std::nullopt;
  MutexLock lock(patch_mu_);
  auto it = patched_.upper_bound(rip);
  if (it == patched_.begin()) return std::nullopt;
  --it;
  if (rip - it->first >= CodePatch::kLength) return std::nullopt;
  return Patched{SiteAt(it->second), it->second};
}

void SystrapAddressSpace::AddContext(SystrapContext* context) {
  MutexLock lock(gate_mu_);
  contexts_.push_back(context);
}

void SystrapAddressSpace::RemoveContext(SystrapContext* context) {
  MutexLock lock(gate_mu_);
  auto it = std::find(contexts_.begin(), contexts_.end(), context);
  if (it == contexts_.end()) return;
  *it = contexts_.back();
  contexts_.pop_back();
}

bool SystrapAddressSpace::CloseGateLocked() {
  gate_.store(1, std::memory_order_seq_cst);
  for (SystrapContext* context : contexts_) {
    for (int tries = 0; context->running(); ++tries) {
      if (tries == kGateTries) return false;
      if (tries % kTriesPerKick == 0) context->SendBack();
      timespec pause = {0, kGatePauseNs};
      nanosleep(&pause, nullptr);
    }
  }
  return true;
}

void SystrapAddressSpace::OpenGateLocked() {
  gate_.store(0, std::memory_order_seq_cst);
  gate_.notify_all();
}

}  // namespace runsc
