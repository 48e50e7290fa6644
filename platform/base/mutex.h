// Mutex and SharedMutex: std::mutex and std::shared_mutex with clang's
// thread-safety annotations and a rank (lock_rank.h). Debug builds CHECK that a
// thread takes locks in ascending rank; release builds pay nothing for it.
#ifndef PLATFORM_BASE_MUTEX_H_
#define PLATFORM_BASE_MUTEX_H_

#include <mutex>
#include <shared_mutex>

#include "absl/base/thread_annotations.h"
#include "platform/base/lock_rank.h"

namespace runsc {

#ifdef NDEBUG
inline void LockRankAcquired(LockRank) {}
inline void LockRankReleased(LockRank) {}
#else
// Aborts, naming both ranks, if the thread holds a lock of this rank or a higher one.
void LockRankAcquired(LockRank rank);
void LockRankReleased(LockRank rank);
#endif

class ABSL_LOCKABLE Mutex {
 public:
  explicit Mutex(LockRank rank) : rank_(rank) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    LockRankAcquired(rank_);
    mu_.lock();
  }
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    if (!mu_.try_lock()) return false;
    LockRankAcquired(LockRank::kAny);
    return true;
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    mu_.unlock();
    LockRankReleased(rank_);
  }
  // Says to the analysis that the lock is held where it cannot see it.
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}
  std::mutex& native() { return mu_; }

 private:
  std::mutex mu_;
  [[maybe_unused]] const LockRank rank_;
};

class ABSL_LOCKABLE SharedMutex {
 public:
  explicit SharedMutex(LockRank rank) : rank_(rank) {}
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    LockRankAcquired(rank_);
    mu_.lock();
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    mu_.unlock();
    LockRankReleased(rank_);
  }
  void ReaderLock() ABSL_SHARED_LOCK_FUNCTION() {
    LockRankAcquired(rank_);
    mu_.lock_shared();
  }
  void ReaderUnlock() ABSL_UNLOCK_FUNCTION() {
    mu_.unlock_shared();
    LockRankReleased(rank_);
  }
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}
  void AssertReaderHeld() const ABSL_ASSERT_SHARED_LOCK() {}

 private:
  std::shared_mutex mu_;
  [[maybe_unused]] const LockRank rank_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mu) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) : mu_(mu) { mu_.Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mu_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mu_;
};

class ABSL_SCOPED_LOCKABLE WriterLock {
 public:
  explicit WriterLock(SharedMutex& mu) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu) : mu_(mu) { mu_.Lock(); }
  ~WriterLock() ABSL_UNLOCK_FUNCTION() { mu_.Unlock(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  SharedMutex& mu_;
};

class ABSL_SCOPED_LOCKABLE ReaderLock {
 public:
  explicit ReaderLock(SharedMutex& mu) ABSL_SHARED_LOCK_FUNCTION(mu) : mu_(mu) { mu_.ReaderLock(); }
  ~ReaderLock() ABSL_UNLOCK_FUNCTION() { mu_.ReaderUnlock(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  SharedMutex& mu_;
};

// Two locks of one rank, by address; the same lock twice is taken once.
class ABSL_SCOPED_LOCKABLE TwoMutexLock {
 public:
  TwoMutexLock(Mutex& a, Mutex& b) ABSL_EXCLUSIVE_LOCK_FUNCTION(a, b);
  ~TwoMutexLock() ABSL_UNLOCK_FUNCTION();
  TwoMutexLock(const TwoMutexLock&) = delete;
  TwoMutexLock& operator=(const TwoMutexLock&) = delete;

 private:
  Mutex* first_;
  Mutex* second_;  // null when both are one
};

}  // namespace runsc

#endif  // PLATFORM_BASE_MUTEX_H_
