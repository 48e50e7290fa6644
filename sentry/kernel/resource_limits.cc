#include "sentry/kernel/resource_limits.h"

namespace runsc {

ResourceLimits::ResourceLimits() {
  auto set = [this](int resource, uint64_t current, uint64_t maximum) {
    limits_[resource] = ResourceLimit{current, maximum};
  };
  set(RLIMIT_STACK, 8 << 20, RLIM_INFINITY);
  set(RLIMIT_CORE, 0, RLIM_INFINITY);
  set(RLIMIT_NOFILE, 1024, 1048576);
  set(RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
  set(RLIMIT_SIGPENDING, 32768, 32768);
  set(RLIMIT_MSGQUEUE, 819200, 819200);
  set(RLIMIT_NICE, 0, 0);
  set(RLIMIT_RTPRIO, 0, 0);
}

}  // namespace runsc
