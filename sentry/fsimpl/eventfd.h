// EventFile: a 64-bit counter as a file. Threading: any thread. eventfd(2).
#ifndef SENTRY_FSIMPL_EVENTFD_H_
#define SENTRY_FSIMPL_EVENTFD_H_

#include "platform/base/mutex.h"
#include "sentry/vfs/anonymous.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class EventFile final : public FileDescription {
 public:
  // `flags`: O_NONBLOCK.
  EventFile(uint64_t initial, bool semaphore, int flags);
  Result<size_t> Read(IoSequence& to) override;
  Result<size_t> Write(IoSequence& from) override;
  Result<int64_t> Seek(int64_t offset, int whence) override { return 0; }  // Linux: noop_llseek()
  EventMask Readiness(EventMask mask) override;
  WaitQueue* wait_queue() override { return &wait_queue_; }
  // Adds one, unless the counter is at its end (io_setup(2), vhost: eventfd_signal).
  void Signal();
  uint64_t count() const;  // /proc/pid/fdinfo
  bool semaphore() const { return semaphore_; }

 private:
  const bool semaphore_;
  WaitQueue wait_queue_;
  mutable Mutex mu_{LockRank::kPipe};
  uint64_t count_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_EVENTFD_H_
