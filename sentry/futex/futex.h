// FutexTable: who waits on which futex word. It knows words and keys only; what a waiter
// is woken by is given as a Waiter, so that it stays below the kernel.
//
// Threading: any thread. A bucket's lock (kFutex) is held while the word is read or changed, and
// inside mm's lock never: keys are made before.
// Linux counterpart: kernel/futex; futex(2).
#ifndef SENTRY_FUTEX_FUTEX_H_
#define SENTRY_FUTEX_FUTEX_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "platform/base/mutex.h"
#include "platform/base/result.h"
#include "sentry/usermem/user_memory.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

struct FutexKey {
  const void* object = nullptr;
  uint64_t offset = 0;
  friend bool operator==(const FutexKey&, const FutexKey&) = default;
};

// One waiting task. Lives on the waiting task's stack.
class FutexWaiter {
 public:
  explicit FutexWaiter(Waiter& waiter) : waiter_(waiter) {}
  // Whether a wake has taken it off its queue.
  bool woken() const { return woken_.load(std::memory_order_acquire); }

 private:
  friend class FutexTable;
  Waiter& waiter_;
  FutexKey key_;
  uint32_t bitset_ = 0;
  uint32_t tid_ = 0;  // PI: who will own the word
  std::atomic<bool> woken_{false};
  bool queued_ = false;  // guarded by the bucket's lock
  FutexWaiter* next_ = nullptr;
  FutexWaiter* previous_ = nullptr;
};

class FutexTable {
 public:
  FutexTable();
  ~FutexTable();
  FutexTable(const FutexTable&) = delete;
  FutexTable& operator=(const FutexTable&) = delete;

  // Queues the waiter if the word still is `expected`; else EAGAIN. EFAULT.
  Result<void> Prepare(FutexWaiter& waiter, FutexKey key, UserMemory& memory, UserAddr addr,
                       uint32_t expected, uint32_t bitset);
  // Takes it off (timeout, signal). False if a wake was quicker.
  bool Cancel(FutexWaiter& waiter);
  // Wakes up to `count` whose bitset matches; how many.
  int Wake(FutexKey key, uint32_t bitset, int count);
  // FUTEX_CMP_REQUEUE; `expected` null: FUTEX_REQUEUE. Woken plus requeued.
  Result<int> Requeue(FutexKey from, FutexKey to, UserMemory& memory, UserAddr addr, const uint32_t* expected,
                      int wake, int requeue);
  // FUTEX_WAKE_OP.
  Result<int> WakeOp(FutexKey key1, FutexKey key2, UserMemory& memory, UserAddr addr2, int wake1, int wake2,
                     uint32_t operation);
  // Priority inheritance futexes, without the inheritance (as all tasks have one priority).
  // Ok: the lock was taken; EAGAIN: queued, the owner hands it over in UnlockPi; EDEADLK, ESRCH
  // (`owner_alive` tells), EPERM.
  Result<void> LockPi(FutexWaiter* waiter, FutexKey key, UserMemory& memory, UserAddr addr, uint32_t tid,
                      absl::FunctionRef<bool(uint32_t)> owner_alive);
  Result<void> UnlockPi(FutexKey key, UserMemory& memory, UserAddr addr, uint32_t tid);

 private:
  struct Bucket;
  static constexpr size_t kBuckets = 256;
  Bucket& BucketOf(FutexKey key);
  std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace runsc

#endif  // SENTRY_FUTEX_FUTEX_H_
