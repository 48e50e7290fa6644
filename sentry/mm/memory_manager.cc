#include "sentry/mm/memory_manager.h"

#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "sentry/mm/state.h"

namespace runsc {

Result<RefPtr<MemoryManager>> MemoryManager::Create(Platform& platform, MemoryFile& memory_file) {
  static std::atomic<uint64_t> next_id{1};
  auto state = std::make_unique<State>(platform, memory_file);
  ASSIGN_OR_RETURN(state->space, platform.NewAddressSpace());
  state->min_address = std::max(platform.min_address(), kMinMapAddress);
  state->max_address = PageRoundDown(platform.max_address());
  state->id = next_id.fetch_add(1, std::memory_order_relaxed);
  if (getrandom(&state->random, sizeof(state->random), 0) != sizeof(state->random)) state->random = 0;
  {
    WriterLock lock(state->mu);
    state->PlaceMMapBase();
  }
  return RefPtr<MemoryManager>::Adopt(new MemoryManager(std::move(state)));
}

MemoryManager::MemoryManager(std::unique_ptr<State> state) : state_(std::move(state)) {
  state_->owner = this;
}

MemoryManager::~MemoryManager() {
  State& s = *state_;
  Garbage garbage;
  WriterLock lock(s.mu);
  // Nobody can enter an address space that only we still hold; else the host has to
  // unmap it before its pages may be used again.
  if (s.space->ref_count() == 1) {
    s.space.reset();
    s.DetachPmas({0, UINT64_MAX}, garbage);
  } else {
    s.RemovePmas({0, UINT64_MAX}, garbage);
  }
  for (auto& [start, vma] : s.vmas) {
    if (!vma.object) continue;
    vma.object->mappable().RemoveMapping(*this, {UserAddr(start), UserAddr(vma.end)}, vma.offset,
                                         vma.writable_mapping());
    garbage.objects.push_back(std::move(vma.object));
  }
}

AddressSpace& MemoryManager::address_space() { return *state_->space; }

void MemoryManager::SetLimits(const MemoryLimits& limits) {
  WriterLock lock(state_->mu);
  state_->limits = limits;
  if (state_->vmas.empty()) state_->PlaceMMapBase();
}

void MemoryManager::Invalidate(UserRange range, bool also_private) {
  State& s = *state_;
  Garbage garbage;
  WriterLock lock(s.mu);
  Span whole{PageRoundDown(range.start.value()), PageRoundUp(range.end.value()).value_or(s.max_address)};
  // Meanwhile something else may be mapped there; anonymous memory at least is never
  // what a file means.
  for (auto vma = s.FirstVmaFrom(whole.start); vma != s.vmas.end() && vma->first < whole.end; ++vma) {
    if (!vma->second.object) continue;
    Span part{std::max(whole.start, vma->first), std::min(whole.end, vma->second.end)};
    if (also_private) {
      s.RemovePmas(part, garbage);
      continue;
    }
    s.SplitPmaAt(part.start);
    s.SplitPmaAt(part.end);
    for (uint64_t at = part.start; at < part.end;) {
      auto it = s.FirstPmaFrom(at);
      if (it == s.pmas.end() || it->first >= part.end) break;
      Span piece{it->first, it->second.end};
      at = piece.end;
      if (!it->second.anonymous) s.RemovePmas(piece, garbage);
    }
  }
}

MemoryLayout MemoryManager::GetLayout() {
  ReaderLock lock(state_->mu);
  return state_->layout;
}

void MemoryManager::SetLayout(const MemoryLayout& layout) {
  WriterLock lock(state_->mu);
  state_->layout = layout;
}

RefPtr<RefCounted> MemoryManager::executable() {
  ReaderLock lock(state_->mu);
  return state_->executable;
}

void MemoryManager::SetExecutable(RefPtr<RefCounted> file) {
  // The old one is let go of without the lock.
  WriterLock lock(state_->mu);
  std::swap(state_->executable, file);
}

RefPtr<RefCounted> MemoryManager::attachment() {
  ReaderLock lock(state_->mu);
  return state_->attachment;
}

RefPtr<RefCounted> MemoryManager::GetOrAttach(absl::FunctionRef<RefPtr<RefCounted>()> make) {
  WriterLock lock(state_->mu);
  if (!state_->attachment) state_->attachment = make();
  return state_->attachment;
}

int MemoryManager::dumpable() const { return state_->dumpable.load(std::memory_order_relaxed); }
void MemoryManager::SetDumpable(int value) { state_->dumpable.store(value, std::memory_order_relaxed); }

}  // namespace runsc
