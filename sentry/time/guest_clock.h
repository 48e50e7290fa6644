// GuestClock: the guest's view of CLOCK_MONOTONIC, CLOCK_REALTIME and CLOCK_BOOTTIME. They are
// the host's, computed from the time stamp counter by the parameters of the vvar page, so that
// the vDSO and the system calls agree to the nanosecond. The parameters hold for a short window
// and are renewed by the first system call after it; a clock never steps back.
//
// Threading: any thread.
// Linux counterpart: timekeeping and arch/x86/entry/vdso.
#ifndef SENTRY_TIME_GUEST_CLOCK_H_
#define SENTRY_TIME_GUEST_CLOCK_H_

#include <time.h>

#include <atomic>
#include <cstdint>

#include "platform/base/mutex.h"
#include "sentry/time/vvar_page.h"

namespace runsc {

class GuestClock {
 public:
  GuestClock() = default;
  // Publishes parameters in `page` (zeroed; it has to outlive this object) from now on, if this
  // machine's counter can be trusted.
  void Attach(VvarPage* page, unsigned cpu_count);
  // Nanoseconds of a clock of clock_gettime(2) that is not about CPU time.
  int64_t Now(clockid_t clock);

 private:
  struct Sample {
    uint64_t tsc = 0;
    int64_t monotonic = 0;
  };
  static Sample TakeSample();
  static int64_t MeasureOffset(clockid_t clock);
  bool Read(clockid_t clock, int64_t* nanoseconds) const;
  void Renew();
  void Publish(Sample now, uint64_t window, uint64_t multiplier) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::atomic<VvarPage*> page_{nullptr};  // null: no usable counter
  Mutex mu_{LockRank::kLeaf};
  Sample anchor_ ABSL_GUARDED_BY(mu_);  // the rate is measured from here
  Sample last_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_TIME_GUEST_CLOCK_H_
