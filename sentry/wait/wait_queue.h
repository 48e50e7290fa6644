// WaitQueue: who waits for something to become ready. A Waiter is registered for a
// mask of poll(2) events (the EPOLL* bits) and told, on the notifying thread, when
// one of them may have come. A notification is a hint: the waiter looks again.
//
// Threading: Notify from any thread, with any lock of lower rank held. A callback runs
// under the queue's lock: it must not block, register or unregister with this queue;
// it may notify another queue (epoll does). After Remove() returns, no callback runs.
// Linux counterpart: wait_queue_head_t.
#ifndef SENTRY_WAIT_WAIT_QUEUE_H_
#define SENTRY_WAIT_WAIT_QUEUE_H_

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>

#include "platform/base/mutex.h"

namespace runsc {

using EventMask = uint32_t;  // EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLERR, EPOLLHUP, EPOLLRDHUP, …
inline constexpr EventMask kEventsRead = EPOLLIN | EPOLLRDNORM | EPOLLHUP | EPOLLERR | EPOLLRDHUP;
inline constexpr EventMask kEventsWrite = EPOLLOUT | EPOLLWRNORM | EPOLLHUP | EPOLLERR;

class WaitQueue;

class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  virtual ~Waiter() = default;  // must not be registered any more

  // Returns whether it took the event: an exclusive waiter that did ends the round.
  virtual bool Notify(EventMask events) = 0;

 private:
  friend class WaitQueue;
  Waiter* next_ = nullptr;
  Waiter* previous_ = nullptr;
  WaitQueue* queue_ = nullptr;
  EventMask mask_ = 0;
  bool exclusive_ = false;
};

class WaitQueue {
 public:
  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;
  ~WaitQueue();

  // `exclusive` waiters are told one at a time, after all others (EPOLLEXCLUSIVE,
  // accept(2), futex-like uses).
  void Add(Waiter& waiter, EventMask mask, bool exclusive = false);
  void Remove(Waiter& waiter);
  // Tells the waiters that registered for any of `events`.
  void Notify(EventMask events);
  bool HasWaiters() const { return size_.load(std::memory_order_seq_cst) != 0; }

 private:
  Mutex mu_{LockRank::kWaitQueue};
  Waiter* head_ ABSL_GUARDED_BY(mu_) = nullptr;
  Waiter* tail_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::atomic<uint32_t> size_{0};
};

}  // namespace runsc

#endif  // SENTRY_WAIT_WAIT_QUEUE_H_
