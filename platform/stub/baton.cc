#include "platform/stub/baton.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace runsc {

bool Baton::Take(long timeout_ns) {
  Waiter self;
  {
    MutexLock lock(mu_);
    if (!std::exchange(held_, true)) return true;
    waiters_.push_back(&self);
    waiting_.store(waiters_.size(), std::memory_order_relaxed);
  }
  const timespec timeout = {0, timeout_ns};
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&self.granted), FUTEX_WAIT_PRIVATE, 0, &timeout, nullptr, 0);
  MutexLock lock(mu_);
  if (self.granted.load(std::memory_order_relaxed) != 0) return true;
  std::erase(waiters_, &self);
  waiting_.store(waiters_.size(), std::memory_order_relaxed);
  return false;
}

void Baton::Release() {
  MutexLock lock(mu_);
  if (waiters_.empty()) {
    held_ = false;
    return;
  }
  // Under the lock: what is woken lives on the waiter's stack.
  Waiter* next = waiters_.front();
  waiters_.pop_front();
  waiting_.store(waiters_.size(), std::memory_order_relaxed);
  next->granted.store(1, std::memory_order_relaxed);
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&next->granted), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace runsc
