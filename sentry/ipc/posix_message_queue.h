// PosixMessageQueue: the messages of one POSIX message queue, by priority and age, the tasks that wait for
// it, and who is told of a first message.
//
// A message goes straight to the receiver that has waited longest; then nobody is notified of it. A receiver
// makes room for the sender that has waited longest.
// Owned by the queue's inode. Threading: any thread.
// Linux counterpart: ipc/mqueue.c; mq_overview(7).
#ifndef SENTRY_IPC_POSIX_MESSAGE_QUEUE_H_
#define SENTRY_IPC_POSIX_MESSAGE_QUEUE_H_

#include <atomic>
#include <deque>
#include <list>
#include <map>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/ipc/ipc_object.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

inline constexpr uint32_t kPosixPriorities = 32768;  // MQ_PRIO_MAX

struct PosixMessage {
  uint32_t priority = 0;
  std::vector<std::byte> text;
  IpcCharge charge;
};

// A registration of mq_notify(3).
class PosixMessageNotice : public RefCounted {
 public:
  PosixMessageNotice(pid_t owner, int kind, int signal) : owner_(owner), kind_(kind), signal_(signal) {}
  pid_t owner() const { return owner_; }  // a process, in the root PID namespace
  int kind() const { return kind_; }      // SIGEV_*
  int signal() const { return signal_; }  // with SIGEV_SIGNAL
  // The first message has come, from this process; called under the queue's lock.
  virtual void Arrived(const IpcCaller& sender) {}
  // It was taken away before that. Called without locks.
  virtual void Removed() {}

 private:
  const pid_t owner_;
  const int kind_, signal_;
};

// A mq_timedsend(2) or mq_timedreceive(2) that may have to wait. Lives on the task's stack; Cancel() it.
class PosixMessageWaiter {
 public:
  explicit PosixMessageWaiter(Waiter& waiter) : waiter_(waiter) {}

 private:
  friend class PosixMessageQueue;
  Waiter& waiter_;
  // Guarded by the queue's lock.
  bool queued_ = false;
  bool done_ = false;
  PosixMessage message_;  // to be sent, or received
};

class PosixMessageQueue {
 public:
  struct Limits {
    uint64_t messages = 0;      // mq_maxmsg
    uint64_t message_size = 0;  // mq_msgsize, bytes
  };
  explicit PosixMessageQueue(const Limits& limits) : limits_(limits) {}
  const Limits& limits() const { return limits_; }

  // True: done. False: there is no room or no message; with `wait` the waiter is woken when it is done: call
  // again. A message that is sent is taken.
  bool Send(PosixMessage& message, const IpcCaller& caller, bool wait, PosixMessageWaiter& waiter);
  bool Receive(PosixMessage& message, bool wait, PosixMessageWaiter& waiter);
  // Waits no more; true: it was done meanwhile, call again.
  bool Cancel(PosixMessageWaiter& waiter);

  // mq_notify(2). EBUSY.
  Result<void> SetNotice(RefPtr<PosixMessageNotice> notice);
  void RemoveNotice(pid_t owner);

  struct Status {
    uint64_t messages = 0, bytes = 0;
    RefPtr<PosixMessageNotice> notice;  // or null
  };
  Status status() const;
  EventMask Readiness(EventMask mask) const;
  WaitQueue& wait_queue() { return wait_queue_; }

 private:
  // Whether a receiver took it.
  bool HandOverLocked(PosixMessage& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void InsertLocked(PosixMessage message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AdmitSenderLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Limits limits_;
  WaitQueue wait_queue_;
  mutable Mutex mu_{LockRank::kIpc};
  std::map<uint32_t, std::deque<PosixMessage>, std::greater<>> messages_ ABSL_GUARDED_BY(mu_);
  uint64_t count_ ABSL_GUARDED_BY(mu_) = 0, bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::list<PosixMessageWaiter*> senders_ ABSL_GUARDED_BY(mu_), receivers_ ABSL_GUARDED_BY(mu_);
  RefPtr<PosixMessageNotice> notice_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_IPC_POSIX_MESSAGE_QUEUE_H_
