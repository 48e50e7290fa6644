#include "sentry/vfs/dentry_cache.h"

#include <algorithm>

#include "sentry/memory/live_limits.h"

namespace runsc {
namespace {

// A walk over more files than this forgets each before it comes by again, so it should be many; and a
// small part of what the sandbox may use, as a dentry with its inodes takes about 1 KB.
constexpr uint64_t kLeast = 4096, kMost = 64 * 1024;
constexpr uint64_t kGuestMemoryEach = 32 << 10;

size_t Capacity() {
  return std::clamp(live_limits.memory.load(std::memory_order_relaxed) / kGuestMemoryEach, kLeast, kMost);
}

}  // namespace

void DentryCache::Add(Dentry& dentry) {
  RefPtr<Dentry> dropped;  // released after the lock
  MutexLock lock(mu_);
  if (ring_.size() < Capacity()) {
    dentry.cache_slot_ = ring_.size();
    ring_.emplace_back(&dentry);
    return;
  }
  // A full round clears every mark, so that the second finds one.
  while (ring_[hand_]->used_.exchange(false, std::memory_order_relaxed)) hand_ = (hand_ + 1) % ring_.size();
  dropped = std::exchange(ring_[hand_], RefPtr<Dentry>(&dentry));
  dropped->cache_slot_ = Dentry::kNotCached;
  dentry.cache_slot_ = hand_;
  hand_ = (hand_ + 1) % ring_.size();
}

void DentryCache::Remove(Dentry& dentry) {
  RefPtr<Dentry> dropped;
  MutexLock lock(mu_);
  size_t slot = dentry.cache_slot_;
  if (slot == Dentry::kNotCached) return;
  dropped = std::move(ring_[slot]);
  dentry.cache_slot_ = Dentry::kNotCached;
  if (slot + 1 != ring_.size()) {
    ring_[slot] = std::move(ring_.back());
    ring_[slot]->cache_slot_ = slot;
  }
  ring_.pop_back();
  if (hand_ >= ring_.size()) hand_ = 0;
}

void DentryCache::Clear() {
  std::vector<RefPtr<Dentry>> dropped;
  MutexLock lock(mu_);
  for (RefPtr<Dentry>& dentry : ring_) dentry->cache_slot_ = Dentry::kNotCached;
  dropped.swap(ring_);
  hand_ = 0;
}

}  // namespace runsc
