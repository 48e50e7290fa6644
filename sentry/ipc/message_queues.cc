#include "sentry/ipc/message_queues.h"

#include <algorithm>
#include <climits>
#include <optional>

namespace runsc {

struct MessageQueues::MessageQueue final : IpcObject, RefCounted {
  explicit MessageQueue(const IpcPermissions& permissions) : IpcObject(permissions) {}
  Messages messages;
  std::list<MessageWaiter*> senders, receivers;
  uint64_t bytes = 0;      // in the queue
  uint64_t max_bytes = 0;  // msg_qbytes
  pid_t last_sender = 0, last_receiver = 0;
  int64_t send_time = 0, receive_time = 0, change_time = IpcNow();  // seconds
  IpcCharge charge;

  bool Fits(uint64_t size) const {
    return size <= max_bytes && bytes <= max_bytes - size && messages.size() < max_bytes;
  }
};

MessageQueues::MessageQueues() = default;

MessageQueues::~MessageQueues() = default;

Result<int> MessageQueues::Get(key_t key, int flags, const IpcCaller& caller) {
  MutexLock lock(mu_);
  auto make = [&]() -> Result<RefPtr<MessageQueue>> {
    ASSIGN_OR_RETURN(IpcCharge charge, IpcCharge::Take(sizeof(MessageQueue)));
    auto queue =
        MakeRef<MessageQueue>(IpcPermissions(key, static_cast<uint32_t>(flags) & 0777, caller.creds));
    queue->max_bytes = static_cast<uint64_t>(limits.queue_bytes.load());
    queue->charge = std::move(charge);
    return queue;
  };
  auto check = [](MessageQueue&) { return Ok(); };
  return table_.Get(key, flags, caller, limits.queues, check, make);
}

Result<RefPtr<MessageQueues::MessageQueue>> MessageQueues::QueueOf(int id, int access,
                                                                   const IpcCaller& caller,
                                                                   MessageWaiter& waiter) {
  RefPtr<MessageQueue> queue;
  if (waiter.queue_) {
    queue = RefPtr<MessageQueue>(static_cast<MessageQueue*>(waiter.queue_.get()));
    if (queue->removed) return Errno(EIDRM);
  } else {
    ASSIGN_OR_RETURN(queue, table_.Find(id));
  }
  RETURN_IF_ERROR(CheckIpcAccess(queue->permissions, caller, access));
  return queue;
}

bool MessageQueues::Matches(const IpcMessage& message, const MessageRequest& request) {
  if (request.type == 0) return true;
  if (request.type < 0) return message.type <= (request.type == INT64_MIN ? INT64_MAX : -request.type);
  return (message.type == request.type) != request.except;
}

MessageQueues::Messages::iterator MessageQueues::Choose(Messages& messages, const MessageRequest& request) {
  if (request.copy) {
    uint64_t position = static_cast<uint64_t>(request.type);
    return position < messages.size() ? std::next(messages.begin(), request.type) : messages.end();
  }
  auto best = messages.end();
  for (auto it = messages.begin(); it != messages.end(); ++it) {
    if (!Matches(*it, request)) continue;
    if (request.type >= 0) return it;
    // The lowest type, and of these the oldest.
    if (best == messages.end() || it->type < best->type) best = it;
  }
  return best;
}

bool MessageQueues::HandOver(MessageQueue& queue, IpcMessage& message) {
  while (true) {
    auto found =
        std::find_if(queue.receivers.begin(), queue.receivers.end(),
                     [&](const MessageWaiter* receiver) { return Matches(message, receiver->request_); });
    if (found == queue.receivers.end()) return false;
    MessageWaiter& receiver = **found;
    queue.receivers.erase(found);
    receiver.queued_ = false;
    const bool too_long = message.text.size() > receiver.request_.max_size && !receiver.request_.truncate;
    if (too_long) {
      receiver.error_ = E2BIG;
    } else {
      receiver.message_ = std::move(message);
      receiver.received_ = true;
      queue.last_receiver = receiver.pid_;
      queue.receive_time = IpcNow();
    }
    receiver.waiter_.Notify(EPOLLIN);
    if (!too_long) return true;
  }
}

Result<bool> MessageQueues::Send(int id, IpcMessage& message, bool wait, const IpcCaller& caller,
                                 MessageWaiter& waiter) {
  const uint64_t size = message.text.size();
  RefPtr<MessageQueue> queue;
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(queue, QueueOf(id, 0222, caller, waiter));
  if (!queue->Fits(size)) {
    if (!wait) return Errno(EAGAIN);
    waiter.queue_ = queue;
    waiter.size_ = size;
    if (!std::exchange(waiter.queued_, true)) queue->senders.push_back(&waiter);
    return false;
  }
  queue->last_sender = caller.pid;
  queue->send_time = IpcNow();
  if (!HandOver(*queue, message)) {
    queue->messages.push_back(std::move(message));
    queue->bytes += size;
  }
  return true;
}

void MessageQueues::WakeSenders(MessageQueue& queue, bool all) {
  for (MessageWaiter* sender : queue.senders) {
    if (all || queue.Fits(sender->size_)) sender->waiter_.Notify(EPOLLOUT);
  }
}

void MessageQueues::FailReceivers(MessageQueue& queue, int error) {
  for (MessageWaiter* receiver : queue.receivers) {
    receiver->queued_ = false;
    receiver->error_ = error;
    receiver->waiter_.Notify(EPOLLIN);
  }
  queue.receivers.clear();
}

Result<void> MessageQueues::TakeLocked(MessageQueue& queue, Messages::iterator found,
                                       const MessageRequest& request, pid_t pid, IpcMessage& message) {
  if (found->text.size() > request.max_size && !request.truncate) return Errno(E2BIG);
  if (request.copy) {
    ASSIGN_OR_RETURN(message.charge, IpcCharge::Take(found->text.size()));
    message.type = found->type;
    message.text = found->text;
    return Ok();
  }
  message = std::move(*found);
  queue.messages.erase(found);
  queue.bytes -= message.text.size();
  queue.last_receiver = pid;
  queue.receive_time = IpcNow();
  WakeSenders(queue, false);
  return Ok();
}

Result<bool> MessageQueues::Receive(int id, const MessageRequest& request, const IpcCaller& caller,
                                    MessageWaiter& waiter, IpcMessage& message) {
  RefPtr<MessageQueue> queue;
  MutexLock lock(mu_);
  if (waiter.received_) {
    message = std::move(waiter.message_);
    return true;
  }
  // EAGAIN tells to look again: IPC_SET changed who may read.
  if (int error = std::exchange(waiter.error_, 0); error != 0 && error != EAGAIN) return Errno(error);
  if (waiter.queued_) return false;
  ASSIGN_OR_RETURN(queue, QueueOf(id, 0444, caller, waiter));
  auto found = Choose(queue->messages, request);
  if (found != queue->messages.end()) {
    RETURN_IF_ERROR(TakeLocked(*queue, found, request, caller.pid, message));
    return true;
  }
  if (!request.wait) return Errno(ENOMSG);
  waiter.queue_ = queue;
  waiter.request_ = request;
  waiter.pid_ = caller.pid;
  waiter.queued_ = true;
  queue->receivers.push_back(&waiter);
  return false;
}

bool MessageQueues::Cancel(MessageWaiter& waiter) {
  RefPtr<RefCounted> released;
  MutexLock lock(mu_);
  released = std::move(waiter.queue_);
  if (std::exchange(waiter.queued_, false)) {
    auto& queue = static_cast<MessageQueue&>(*released);
    queue.senders.remove(&waiter);
    queue.receivers.remove(&waiter);
  }
  return waiter.received_ || (waiter.error_ != 0 && waiter.error_ != EAGAIN);
}

IpcStatus<msqid_ds> MessageQueues::StatusOf(const MessageQueue& queue) {
  IpcStatus<msqid_ds> status{queue.id, {}};
  msqid_ds& out = status.description;
  out.msg_perm = ToIpcPerm(queue);
  out.msg_stime = queue.send_time;
  out.msg_rtime = queue.receive_time;
  out.msg_ctime = queue.change_time;
  out.__msg_cbytes = queue.bytes;
  out.msg_qnum = queue.messages.size();
  out.msg_qbytes = queue.max_bytes;
  out.msg_lspid = queue.last_sender;
  out.msg_lrpid = queue.last_receiver;
  return status;
}

Result<IpcStatus<msqid_ds>> MessageQueues::Stat(int id, IpcLookup how, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<MessageQueue> queue, table_.FindToStat(id, how, caller));
  return StatusOf(*queue);
}

Result<void> MessageQueues::Set(int id, const msqid_ds& wanted, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<MessageQueue> queue, table_.FindToControl(id, caller));
  if (wanted.msg_qbytes > static_cast<uint64_t>(limits.queue_bytes) &&
      !caller.creds.HasCapability(CAP_SYS_RESOURCE))
    return Errno(EPERM);
  RETURN_IF_ERROR(ChangeIpcOwner(queue->permissions, wanted.msg_perm, caller));
  queue->max_bytes = wanted.msg_qbytes;
  queue->change_time = IpcNow();
  FailReceivers(*queue, EAGAIN);
  WakeSenders(*queue, true);
  return Ok();
}

Result<void> MessageQueues::Remove(int id, const IpcCaller& caller) {
  RefPtr<MessageQueue> queue;
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(queue, table_.FindToControl(id, caller));
  table_.Remove(*queue);
  FailReceivers(*queue, EIDRM);
  WakeSenders(*queue, true);
  return Ok();
}

std::pair<msginfo, int> MessageQueues::Info(bool used) {
  msginfo info{};
  info.msgmni = limits.queues;
  info.msgmax = limits.max_bytes;
  info.msgmnb = limits.queue_bytes;
  // What the kernel does not use has its compiled-in default.
  info.msgssz = 16;
  info.msgseg = 0xffff;
  info.msgpool = 32000 * 16384 / 1024;
  info.msgmap = info.msgtql = 16384;
  MutexLock lock(mu_);
  if (used) {
    uint64_t messages = 0, bytes = 0;
    for (const auto& [index, queue] : table_.objects()) {
      messages += queue->messages.size();
      bytes += queue->bytes;
    }
    info.msgpool = table_.size();
    info.msgmap = static_cast<int>(messages);
    info.msgtql = static_cast<int>(bytes);
  }
  return {info, table_.highest_index()};
}

std::vector<IpcStatus<msqid_ds>> MessageQueues::List() {
  MutexLock lock(mu_);
  std::vector<IpcStatus<msqid_ds>> list;
  for (const auto& [index, queue] : table_.objects()) list.push_back(StatusOf(*queue));
  return list;
}

}  // namespace runsc
