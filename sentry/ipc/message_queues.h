// MessageQueues: the System V message queues of one IPC namespace.
//
// A message goes straight to the first receiver that waits for such a one, else into the queue.
// Threading: any thread, one lock for all queues.
// Linux counterpart: ipc/msg.c; msgsnd(2), msgrcv(2), msgctl(2).
#ifndef SENTRY_IPC_MESSAGE_QUEUES_H_
#define SENTRY_IPC_MESSAGE_QUEUES_H_

#include <sys/msg.h>

#include <atomic>
#include <list>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/ipc/ipc_table.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

// /proc/sys/kernel/msg*.
struct MessageLimits {
  std::atomic<int> max_bytes{8192};     // a message
  std::atomic<int> queue_bytes{16384};  // a queue, unless msgctl changed it
  std::atomic<int> queues{32000};
};

struct IpcMessage {
  int64_t type = 0;
  std::vector<std::byte> text;
  IpcCharge charge;
};

// Which message msgrcv(2) wants, and what is to become of one that is too long.
struct MessageRequest {
  int64_t type = 0;  // as msgrcv takes it; with `copy`: the position in the queue
  uint64_t max_size = 0;
  bool except = false;    // MSG_EXCEPT
  bool copy = false;      // MSG_COPY
  bool truncate = false;  // MSG_NOERROR
  bool wait = true;
};

// A msgsnd(2) or msgrcv(2) that may have to wait. Lives on the task's stack: Cancel() it in the end.
class MessageWaiter {
 public:
  explicit MessageWaiter(Waiter& waiter) : waiter_(waiter) {}

 private:
  friend class MessageQueues;
  Waiter& waiter_;
  // Guarded by the lock of the queues.
  RefPtr<RefCounted> queue_;
  bool queued_ = false;
  MessageRequest request_;  // of a receiver
  pid_t pid_ = 0;
  uint64_t size_ = 0;   // of a sender
  IpcMessage message_;  // handed over
  bool received_ = false;
  int error_ = 0;
};

class MessageQueues final : public RefCounted {
 public:
  MessageQueues();
  MessageLimits limits;

  // msgget(2).
  Result<int> Get(key_t key, int flags, const IpcCaller& caller);
  // Takes the message if there is room or a receiver; false: none, and the waiter is woken when there may
  // be: call again. EACCES, EIDRM, EAGAIN (`wait` is false), EINVAL.
  Result<bool> Send(int id, IpcMessage& message, bool wait, const IpcCaller& caller, MessageWaiter& waiter);
  // The message; false: call again when woken. ENOMSG, E2BIG, EACCES, EIDRM, EINVAL.
  Result<bool> Receive(int id, const MessageRequest& request, const IpcCaller& caller, MessageWaiter& waiter,
                       IpcMessage& message);
  // Waits no more. Whether something came in the meantime: then Receive() once more gives it.
  bool Cancel(MessageWaiter& waiter);

  // msgctl(2).
  Result<IpcStatus<msqid_ds>> Stat(int id, IpcLookup how, const IpcCaller& caller);
  Result<void> Set(int id, const msqid_ds& wanted, const IpcCaller& caller);
  Result<void> Remove(int id, const IpcCaller& caller);
  // IPC_INFO, or MSG_INFO if `used`; the second is what msgctl returns.
  std::pair<msginfo, int> Info(bool used);
  std::vector<IpcStatus<msqid_ds>> List();

 private:
  struct MessageQueue;
  ~MessageQueues() override;
  using Messages = std::list<IpcMessage>;
  // Finds the queue at the first call, and makes sure that it still is there at later ones.
  Result<RefPtr<MessageQueue>> QueueOf(int id, int access, const IpcCaller& caller, MessageWaiter& waiter)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static Messages::iterator Choose(Messages& messages, const MessageRequest& request);
  static bool Matches(const IpcMessage& message, const MessageRequest& request);
  // Whether a receiver has taken it.
  bool HandOver(MessageQueue& queue, IpcMessage& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<void> TakeLocked(MessageQueue& queue, Messages::iterator found, const MessageRequest& request,
                          pid_t pid, IpcMessage& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WakeSenders(MessageQueue& queue, bool all) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FailReceivers(MessageQueue& queue, int error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static IpcStatus<msqid_ds> StatusOf(const MessageQueue& queue);

  Mutex mu_{LockRank::kIpc};
  IpcTable<MessageQueue> table_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_IPC_MESSAGE_QUEUES_H_
