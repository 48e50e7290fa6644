// FutexTable: who waits on which futex word. It knows words and keys only; what a waiter
// is woken by is given as a Waiter, so that it stays below the kernel.
//
// Threading: any thread. A bucket's lock (kFutex) is held while the word is compared and the waiter
// queued; it is taken inside mm's lock (UserMemory::WithWord's callback), never around it.
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

class FutexTable;

// One waiting task. Lives on the waiting task's stack, which must Cancel it in every case before
// it goes: a waker may still be about to notify.
class FutexWaiter {
 public:
  // `tid`: who will own the word of a PI futex.
  explicit FutexWaiter(Waiter& waiter, uint32_t tid = 0) : waiter_(waiter), tid_(tid) {}
  // Whether a wake has taken it off its queue; for a PI futex: whether it owns the lock now.
  bool woken() const { return state_.load(std::memory_order_acquire) != kWaiting; }
  // Whether FUTEX_CMP_REQUEUE_PI has moved it to the PI futex.
  bool requeued() const { return requeued_.load(std::memory_order_acquire); }

 private:
  friend class FutexTable;
  enum State : int { kWaiting, kWoken, kReleased };  // released: the waker has let go of it
  Waiter& waiter_;
  FutexKey key_;
  uint32_t bitset_ = 0;
  const uint32_t tid_;
  bool pi_ = false;          // waits for a PI lock
  bool requeue_pi_ = false;  // FUTEX_WAIT_REQUEUE_PI
  std::atomic<bool> requeued_{false};
  std::atomic<int> state_{kWaiting};
  std::atomic<void*> bucket_{nullptr};  // where it is queued; changes under both buckets' locks
  FutexWaiter* next_ = nullptr;
  FutexWaiter* previous_ = nullptr;
};

class FutexTable {
 public:
  FutexTable();
  ~FutexTable();
  FutexTable(const FutexTable&) = delete;
  FutexTable& operator=(const FutexTable&) = delete;

  // Queues the waiter if the word still is `expected`; else EAGAIN. EFAULT. With `requeue_pi` only
  // RequeuePi takes it off (FUTEX_WAIT_REQUEUE_PI).
  Result<void> Prepare(FutexWaiter& waiter, FutexKey key, UserMemory& memory, UserAddr addr,
                       uint32_t expected, uint32_t bitset, bool requeue_pi = false);
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
  // Ok: the lock was taken; EAGAIN: queued (or, `waiter` null, it is taken), the owner hands it over
  // in UnlockPi; EDEADLK, ESRCH (`owner_alive` tells; called without locks); ERESTARTNOINTR when the
  // word would not hold still.
  Result<void> LockPi(FutexWaiter* waiter, FutexKey key, UserMemory& memory, UserAddr addr, uint32_t tid,
                      absl::FunctionRef<bool(uint32_t)> owner_alive);
  // EPERM: not the owner.
  Result<void> UnlockPi(FutexKey key, UserMemory& memory, UserAddr addr, uint32_t tid);
  // FUTEX_CMP_REQUEUE_PI with a wake count of 1. Woken plus requeued.
  Result<int> RequeuePi(FutexKey from, FutexKey to, UserMemory& memory, UserAddr addr_from, UserAddr addr_to,
                        uint32_t expected, int requeue);
  // A thread exits with this word on its robust list (set_robust_list(2)): if it owns the word,
  // marks it FUTEX_OWNER_DIED and wakes a waiter. `pending`: it was about to take or release it.
  Result<void> OwnerDied(FutexKey key, UserMemory& memory, UserAddr addr, uint32_t tid, bool pi,
                         bool pending);

 private:
  struct Bucket;
  static constexpr size_t kBuckets = 256;
  Bucket& BucketOf(FutexKey key);
  static void Append(Bucket& bucket, FutexWaiter& waiter, FutexKey key);
  static void Unlink(Bucket& bucket, FutexWaiter& waiter);
  static void Release(Bucket& bucket, FutexWaiter& waiter);
  static FutexWaiter* FirstPi(Bucket& bucket, FutexKey key);
  static int WakeLocked(Bucket& bucket, FutexKey key, uint32_t bitset, int count);
  std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace runsc

#endif  // SENTRY_FUTEX_FUTEX_H_
