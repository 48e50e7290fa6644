#include "sentry/wait/wait_queue.h"

#include "platform/base/check.h"

namespace runsc {

WaitQueue::~WaitQueue() { CHECK(head_ == nullptr); }

void WaitQueue::Add(Waiter& waiter, EventMask mask, bool exclusive) {
  MutexLock lock(mu_);
  CHECK(waiter.queue_ == nullptr);
  waiter.queue_ = this;
  waiter.mask_ = mask;
  waiter.exclusive_ = exclusive;
  // Others stand before exclusive ones, so that one round reaches them all.
  Waiter* before = exclusive ? nullptr : head_;
  waiter.next_ = before;
  waiter.previous_ = before != nullptr ? before->previous_ : tail_;
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : head_) = &waiter;
  (before != nullptr ? before->previous_ : tail_) = &waiter;
  size_.fetch_add(1, std::memory_order_seq_cst);
}

void WaitQueue::Remove(Waiter& waiter) {
  MutexLock lock(mu_);
  if (waiter.queue_ == nullptr) return;
  CHECK(waiter.queue_ == this);
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : head_) = waiter.next_;
  (waiter.next_ != nullptr ? waiter.next_->previous_ : tail_) = waiter.previous_;
  waiter.next_ = waiter.previous_ = nullptr;
  waiter.queue_ = nullptr;
  size_.fetch_sub(1, std::memory_order_seq_cst);
}

void WaitQueue::Notify(EventMask events) {
  // Pairs with the increment in Add: a waiter that registers and then looks again
  // sees the state that this notification is about.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (size_.load(std::memory_order_seq_cst) == 0) return;
  MutexLock lock(mu_);
  for (Waiter* waiter = head_; waiter != nullptr; waiter = waiter->next_) {
    if ((waiter->mask_ & events) == 0) continue;
    bool took = waiter->Notify(events);
    if (took && waiter->exclusive_) break;
  }
}

}  // namespace runsc
