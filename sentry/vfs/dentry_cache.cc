#include "sentry/vfs/dentry_cache.h"

namespace runsc {

void DentryCache::Add(Dentry& dentry) {
  RefPtr<Dentry> dropped;  // released after the lock
  MutexLock lock(mu_);
  if (ring_.size() < kCapacity) {
    dentry.cache_slot_ = ring_.size();
    ring_.emplace_back(&dentry);
    return;
  }
  // A full round clears every mark, so that the second finds one.
  while (ring_[hand_]->used_.exchange(false, std::memory_order_relaxed)) hand_ = (hand_ + 1) % kCapacity;
  dropped = std::exchange(ring_[hand_], RefPtr<Dentry>(&dentry));
  dropped->cache_slot_ = Dentry::kNotCached;
  dentry.cache_slot_ = hand_;
  hand_ = (hand_ + 1) % kCapacity;
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
