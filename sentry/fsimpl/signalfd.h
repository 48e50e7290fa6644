// SignalFile: signals of the task that reads, as records of a file. signalfd(2).
//
// Its wait queue is its own, fed from the signal queues of the processes that use the file (it
// outlives them when it is inherited or passed on).
// Threading: reads by task threads; readiness is that of the calling task.
#ifndef SENTRY_FSIMPL_SIGNALFD_H_
#define SENTRY_FSIMPL_SIGNALFD_H_

#include <atomic>
#include <memory>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/vfs/anonymous.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class SignalFile final : public FileDescription {
 public:
  SignalFile(SignalSet set, int flags);
  ~SignalFile() override;
  void SetSignals(SignalSet set);
  SignalSet signals() const { return SignalSet(set_.load(std::memory_order_relaxed)); }

  Result<size_t> Read(IoSequence& to) override;
  Result<int64_t> Seek(int64_t offset, int whence) override { return 0; }  // Linux: noop_llseek()
  EventMask Readiness(EventMask mask) override;
  WaitQueue* wait_queue() override;

 private:
  class Relay;
  std::atomic<uint64_t> set_;
  WaitQueue wait_queue_;
  Mutex mu_{LockRank::kPipe};
  std::vector<std::unique_ptr<Relay>> relays_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_SIGNALFD_H_
