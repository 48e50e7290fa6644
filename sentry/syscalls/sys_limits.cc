#include "sentry/syscalls/sys_limits.h"

#include <algorithm>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timers.h"
#include "sentry/syscalls/resource_usage.h"

namespace runsc {
namespace {

constexpr uint64_t kMaxFiles = 1 << 20;  // sysctl fs.nr_open

Result<void> SetLimit(Task& caller, Task& target, int resource, ResourceLimit wanted) {
  ThreadGroup& group = target.thread_group();
  if (wanted.current > wanted.maximum) return Errno(EINVAL);
  if (resource == RLIMIT_NOFILE && wanted.maximum > kMaxFiles) return Errno(EPERM);
  ResourceLimit old = group.limits().Get(resource);
  if (wanted.maximum > old.maximum && !caller.creds().HasCapability(CAP_SYS_RESOURCE)) return Errno(EPERM);
  group.limits().Set(resource, wanted);
  if (resource == RLIMIT_CPU) group.posix_timers().UpdateCpuLimit();
  if (RefPtr<MemoryManager> memory = target.GetMemory()) memory->SetLimits(target.memory_limits());
  return Ok();
}

// prlimit(2): one's own process, one with all the same ids, or CAP_SYS_RESOURCE.
Result<RefPtr<Task>> FindTarget(Task& task, pid_t pid) {
  if (pid == 0) return RefPtr<Task>(&task);
  RefPtr<Task> target = task.pid_namespace().FindTask(pid);
  RefPtr<const Credentials> other = target ? target->GetCreds() : nullptr;
  if (!other) return Errno(ESRCH);
  if (&target->thread_group() == &task.thread_group()) return target;
  const Credentials& own = task.creds();
  bool same = own.ruid == other->euid && own.ruid == other->suid && own.ruid == other->ruid &&
              own.rgid == other->egid && own.rgid == other->sgid && own.rgid == other->rgid;
  if (!same && !own.HasCapabilityIn(*other->user_ns, CAP_SYS_RESOURCE)) return Errno(EPERM);
  return target;
}

constexpr int64_t kNanosecondsPerTick = 10'000'000;  // USER_HZ is 100

}  // namespace

Result<int64_t> SysGetrlimit(Task& task, Resource resource, UserPtr<ResourceLimit> limit) {
  return SysPrlimit64(task, 0, resource, {}, limit);
}

Result<int64_t> SysSetrlimit(Task& task, Resource resource, UserPtr<const ResourceLimit> limit) {
  ASSIGN_OR_RETURN(ResourceLimit wanted, task.memory().Read(limit));
  if (resource < 0 || resource >= ResourceLimits::kCount) return Errno(EINVAL);
  RETURN_IF_ERROR(SetLimit(task, task, resource, wanted));
  return 0;
}

Result<int64_t> SysPrlimit64(Task& task, pid_t pid, Resource resource, UserPtr<const ResourceLimit> limit,
                             UserPtr<ResourceLimit> user_old) {
  ResourceLimit wanted;
  if (limit) {
    ASSIGN_OR_RETURN(wanted, task.memory().Read(limit));
  }
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindTarget(task, pid));
  if (resource < 0 || resource >= ResourceLimits::kCount) return Errno(EINVAL);
  ResourceLimit old = target->thread_group().limits().Get(resource);
  if (limit) RETURN_IF_ERROR(SetLimit(task, *target, resource, wanted));
  if (user_old) RETURN_IF_ERROR(task.memory().Write(user_old, old));
  return 0;
}

Result<int64_t> SysGetrusage(Task& task, int who, UserPtr<struct rusage> user_usage) {
  CpuUsage usage;
  switch (who) {
    case RUSAGE_SELF:
      usage = task.thread_group().GetCpuUsage();
      break;
    case RUSAGE_CHILDREN:
      usage = task.thread_group().GetChildrenCpuUsage();
      break;
    case RUSAGE_THREAD:
      usage = task.GetCpuUsage();
      break;
    default:
      return Errno(EINVAL);
  }
  uint64_t peak = usage.peak_resident;  // of children, or before execve(2)
  if (who != RUSAGE_CHILDREN) {
    if (who == RUSAGE_THREAD) peak = task.thread_group().GetCpuUsage().peak_resident;
    peak = std::max(peak, task.memory().PeakResidentBytes());
  }
  RETURN_IF_ERROR(task.memory().Write(user_usage, ResourceUsageOf(usage, peak)));
  return 0;
}

Result<int64_t> SysTimes(Task& task, UserPtr<struct tms> user_times) {
  if (user_times) {
    CpuUsage own = task.thread_group().GetCpuUsage();
    CpuUsage children = task.thread_group().GetChildrenCpuUsage();
    struct tms times {};
    times.tms_utime = own.user / kNanosecondsPerTick;
    times.tms_stime = own.system / kNanosecondsPerTick;
    times.tms_cutime = children.user / kNanosecondsPerTick;
    times.tms_cstime = children.system / kNanosecondsPerTick;
    RETURN_IF_ERROR(task.memory().Write(user_times, times));
  }
  return MonotonicNow() / kNanosecondsPerTick;
}

}  // namespace runsc
