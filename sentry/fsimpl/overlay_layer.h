// What the overlay needs to call a layer's inode without a dentry tree of that layer.
//
// Internal to the overlay.
#ifndef SENTRY_FSIMPL_OVERLAY_LAYER_H_
#define SENTRY_FSIMPL_OVERLAY_LAYER_H_

#include <functional>
#include <string>

#include "sentry/vfs/dentry.h"
#include "sentry/vfs/inode.h"

namespace runsc {

// A name for an inode of a layer, hanging nowhere.
inline RefPtr<Dentry> LayerDentry(Inode& inode, std::string_view name = {}) {
  return MakeRef<Dentry>(inode.filesystem(), RefPtr<Inode>(&inode), std::string(name));
}

// The lock of an upper directory, or of two. The overlay's own directory has such a lock too, which is
// always taken first; hence the rank that only these have.
class UpperDirectoryLock {
 public:
  explicit UpperDirectoryLock(Inode& a) : UpperDirectoryLock(a, a) {}
  UpperDirectoryLock(Inode& a, Inode& b) ABSL_NO_THREAD_SAFETY_ANALYSIS : first_(&a), second_(&b) {
    if (std::less<>()(second_, first_)) std::swap(first_, second_);
    if (second_ == first_) second_ = nullptr;
    for (Inode* inode : {first_, second_}) {
      if (inode == nullptr) continue;
      LockRankAcquired(inode == first_ ? LockRank::kUpperDirectory
                                       : LockRank::kAny);  // the second: by address
      inode->directory_lock().native().lock();
    }
  }
  ~UpperDirectoryLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (Inode* inode : {second_, first_}) {
      if (inode == nullptr) continue;
      inode->directory_lock().native().unlock();
      LockRankReleased(inode == first_ ? LockRank::kUpperDirectory : LockRank::kAny);
    }
  }
  UpperDirectoryLock(const UpperDirectoryLock&) = delete;
  UpperDirectoryLock& operator=(const UpperDirectoryLock&) = delete;

 private:
  Inode* first_;
  Inode* second_;
};

inline bool IsWhiteout(Inode& inode) {
  if (inode.file_type() != S_IFCHR) return false;
  auto attributes = inode.Attributes();
  return attributes.ok() && attributes->rdev == 0;
}

// What `name` leads to in a layer's directory; null: nothing.
inline Result<RefPtr<Inode>> LookupInLayer(Inode& dir, std::string_view name) {
  RefPtr<Dentry> dentry = LayerDentry(dir);
  auto found = dir.Lookup(*dentry, name);
  if (found.is(ENOENT)) return RefPtr<Inode>();
  return found;
}

}  // namespace runsc

#endif  // SENTRY_FSIMPL_OVERLAY_LAYER_H_
