// The sixteen limits of getrlimit(2) of one process. Threading: any thread.
#ifndef SENTRY_KERNEL_RESOURCE_LIMITS_H_
#define SENTRY_KERNEL_RESOURCE_LIMITS_H_

#include <sys/resource.h>

#include <array>
#include <cstdint>

#include "platform/base/mutex.h"

namespace runsc {

struct ResourceLimit {  // struct rlimit64
  uint64_t current = RLIM_INFINITY;
  uint64_t maximum = RLIM_INFINITY;
};

class ResourceLimits {
 public:
  static constexpr int kCount = 16;
  ResourceLimits();  // Linux's defaults for init; RLIMIT_NOFILE 1024/1048576
  ResourceLimit Get(int resource) const {
    MutexLock lock(mu_);
    return limits_[resource];
  }
  void Set(int resource, ResourceLimit limit) {
    MutexLock lock(mu_);
    limits_[resource] = limit;
  }
  std::array<ResourceLimit, kCount> GetAll() const {
    MutexLock lock(mu_);
    return limits_;
  }
  void SetAll(const std::array<ResourceLimit, kCount>& limits) {
    MutexLock lock(mu_);
    limits_ = limits;
  }

 private:
  mutable Mutex mu_{LockRank::kLeaf};
  std::array<ResourceLimit, kCount> limits_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_RESOURCE_LIMITS_H_
