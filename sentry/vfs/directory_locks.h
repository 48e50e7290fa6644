// The locks of two or three directories of one filesystem, for rename(2) and rmdir(2):
// an ancestor before what is below it, unrelated ones by address and only under the
// filesystem's rename lock.
//
// Internal to vfs. Linux counterpart: Documentation/filesystems/directory-locking.
#ifndef SENTRY_VFS_DIRECTORY_LOCKS_H_
#define SENTRY_VFS_DIRECTORY_LOCKS_H_

#include "sentry/vfs/dentry.h"
#include "sentry/vfs/inode.h"

namespace runsc {

// A directory below one that is locked. Nothing if `inode` is no directory.
class NestedDirectoryLock {
 public:
  explicit NestedDirectoryLock(Inode& inode) ABSL_NO_THREAD_SAFETY_ANALYSIS
      : mu_(inode.IsDirectory() ? &inode.directory_lock() : nullptr) {
    if (mu_ == nullptr) return;
    mu_->native().lock();
    LockRankAcquired(LockRank::kAny);  // parent first: out of the ranks' sight
  }
  ~NestedDirectoryLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (mu_ == nullptr) return;
    mu_->native().unlock();
    LockRankReleased(LockRank::kAny);
  }
  NestedDirectoryLock(const NestedDirectoryLock&) = delete;
  NestedDirectoryLock& operator=(const NestedDirectoryLock&) = delete;

 private:
  Mutex* mu_;
};

// Two directories (or one), the rename lock held if they differ.
class TwoDirectoryLocks {
 public:
  TwoDirectoryLocks(const Dentry& a, const Dentry& b) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    RefPtr<Inode> first = a.inode(), second = b.inode();
    if (first != second && (a.IsBelow(b) || (!b.IsBelow(a) && std::less<>()(second.get(), first.get()))))
      std::swap(first, second);
    first_ = std::move(first);
    if (second != first_) second_ = std::move(second);
    first_->directory_lock().Lock();
    if (second_) {
      second_->directory_lock().native().lock();
      LockRankAcquired(LockRank::kAny);
    }
  }
  ~TwoDirectoryLocks() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (second_) {
      second_->directory_lock().native().unlock();
      LockRankReleased(LockRank::kAny);
    }
    first_->directory_lock().Unlock();
  }
  TwoDirectoryLocks(const TwoDirectoryLocks&) = delete;
  TwoDirectoryLocks& operator=(const TwoDirectoryLocks&) = delete;

 private:
  RefPtr<Inode> first_, second_;
};

}  // namespace runsc

#endif  // SENTRY_VFS_DIRECTORY_LOCKS_H_
