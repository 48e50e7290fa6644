// PosixTimers::Entry: one timer, inside of posix_timers*.cc.
#ifndef SENTRY_KERNEL_POSIX_TIMER_ENTRY_H_
#define SENTRY_KERNEL_POSIX_TIMER_ENTRY_H_

#include <optional>

#include "sentry/kernel/posix_timers.h"
#include "sentry/kernel/user_counts.h"

namespace runsc {

// Fields are guarded by the owner's mu_, but for the constants.
struct PosixTimers::Entry {
  static constexpr int kCpuLimit = 3;  // RLIMIT_CPU's place behind the ITIMER_* ones

  int id = -1;  // -1: an interval timer
  clockid_t clock = CLOCK_MONOTONIC;
  std::optional<CpuClock> cpu_clock;
  const Task* clock_thread = nullptr;  // whose CPU time; null: the process's
  RefPtr<ThreadGroup> clock_group;     // another process, whose CPU time it is
  TimerEvent event;
  UserCounts::Share counted;

  bool armed = false;
  int64_t when = 0;  // on `clock`
  int64_t interval = 0;
  int64_t last_cpu_reading = 0;
  int64_t cpu_look = 0;
  bool signal_sent = false;  // and not taken yet
  int64_t missed = 0;        // expirations since it was sent
  int64_t pending_look = 0;  // how long until it is looked whether the signal has been taken
  int last_overrun = 0;
  std::optional<std::pair<int64_t, uint64_t>> due;  // its place in PosixTimers::due_
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_POSIX_TIMER_ENTRY_H_
