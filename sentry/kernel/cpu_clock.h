// The clocks of CPU time and the numbers they have: CLOCK_PROCESS_CPUTIME_ID,
// CLOCK_THREAD_CPUTIME_ID and the ones that clock_getcpuclockid(3) makes of a process's or a thread's id.
// Linux counterpart: kernel/time/posix-cpu-timers.c.
#ifndef SENTRY_KERNEL_CPU_CLOCK_H_
#define SENTRY_KERNEL_CPU_CLOCK_H_

#include <time.h>

#include <cstdint>
#include <optional>

#include "platform/base/result.h"

namespace runsc {

class Task;
class ThreadGroup;

struct CpuClock {
  enum class Kind : uint8_t { kProfile, kUser, kScheduled };
  pid_t id = 0;  // 0: the caller
  bool thread = false;
  Kind kind = Kind::kScheduled;
  // nullopt: `clock` is about something else, or no such clock.
  static std::optional<CpuClock> Decode(clockid_t clock);
};

// Nanoseconds, as seen by `task`. EINVAL: no such process, or a thread of another one.
Result<int64_t> ReadCpuClock(Task& task, CpuClock clock);

}  // namespace runsc

#endif  // SENTRY_KERNEL_CPU_CLOCK_H_
