#include "platform/base/mutex.h"

#include <functional>
#include <utility>

#include "platform/base/check.h"
#include "platform/base/log.h"

namespace runsc {

#ifndef NDEBUG
namespace {

constexpr int kMaxHeld = 32;
struct HeldRanks {
  LockRank ranks[kMaxHeld];
  int count = 0;
};
thread_local HeldRanks held;

bool MayNest(LockRank rank) { return rank == LockRank::kWaitQueue; }

}  // namespace

void LockRankAcquired(LockRank rank) {
  if (rank != LockRank::kAny) {
    for (int i = 0; i < held.count; ++i) {
      LockRank other = held.ranks[i];
      if (other == LockRank::kAny || other < rank || (other == rank && MayNest(rank))) continue;
      LOG_ERROR("lock rank {} taken while {} is held", static_cast<int>(rank), static_cast<int>(other));
      CheckFailed(__FILE__, __LINE__, "lock order");
    }
  }
  CHECK(held.count < kMaxHeld);
  held.ranks[held.count++] = rank;
}

void LockRankReleased(LockRank rank) {
  for (int i = held.count - 1; i >= 0; --i) {
    if (held.ranks[i] != rank && held.ranks[i] != LockRank::kAny) continue;
    for (int j = i; j + 1 < held.count; ++j) held.ranks[j] = held.ranks[j + 1];
    --held.count;
    return;
  }
  CheckFailed(__FILE__, __LINE__, "released a lock that is not held");
}
#endif

TwoMutexLock::TwoMutexLock(Mutex& a, Mutex& b) ABSL_NO_THREAD_SAFETY_ANALYSIS : first_(&a), second_(&b) {
  if (first_ == second_) second_ = nullptr;
  if (second_ != nullptr && std::less<>()(second_, first_)) std::swap(first_, second_);
  first_->Lock();
  if (second_ != nullptr) {
    second_->native().lock();
    LockRankAcquired(LockRank::kAny);
  }
}

TwoMutexLock::~TwoMutexLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (second_ != nullptr) {
    second_->native().unlock();
    LockRankReleased(LockRank::kAny);
  }
  first_->Unlock();
}

}  // namespace runsc
