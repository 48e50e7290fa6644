// DentryCache: the dentries of one filesystem that nobody uses just now but a later
// walk may. It holds references; a clock hand gives each a second chance before it
// drops one for a new one.
//
// Owned by its Filesystem. Threading: any thread. Linux counterpart: the dentry LRU.
#ifndef SENTRY_VFS_DENTRY_CACHE_H_
#define SENTRY_VFS_DENTRY_CACHE_H_

#include <vector>

#include "sentry/vfs/dentry.h"

namespace runsc {

class DentryCache {
 public:
  // A new dentry; drops an old one when the cache is full.
  void Add(Dentry& dentry);
  // A deleted one goes at once: it would keep the file's data.
  void Remove(Dentry& dentry);
  void Clear();
  static void Touch(Dentry& dentry) {
    if (!dentry.used_.load(std::memory_order_relaxed)) dentry.used_.store(true, std::memory_order_relaxed);
  }

 private:
  Mutex mu_{LockRank::kLeaf};
  std::vector<RefPtr<Dentry>> ring_ ABSL_GUARDED_BY(mu_);
  size_t hand_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace runsc

#endif  // SENTRY_VFS_DENTRY_CACHE_H_
