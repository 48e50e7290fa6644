#include "sentry/fsimpl/eventfd.h"

namespace runsc {
namespace {

constexpr uint64_t kMaxCount = UINT64_MAX - 1;

}  // namespace

EventFile::EventFile(uint64_t initial, bool semaphore, int flags)
    : FileDescription(AnonymousPath("anon_inode:[eventfd]"), O_RDWR | flags),
      semaphore_(semaphore),
      count_(initial) {}

Result<size_t> EventFile::Read(IoSequence& to) {
  if (to.size() < sizeof(uint64_t)) return Errno(EINVAL);
  uint64_t value = 0;
  {
    MutexLock lock(mu_);
    if (count_ == 0) return Errno(EAGAIN);
    value = semaphore_ ? 1 : count_;
    count_ -= value;
  }
  wait_queue_.Notify(EPOLLOUT | EPOLLWRNORM);
  ASSIGN_OR_RETURN(size_t done, to.CopyOut(std::as_bytes(std::span(&value, 1))));
  if (done != sizeof(value)) return Errno(EFAULT);
  return done;
}

Result<size_t> EventFile::Write(IoSequence& from) {
  if (from.size() < sizeof(uint64_t)) return Errno(EINVAL);
  IoSequence source = from;  // a write that has to wait starts over with the same bytes
  uint64_t value = 0;
  ASSIGN_OR_RETURN(size_t done, source.CopyIn(std::as_writable_bytes(std::span(&value, 1))));
  if (done != sizeof(value)) return Errno(EFAULT);
  if (value == UINT64_MAX) return Errno(EINVAL);
  {
    MutexLock lock(mu_);
    if (value > kMaxCount - count_) return Errno(EAGAIN);
    count_ += value;
  }
  from.Skip(sizeof(value));
  wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
  return done;
}

void EventFile::Signal() {
  {
    MutexLock lock(mu_);
    if (count_ < UINT64_MAX) ++count_;
  }
  wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
}

uint64_t EventFile::count() const {
  MutexLock lock(mu_);
  return count_;
}

EventMask EventFile::Readiness(EventMask mask) {
  MutexLock lock(mu_);
  EventMask ready = 0;
  if (count_ > 0) ready |= EPOLLIN;
  if (count_ < kMaxCount) ready |= EPOLLOUT;
  if (count_ == UINT64_MAX) ready |= EPOLLERR;
  return ready & (mask | EPOLLERR);
}

}  // namespace runsc
