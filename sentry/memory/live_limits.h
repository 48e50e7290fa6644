// LiveLimits: what the guest of this Sentry may use now, where that is less than what it was booted for:
// `runsc update` changes it while the guest runs. A Sentry has one guest, one MemoryFile and one Kernel, and
// so there is one of these.
//
// Threading: any thread; whoever allocates sees a change soon. What is above a new limit stays.
// Linux counterpart: memory.max and pids.max of the guest's cgroup, cgroups(7).
#ifndef SENTRY_MEMORY_LIVE_LIMITS_H_
#define SENTRY_MEMORY_LIVE_LIMITS_H_

#include <atomic>
#include <cstdint>

namespace runsc {

struct LiveLimits {
  std::atomic<uint64_t> memory{UINT64_MAX};  // bytes of the MemoryFile
  std::atomic<uint64_t> tasks{UINT64_MAX};   // processes and threads
};
inline LiveLimits live_limits;

}  // namespace runsc

#endif  // SENTRY_MEMORY_LIVE_LIMITS_H_
