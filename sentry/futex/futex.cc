#include "sentry/futex/futex.h"

#include <linux/futex.h>
#include <x86intrin.h>

#include <algorithm>

#include "absl/hash/hash.h"
#include "sentry/futex/bucket.h"

namespace runsc {
namespace {

constexpr int kReleaseSpins = 200;

int32_t SignExtend12(uint32_t value) { return static_cast<int32_t>(value << 20) >> 20; }

// Does FUTEX_WAKE_OP's arithmetic; what the word was.
Result<uint32_t> Operate(uint32_t* word, uint32_t operation) {
  uint32_t argument = static_cast<uint32_t>(SignExtend12(operation >> 12 & 0xfff));
  uint32_t kind = operation >> 28 & 0xf;
  if ((kind & FUTEX_OP_OPARG_SHIFT) != 0) argument = uint32_t{1} << (argument & 31);
  switch (kind & ~uint32_t{FUTEX_OP_OPARG_SHIFT}) {
    case FUTEX_OP_SET:
      return __atomic_exchange_n(word, argument, __ATOMIC_SEQ_CST);
    case FUTEX_OP_ADD:
      return __atomic_fetch_add(word, argument, __ATOMIC_SEQ_CST);
    case FUTEX_OP_OR:
      return __atomic_fetch_or(word, argument, __ATOMIC_SEQ_CST);
    case FUTEX_OP_ANDN:
      return __atomic_fetch_and(word, ~argument, __ATOMIC_SEQ_CST);
    case FUTEX_OP_XOR:
      return __atomic_fetch_xor(word, argument, __ATOMIC_SEQ_CST);
    default:
      return Errno(ENOSYS);
  }
}

Result<bool> Compare(uint32_t old, uint32_t operation) {
  int32_t value = static_cast<int32_t>(old);
  int32_t argument = SignExtend12(operation & 0xfff);
  switch (operation >> 24 & 0xf) {
    case FUTEX_OP_CMP_EQ:
      return value == argument;
    case FUTEX_OP_CMP_NE:
      return value != argument;
    case FUTEX_OP_CMP_LT:
      return value < argument;
    case FUTEX_OP_CMP_LE:
      return value <= argument;
    case FUTEX_OP_CMP_GT:
      return value > argument;
    case FUTEX_OP_CMP_GE:
      return value >= argument;
    default:
      return Errno(ENOSYS);
  }
}

}  // namespace

FutexTable::FutexTable() : buckets_(std::make_unique<Bucket[]>(kBuckets)) {}
FutexTable::~FutexTable() = default;

FutexTable::Bucket& FutexTable::BucketOf(FutexKey key) {
  return buckets_[absl::HashOf(key.object, key.offset) % kBuckets];
}

void FutexTable::Append(Bucket& bucket, FutexWaiter& waiter, FutexKey key) {
  bucket.mu.AssertHeld();
  waiter.key_ = key;
  waiter.bucket_.store(&bucket, std::memory_order_relaxed);
  waiter.next_ = nullptr;
  waiter.previous_ = bucket.tail;
  (bucket.tail != nullptr ? bucket.tail->next_ : bucket.head) = &waiter;
  bucket.tail = &waiter;
}

void FutexTable::Unlink(Bucket& bucket, FutexWaiter& waiter) {
  bucket.mu.AssertHeld();
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : bucket.head) = waiter.next_;
  (waiter.next_ != nullptr ? waiter.next_->previous_ : bucket.tail) = waiter.previous_;
  waiter.next_ = waiter.previous_ = nullptr;
  bucket.waiters.fetch_sub(1, std::memory_order_relaxed);
}

void FutexTable::Release(Bucket& bucket, FutexWaiter& waiter) {
  Unlink(bucket, waiter);
  waiter.state_.store(FutexWaiter::kWoken, std::memory_order_release);
  waiter.waiter_.Notify(EPOLLIN);
  // The last touch: its owner may go from here on.
  waiter.state_.store(FutexWaiter::kReleased, std::memory_order_release);
}

Result<void> FutexTable::Prepare(FutexWaiter& waiter, FutexKey key, UserMemory& memory, UserAddr addr,
                                 uint32_t expected, uint32_t bitset, bool requeue_pi) {
  if (bitset == 0) return Errno(EINVAL);
  waiter.bitset_ = bitset;
  waiter.requeue_pi_ = requeue_pi;
  Bucket& bucket = BucketOf(key);
  return memory.WithWord(addr, MemoryAccess::kRead, [&](uint32_t* word) -> Result<void> {
    MutexLock lock(bucket.mu);
    // Before the word is read: whoever changes it afterwards sees that somebody is here.
    bucket.waiters.fetch_add(1, std::memory_order_seq_cst);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != expected) {
      bucket.waiters.fetch_sub(1, std::memory_order_relaxed);
      return Errno(EAGAIN);
    }
    Append(bucket, waiter, key);
    return Ok();
  });
}

bool FutexTable::Cancel(FutexWaiter& waiter) {
  for (int i = 0; i < kReleaseSpins && waiter.woken(); ++i) {
    if (waiter.state_.load(std::memory_order_acquire) == FutexWaiter::kReleased) return false;
    _mm_pause();
  }
  for (;;) {
    auto* bucket = static_cast<Bucket*>(waiter.bucket_.load(std::memory_order_relaxed));
    if (bucket == nullptr) return true;  // was never queued
    MutexLock lock(bucket->mu);
    if (waiter.bucket_.load(std::memory_order_relaxed) != bucket) continue;  // requeued meanwhile
    if (waiter.woken()) return false;
    Unlink(*bucket, waiter);
    waiter.bucket_.store(nullptr, std::memory_order_relaxed);
    return true;
  }
}

int FutexTable::WakeLocked(Bucket& bucket, FutexKey key, uint32_t bitset, int count) {
  bucket.mu.AssertHeld();
  int woken = 0;
  for (FutexWaiter* waiter = bucket.head; waiter != nullptr && woken < count;) {
    FutexWaiter* next = waiter->next_;
    if (waiter->key_ == key && (waiter->bitset_ & bitset) != 0 && !waiter->pi_ && !waiter->requeue_pi_) {
      Release(bucket, *waiter);
      ++woken;
    }
    waiter = next;
  }
  return woken;
}

int FutexTable::Wake(FutexKey key, uint32_t bitset, int count) {
  Bucket& bucket = BucketOf(key);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (bucket.waiters.load(std::memory_order_seq_cst) == 0) return 0;
  MutexLock lock(bucket.mu);
  return WakeLocked(bucket, key, bitset, count);
}

Result<int> FutexTable::Requeue(FutexKey from, FutexKey to, UserMemory& memory, UserAddr addr,
                                const uint32_t* expected, int wake, int requeue) {
  if (wake < 0 || requeue < 0) return Errno(EINVAL);
  Bucket& source = BucketOf(from);
  Bucket& target = BucketOf(to);
  int count = 0;
  auto move = [&](uint32_t* word) -> Result<void> {
    TwoMutexLock lock(source.mu, target.mu);
    if (expected != nullptr && __atomic_load_n(word, __ATOMIC_SEQ_CST) != *expected) return Errno(EAGAIN);
    count = WakeLocked(source, from, FUTEX_BITSET_MATCH_ANY, wake);
    if (from == to) return Ok();
    int moved = 0;
    for (FutexWaiter* waiter = source.head; waiter != nullptr && moved < requeue;) {
      FutexWaiter* next = waiter->next_;
      if (waiter->key_ == from && !waiter->pi_ && !waiter->requeue_pi_) {
        target.waiters.fetch_add(1, std::memory_order_seq_cst);
        Unlink(source, *waiter);
        Append(target, *waiter, to);
        ++moved;
      }
      waiter = next;
    }
    count += moved;
    return Ok();
  };
  if (expected == nullptr) {
    RETURN_IF_ERROR(move(nullptr));
  } else {
    RETURN_IF_ERROR(memory.WithWord(addr, MemoryAccess::kRead, move));
  }
  return count;
}

Result<int> FutexTable::WakeOp(FutexKey key1, FutexKey key2, UserMemory& memory, UserAddr addr2, int wake1,
                               int wake2, uint32_t operation) {
  // An unknown comparison has to fail before the word is changed.
  RETURN_IF_ERROR(Compare(0, operation));
  uint32_t old = 0;
  RETURN_IF_ERROR(memory.WithWord(addr2, MemoryAccess::kWrite, [&](uint32_t* word) -> Result<void> {
    ASSIGN_OR_RETURN(old, Operate(word, operation));
    return Ok();
  }));
  int count = Wake(key1, FUTEX_BITSET_MATCH_ANY, wake1);
  ASSIGN_OR_RETURN(bool second, Compare(old, operation));
  if (second) count += Wake(key2, FUTEX_BITSET_MATCH_ANY, wake2);
  return count;
}

}  // namespace runsc
