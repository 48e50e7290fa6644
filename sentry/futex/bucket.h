// One list of the futex table's hash: waiters of all keys that fall here, oldest first.
#ifndef SENTRY_FUTEX_BUCKET_H_
#define SENTRY_FUTEX_BUCKET_H_

#include "sentry/futex/futex.h"

namespace runsc {

struct alignas(64) FutexTable::Bucket {
  Mutex mu{LockRank::kFutex};
  // So that a wake nobody waits for takes no lock; raised before the word is compared.
  std::atomic<uint32_t> waiters{0};
  FutexWaiter* head ABSL_GUARDED_BY(mu) = nullptr;
  FutexWaiter* tail ABSL_GUARDED_BY(mu) = nullptr;
};

}  // namespace runsc

#endif  // SENTRY_FUTEX_BUCKET_H_
