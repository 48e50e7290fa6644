// The cgroup2 filesystem as a container sees it: its own cgroup as the root, with the limits that it has
// and what it uses. Language runtimes size their heaps and thread pools by these files. No cgroup can be made
// below, and no limit be changed from inside.
//
// memory.max and pids.max are what the Sentry itself enforces; cpu.max is enforced by the host's cgroup
// around the sandbox. Threading: any thread. Linux counterpart: kernel/cgroup; cgroups(7), cgroup-v2.rst.
#ifndef SENTRY_FSIMPL_CGROUP_H_
#define SENTRY_FSIMPL_CGROUP_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "platform/base/mutex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

struct CgroupLimits {
  std::optional<uint64_t> memory;    // bytes
  std::optional<uint64_t> tasks;     // processes and threads
  std::optional<int64_t> cpu_quota;  // microseconds a period
  uint64_t cpu_period = 100'000;     // microseconds
  uint64_t cpu_weight = 100;         // 1 to 10,000
};

// The limits as they are now: `runsc update` changes them. Any thread.
class CgroupSettings {
 public:
  explicit CgroupSettings(const CgroupLimits& limits) : limits_(limits) {}
  CgroupLimits Get() const {
    MutexLock lock(mu_);
    return limits_;
  }
  void Set(const CgroupLimits& limits) {
    MutexLock lock(mu_);
    limits_ = limits;
  }

 private:
  mutable Mutex mu_{LockRank::kLeaf};
  CgroupLimits limits_ ABSL_GUARDED_BY(mu_);
};

// `settings` outlives the kernel.
NewFilesystem MakeCgroup(Kernel& kernel, const CgroupSettings& settings);
// "cgroup2", as mount(2) names it. There is no version 1 inside.
std::unique_ptr<FilesystemType> MakeCgroupType(Kernel& kernel, const CgroupSettings& settings);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_CGROUP_H_
