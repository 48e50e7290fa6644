#include "sentry/kernel/resource_limits.h"

namespace runsc {

ResourceLimits::ResourceLimits() {
  limits_[RLIMIT_STACK] = {8 << 20, RLIM_INFINITY};
  limits_[RLIMIT_CORE] = {0, RLIM_INFINITY};
  limits_[RLIMIT_NOFILE] = {1024, 1048576};
  limits_[RLIMIT_MEMLOCK] = {8 << 20, 8 << 20};
  limits_[RLIMIT_SIGPENDING] = {32768, 32768};
  limits_[RLIMIT_MSGQUEUE] = {819200, 819200};
  limits_[RLIMIT_NICE] = {0, 0};
  limits_[RLIMIT_RTPRIO] = {0, 0};
}

}  // namespace runsc
