// Priority inheritance futexes and the end of a lock's owner. The word holds the owner's thread id,
// FUTEX_WAITERS and FUTEX_OWNER_DIED; a lock with waiters is handed over, never dropped.
#include <linux/futex.h>

#include "sentry/futex/bucket.h"
#include "sentry/futex/futex.h"

namespace runsc {
namespace {

// How often a word may change between two looks before the system call starts over.
constexpr int kMaxTries = 64;

bool Exchange(uint32_t* word, uint32_t& old, uint32_t value) {
  return __atomic_compare_exchange_n(word, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

}  // namespace

FutexWaiter* FutexTable::FirstPi(Bucket& bucket, FutexKey key) {
  bucket.mu.AssertHeld();
  for (FutexWaiter* waiter = bucket.head; waiter != nullptr; waiter = waiter->next_) {
    if (waiter->pi_ && waiter->key_ == key) return waiter;
  }
  return nullptr;
}

Result<void> FutexTable::LockPi(FutexWaiter* waiter, FutexKey key, UserMemory& memory, UserAddr addr,
                                uint32_t tid, absl::FunctionRef<bool(uint32_t)> owner_alive) {
  Bucket& bucket = BucketOf(key);
  uint32_t checked_owner = 0;  // known to be alive
  for (int i = 0; i < kMaxTries; ++i) {
    uint32_t owner = 0;
    enum { kTaken, kQueued, kBusy, kCheckOwner } outcome = kBusy;
    RETURN_IF_ERROR(memory.WithWord(addr, MemoryAccess::kWrite, [&](uint32_t* word) -> Result<void> {
      MutexLock lock(bucket.mu);
      uint32_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
      for (int j = 0; j < kMaxTries; ++j) {
        owner = old & FUTEX_TID_MASK;
        if (owner == tid) return Errno(EDEADLK);
        if (owner == 0) {
          uint32_t value = tid | (old & FUTEX_OWNER_DIED);
          if (FirstPi(bucket, key) != nullptr) value |= FUTEX_WAITERS;
          if (!Exchange(word, old, value)) continue;
          outcome = kTaken;
          return Ok();
        }
        if (waiter == nullptr) return Ok();
        if (owner != checked_owner) {
          outcome = kCheckOwner;
          return Ok();
        }
        if (!Exchange(word, old, old | FUTEX_WAITERS)) continue;
        waiter->pi_ = true;
        bucket.waiters.fetch_add(1, std::memory_order_seq_cst);
        Append(bucket, *waiter, key);
        outcome = kQueued;
        return Ok();
      }
      return Errno(ERESTARTNOINTR);
    }));
    if (outcome == kTaken) return Ok();
    if (outcome != kCheckOwner) return Errno(EAGAIN);
    if (!owner_alive(owner)) return Errno(ESRCH);
    checked_owner = owner;
  }
  return Errno(ERESTARTNOINTR);
}

Result<void> FutexTable::UnlockPi(FutexKey key, UserMemory& memory, UserAddr addr, uint32_t tid) {
  Bucket& bucket = BucketOf(key);
  return memory.WithWord(addr, MemoryAccess::kWrite, [&](uint32_t* word) -> Result<void> {
    MutexLock lock(bucket.mu);
    uint32_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    for (int i = 0; i < kMaxTries; ++i) {
      if ((old & FUTEX_TID_MASK) != tid) return Errno(EPERM);
      FutexWaiter* next = FirstPi(bucket, key);
      if (!Exchange(word, old, next != nullptr ? next->tid_ | FUTEX_WAITERS : 0)) continue;
      if (next != nullptr) Release(bucket, *next);
      return Ok();
    }
    return Errno(ERESTARTNOINTR);
  });
}

Result<int> FutexTable::RequeuePi(FutexKey from, FutexKey to, UserMemory& memory, UserAddr addr_from,
                                  UserAddr addr_to, uint32_t expected, int requeue) {
  if (requeue < 0 || from == to) return Errno(EINVAL);
  RETURN_IF_ERROR(memory.WithWord(addr_from, MemoryAccess::kRead, [&](uint32_t* word) -> Result<void> {
    return __atomic_load_n(word, __ATOMIC_SEQ_CST) == expected ? Ok() : Result<void>(Errno(EAGAIN));
  }));
  Bucket& source = BucketOf(from);
  Bucket& target = BucketOf(to);
  int count = 0;
  RETURN_IF_ERROR(memory.WithWord(addr_to, MemoryAccess::kWrite, [&](uint32_t* word) -> Result<void> {
    TwoMutexLock lock(source.mu, target.mu);
    for (FutexWaiter* waiter = source.head; waiter != nullptr && count < requeue + 1;) {
      FutexWaiter* next = waiter->next_;
      if (waiter->key_ != from || waiter->pi_) {
        waiter = next;
        continue;
      }
      if (!waiter->requeue_pi_) return Errno(EINVAL);
      uint32_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
      bool taken = false;
      bool done = false;
      for (int i = 0; i < kMaxTries && !done; ++i) {
        // Only the first waiter may get the lock at once; it is contended for all others.
        taken = count == 0 && (old & FUTEX_TID_MASK) == 0;
        done = Exchange(word, old, taken ? waiter->tid_ | (old & ~FUTEX_TID_MASK) : old | FUTEX_WAITERS);
      }
      if (!done) return Errno(EAGAIN);
      if (taken) {
        waiter->requeued_.store(true, std::memory_order_release);
        Release(source, *waiter);
      } else {
        waiter->pi_ = true;
        waiter->requeue_pi_ = false;
        waiter->requeued_.store(true, std::memory_order_release);
        target.waiters.fetch_add(1, std::memory_order_seq_cst);
        Unlink(source, *waiter);
        Append(target, *waiter, to);
      }
      ++count;
      waiter = next;
    }
    return Ok();
  }));
  return count;
}

Result<void> FutexTable::OwnerDied(FutexKey key, UserMemory& memory, UserAddr addr, uint32_t tid, bool pi,
                                   bool pending) {
  Bucket& bucket = BucketOf(key);
  return memory.WithWord(addr, MemoryAccess::kWrite, [&](uint32_t* word) -> Result<void> {
    MutexLock lock(bucket.mu);
    uint32_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    for (int i = 0; i < kMaxTries; ++i) {
      // Released, but the wake that belongs to it was still to come.
      if (pending && !pi && (old & FUTEX_TID_MASK) == 0) {
        WakeLocked(bucket, key, FUTEX_BITSET_MATCH_ANY, 1);
        return Ok();
      }
      if ((old & FUTEX_TID_MASK) != tid) return Ok();
      FutexWaiter* next = pi ? FirstPi(bucket, key) : nullptr;
      uint32_t value = (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED | (next != nullptr ? next->tid_ : 0);
      if (!Exchange(word, old, value)) continue;
      if (next != nullptr) {
        Release(bucket, *next);
      } else if (!pi && (old & FUTEX_WAITERS) != 0) {
        WakeLocked(bucket, key, FUTEX_BITSET_MATCH_ANY, 1);
      }
      return Ok();
    }
    return Ok();
  });
}

}  // namespace runsc
