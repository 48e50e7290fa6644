// Scheduling as far as guests can see it: sched(7). What they ask for is kept (scheduling.h); the host
// schedules.
#ifndef SENTRY_SYSCALLS_SYS_SCHED_H_
#define SENTRY_SYSCALLS_SYS_SCHED_H_

#include "sentry/syscalls/table.h"

namespace runsc {

struct SchedulingParameter {  // struct sched_param
  int32_t priority;
};
struct SchedulingAttributes {  // struct sched_attr
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t util_min, util_max;
};

// 0: the caller. EINVAL, ESRCH.
Result<RefPtr<Task>> FindSchedulingTarget(Task& task, pid_t pid);
// EPERM: neither the target's user nor CAP_SYS_NICE.
Result<void> CheckSchedulingOwner(Task& task, Task& target);
// By RLIMIT_NICE or CAP_SYS_NICE, or because it lowers nothing.
bool MayLowerNice(Task& task, Task& target, int nice);

Result<int64_t> SysSchedYield(Task& task);
Result<int64_t> SysSchedSetparam(Task& task, pid_t pid, UserPtr<const SchedulingParameter> parameter);
Result<int64_t> SysSchedGetparam(Task& task, pid_t pid, UserPtr<SchedulingParameter> parameter);
Result<int64_t> SysSchedSetscheduler(Task& task, pid_t pid, int policy,
                                     UserPtr<const SchedulingParameter> parameter);
Result<int64_t> SysSchedGetscheduler(Task& task, pid_t pid);
Result<int64_t> SysSchedGetPriorityMax(Task& task, int policy);
Result<int64_t> SysSchedGetPriorityMin(Task& task, int policy);
Result<int64_t> SysSchedRrGetInterval(Task& task, pid_t pid, UserPtr<timespec> interval);
Result<int64_t> SysSchedSetaffinity(Task& task, pid_t pid, uint32_t size, UserAddr mask);
Result<int64_t> SysSchedGetaffinity(Task& task, pid_t pid, uint32_t size, UserAddr mask);
Result<int64_t> SysSchedSetattr(Task& task, pid_t pid, UserPtr<SchedulingAttributes> attributes,
                                uint32_t flags);
Result<int64_t> SysSchedGetattr(Task& task, pid_t pid, UserPtr<SchedulingAttributes> attributes,
                                uint32_t size, uint32_t flags);
Result<int64_t> SysGetcpu(Task& task, UserPtr<uint32_t> cpu, UserPtr<uint32_t> node);
Result<int64_t> SysGetpriority(Task& task, int which, int who);
Result<int64_t> SysSetpriority(Task& task, int which, int who, int nice);
Result<int64_t> SysIoprioGet(Task& task, int which, int who);
Result<int64_t> SysIoprioSet(Task& task, int which, int who, int priority);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_SCHED_H_
