// TimerFile: a timer as a file. Expirations are counted when somebody asks, so that a fast timer
// nobody reads costs one callback. Threading: any thread. timerfd_create(2).
#ifndef SENTRY_FSIMPL_TIMERFD_H_
#define SENTRY_FSIMPL_TIMERFD_H_

#include "platform/base/mutex.h"
#include "sentry/kernel/posix_timers.h"
#include "sentry/time/timer_queue.h"
#include "sentry/vfs/anonymous.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class TimerFile final : public FileDescription {
 public:
  // `flags`: O_NONBLOCK.
  TimerFile(TimerQueue& queue, clockid_t clock, int flags);
  // A new setting; what there was before.
  TimerSetting Set(bool absolute, TimerSetting setting);
  TimerSetting Get();
  clockid_t clock() const { return clock_; }
  uint64_t ticks();          // expirations that have not been read
  bool is_absolute() const;  // TFD_TIMER_ABSTIME was set

  Result<size_t> Read(IoSequence& to) override;
  Result<int64_t> Seek(int64_t offset, int whence) override { return 0; }  // Linux: noop_llseek()
  EventMask Readiness(EventMask mask) override;
  WaitQueue* wait_queue() override { return &wait_queue_; }

 private:
  void Fire();
  // Counts what has expired by now, and arms for the next time.
  void CatchUpLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  TimerSetting GetLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const clockid_t clock_;
  WaitQueue wait_queue_;
  mutable Mutex mu_{LockRank::kTimerFile};
  int64_t when_ ABSL_GUARDED_BY(mu_) = 0;  // on clock_; 0: off
  int64_t interval_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t expirations_ ABSL_GUARDED_BY(mu_) = 0;
  bool absolute_ ABSL_GUARDED_BY(mu_) = false;
  bool fired_ ABSL_GUARDED_BY(mu_) = false;  // the timer is not armed: when_ may have passed
  Timer timer_;                              // last: cancelled first
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_TIMERFD_H_
