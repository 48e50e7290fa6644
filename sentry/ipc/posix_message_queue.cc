#include "sentry/ipc/posix_message_queue.h"

namespace runsc {

bool PosixMessageQueue::HandOverLocked(PosixMessage& message) {
  if (receivers_.empty()) return false;
  PosixMessageWaiter& receiver = *receivers_.front();
  receivers_.pop_front();
  receiver.queued_ = false;
  receiver.message_ = std::move(message);
  receiver.done_ = true;
  receiver.waiter_.Notify(EPOLLIN);
  return true;
}

void PosixMessageQueue::InsertLocked(PosixMessage message) {
  ++count_;
  bytes_ += message.text.size();
  messages_[message.priority].push_back(std::move(message));
}

bool PosixMessageQueue::Send(PosixMessage& message, const IpcCaller& caller, bool wait,
                             PosixMessageWaiter& waiter) {
  RefPtr<PosixMessageNotice> notice;
  {
    MutexLock lock(mu_);
    if (waiter.done_) return true;
    if (waiter.queued_) return false;
    if (count_ >= limits_.messages) {
      if (!wait) return false;
      waiter.message_ = std::move(message);
      waiter.queued_ = true;
      senders_.push_back(&waiter);
      return false;
    }
    if (HandOverLocked(message)) return true;
    InsertLocked(std::move(message));
    if (count_ == 1 && notice_) {
      notice = std::move(notice_);
      notice->Arrived(caller);
    }
  }
  wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
  return true;
}

void PosixMessageQueue::AdmitSenderLocked() {
  if (senders_.empty()) return;
  PosixMessageWaiter& sender = *senders_.front();
  senders_.pop_front();
  sender.queued_ = false;
  sender.done_ = true;
  InsertLocked(std::move(sender.message_));
  sender.waiter_.Notify(EPOLLOUT);
}

bool PosixMessageQueue::Receive(PosixMessage& message, bool wait, PosixMessageWaiter& waiter) {
  {
    MutexLock lock(mu_);
    if (waiter.done_) {
      message = std::move(waiter.message_);
      return true;
    }
    if (waiter.queued_) return false;
    if (count_ == 0) {
      if (!wait) return false;
      waiter.queued_ = true;
      receivers_.push_back(&waiter);
      return false;
    }
    auto highest = messages_.begin();
    message = std::move(highest->second.front());
    highest->second.pop_front();
    if (highest->second.empty()) messages_.erase(highest);
    --count_;
    bytes_ -= message.text.size();
    AdmitSenderLocked();
  }
  wait_queue_.Notify(EPOLLOUT | EPOLLWRNORM);
  return true;
}

bool PosixMessageQueue::Cancel(PosixMessageWaiter& waiter) {
  MutexLock lock(mu_);
  if (std::exchange(waiter.queued_, false)) {
    senders_.remove(&waiter);
    receivers_.remove(&waiter);
  }
  return waiter.done_;
}

Result<void> PosixMessageQueue::SetNotice(RefPtr<PosixMessageNotice> notice) {
  MutexLock lock(mu_);
  if (notice_) return Errno(EBUSY);
  notice_ = std::move(notice);
  return Ok();
}

void PosixMessageQueue::RemoveNotice(pid_t owner) {
  RefPtr<PosixMessageNotice> removed;
  {
    MutexLock lock(mu_);
    if (!notice_ || notice_->owner() != owner) return;
    removed = std::move(notice_);
  }
  removed->Removed();
}

PosixMessageQueue::Status PosixMessageQueue::status() const {
  MutexLock lock(mu_);
  return {count_, bytes_, notice_};
}

EventMask PosixMessageQueue::Readiness(EventMask mask) const {
  MutexLock lock(mu_);
  EventMask ready = 0;
  if (count_ > 0) ready |= EPOLLIN | EPOLLRDNORM;
  if (count_ < limits_.messages) ready |= EPOLLOUT | EPOLLWRNORM;
  return ready & mask;
}

}  // namespace runsc
