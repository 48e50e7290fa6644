// struct rusage of what the kernel counts.
#ifndef SENTRY_SYSCALLS_RESOURCE_USAGE_H_
#define SENTRY_SYSCALLS_RESOURCE_USAGE_H_

#include <sys/resource.h>

#include "sentry/kernel/thread_group.h"
#include "sentry/time/clock.h"

namespace runsc {

inline timeval ToTimeval(int64_t nanoseconds) {
  constexpr int64_t kNanosecondsPerMicrosecond = 1000;
  return timeval{nanoseconds / kNanosecondsPerSecond,
                 nanoseconds % kNanosecondsPerSecond / kNanosecondsPerMicrosecond};
}

inline struct rusage ResourceUsageOf(const CpuUsage& usage, uint64_t peak_resident_bytes) {
  struct rusage result {};
  result.ru_utime = ToTimeval(usage.user);
  result.ru_stime = ToTimeval(usage.system);
  result.ru_maxrss = static_cast<long>(peak_resident_bytes / 1024);
  result.ru_minflt = static_cast<long>(usage.minor_faults);
  result.ru_nvcsw = static_cast<long>(usage.voluntary_switches);
  return result;
}

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_RESOURCE_USAGE_H_
