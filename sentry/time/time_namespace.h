// TimeNamespace: how far the CLOCK_MONOTONIC and CLOCK_BOOTTIME of the tasks in it are ahead of the
// machine's. The kernel's own times are the machine's everywhere; a task's namespace counts where it reads a
// clock, or names a point of time. Threading: any thread.
// Linux counterpart: struct time_namespace; time_namespaces(7).
#ifndef SENTRY_TIME_TIME_NAMESPACE_H_
#define SENTRY_TIME_TIME_NAMESPACE_H_

#include <time.h>

#include <atomic>
#include <cstdint>
#include <optional>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/auth/namespace.h"

namespace runsc {

// Nanoseconds.
struct TimeOffsets {
  int64_t monotonic = 0, boottime = 0;
  int64_t Of(clockid_t clock) const;
  friend bool operator==(const TimeOffsets&, const TimeOffsets&) = default;
};

class TimeNamespace final : public Namespace {
 public:
  explicit TimeNamespace(RefPtr<UserNamespace> user_ns, const TimeOffsets& offsets = {})
      : Namespace(std::move(user_ns)), monotonic_(offsets.monotonic), boottime_(offsets.boottime) {}
  TimeOffsets offsets() const {
    return {monotonic_.load(std::memory_order_relaxed), boottime_.load(std::memory_order_relaxed)};
  }
  // The machine's time of that clock at which it shows `nanoseconds` here; from 0 to INT64_MAX.
  int64_t ToMachine(clockid_t clock, int64_t nanoseconds) const;
  // A process is in it: the offsets are final.
  void Freeze();

  struct Change {  // of one clock
    clockid_t clock = CLOCK_MONOTONIC;
    int64_t seconds = 0;
    int64_t nanoseconds = 0;  // 0 to 999,999,999
  };
  // ERANGE: the clock would show less than nothing, or more than half of what there is; EACCES: frozen.
  Result<void> Set(const Change* changes, size_t count);

 private:
  std::atomic<int64_t> monotonic_, boottime_;
  Mutex mu_{LockRank::kLeaf};
  bool frozen_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace runsc

#endif  // SENTRY_TIME_TIME_NAMESPACE_H_
