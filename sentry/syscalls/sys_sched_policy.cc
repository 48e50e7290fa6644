// The policies of sched(7): kernel/sched/syscalls.c's checks in their order.
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>

#include "sentry/kernel/scheduling.h"
#include "sentry/syscalls/sys_sched.h"

namespace runsc {
namespace {

constexpr int kKeepPolicy = -1;
constexpr uint32_t kResetOnFork = 0x40000000;  // SCHED_RESET_ON_FORK in a policy
constexpr uint32_t kFirstSize = 48;            // SCHED_ATTR_SIZE_VER0
constexpr int kNiceMin = -20, kNiceMax = 19;

// sched_setattr(2)'s SCHED_FLAG_*.
constexpr uint64_t kFlagResetOnFork = 0x01, kFlagReclaim = 0x02, kFlagOverrun = 0x04, kFlagKeepPolicy = 0x08,
                   kFlagKeepParams = 0x10, kFlagsUtilClamp = 0x60;
constexpr uint64_t kDeadlineFlags = kFlagReclaim | kFlagOverrun;
constexpr uint64_t kKnownFlags = kFlagResetOnFork | kDeadlineFlags | kFlagKeepPolicy | kFlagKeepParams;

struct Request {
  Scheduling scheduling;  // policy: kKeepPolicy too
  int nice = 0;
  bool keeps_all = false;  // but for what a fork resets (SCHED_FLAG_KEEP_PARAMS)
};

bool AllowsNice(Task& target, int nice) {
  // RLIMIT_NICE counts from 1 (nice 19) to 40 (nice -20).
  return static_cast<uint64_t>(20 - nice) <= target.Limit(RLIMIT_NICE);
}

// Linux: user_check_sched_setscheduler(). Whether only CAP_SYS_NICE allows it.
bool NeedsPrivilege(Task& target, const Scheduling& now, const Request& wanted) {
  const int policy = wanted.scheduling.policy;
  if (IsFairPolicy(policy) && wanted.nice < target.nice.load() && !AllowsNice(target, wanted.nice))
    return true;
  if (IsRealTimePolicy(policy)) {
    const uint64_t limit = target.Limit(RLIMIT_RTPRIO);
    if (policy != now.policy && limit == 0) return true;
    if (wanted.scheduling.priority > now.priority &&
        static_cast<uint64_t>(wanted.scheduling.priority) > limit)
      return true;
  }
  if (policy == SCHED_DEADLINE) return true;
  // SCHED_IDLE counts as nice 20.
  if (now.policy == kSchedulingIdle && policy != kSchedulingIdle && !AllowsNice(target, target.nice.load()))
    return true;
  return now.reset_on_fork && !wanted.scheduling.reset_on_fork;
}

Result<void> Change(Task& task, Task& target, Request wanted) {
  const Scheduling now = GetScheduling(target);
  Scheduling& next = wanted.scheduling;
  if (next.policy == kKeepPolicy) {
    next.policy = now.policy;
    next.reset_on_fork = now.reset_on_fork;
  }
  if (!IsValid(next)) return Errno(EINVAL);
  if (!task.creds().HasCapability(CAP_SYS_NICE)) {
    RETURN_IF_ERROR(CheckSchedulingOwner(task, target));
    if (NeedsPrivilege(target, now, wanted)) return Errno(EPERM);
  }
  if (wanted.keeps_all) {
    Scheduling kept = now;
    kept.reset_on_fork = next.reset_on_fork;
    SetScheduling(target, kept);
    return Ok();
  }
  if (next.policy != SCHED_DEADLINE) next.runtime = next.deadline = next.period = next.deadline_flags = 0;
  if (next.policy == SCHED_DEADLINE && next.period == 0) next.period = next.deadline;
  SetScheduling(target, next);
  if (IsFairPolicy(next.policy)) target.nice.store(wanted.nice);
  return Ok();
}

Result<int64_t> SetPolicy(Task& task, pid_t pid, int policy, UserPtr<const SchedulingParameter> parameter) {
  if (!parameter || pid < 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(SchedulingParameter wanted, task.memory().Read(parameter));
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindSchedulingTarget(task, pid));
  Request request;
  request.scheduling.policy = policy;
  if (policy != kKeepPolicy && (static_cast<uint32_t>(policy) & kResetOnFork) != 0) {
    request.scheduling.policy = static_cast<int>(static_cast<uint32_t>(policy) & ~kResetOnFork);
    request.scheduling.reset_on_fork = true;
  }
  request.scheduling.priority = wanted.priority;
  request.nice = target->nice.load();
  RETURN_IF_ERROR(Change(task, *target, request));
  return 0;
}

// Linux: sched_copy_attr(). E2BIG: the kernel's size is in the caller's then.
Result<SchedulingAttributes> ReadAttributes(Task& task, UserPtr<SchedulingAttributes> address) {
  UserPtr<uint32_t> size_address(address.addr());
  ASSIGN_OR_RETURN(uint32_t size, task.memory().Read(size_address));
  if (size == 0) size = kFirstSize;
  SchedulingAttributes attributes{};
  bool fits = size >= kFirstSize && size <= kPageSize;
  if (fits) {
    std::byte raw[kPageSize];
    RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const std::byte>(address.addr()), std::span(raw, size)));
    memcpy(&attributes, raw, std::min<size_t>(size, sizeof(attributes)));
    fits = std::all_of(raw + std::min<size_t>(size, sizeof(attributes)), raw + size,
                       [](std::byte value) { return value == std::byte{0}; });
  }
  if (!fits) {
    RETURN_IF_ERROR(task.memory().Write(size_address, static_cast<uint32_t>(sizeof(SchedulingAttributes))));
    return Errno(E2BIG);
  }
  if ((attributes.flags & kFlagsUtilClamp) != 0 && size < sizeof(attributes)) return Errno(EINVAL);
  attributes.nice = std::clamp(attributes.nice, kNiceMin, kNiceMax);
  return attributes;
}

}  // namespace

Result<RefPtr<Task>> FindSchedulingTarget(Task& task, pid_t pid) {
  if (pid < 0) return Errno(EINVAL);
  if (pid == 0) return RefPtr<Task>(&task);
  RefPtr<Task> target = task.pid_namespace().FindTask(pid);
  if (!target) return Errno(ESRCH);
  return target;
}

Result<void> CheckSchedulingOwner(Task& task, Task& target) {
  RefPtr<const Credentials> other = target.GetCreds();
  const Credentials& own = task.creds();
  if (!other || own.euid == other->euid || own.euid == other->ruid ||
      own.HasCapabilityIn(*other->user_ns, CAP_SYS_NICE))
    return Ok();
  return Errno(EPERM);
}

bool MayLowerNice(Task& task, Task& target, int nice) {
  return nice >= target.nice.load() || AllowsNice(target, nice) || task.creds().HasCapability(CAP_SYS_NICE);
}

Result<int64_t> SysSchedSetparam(Task& task, pid_t pid, UserPtr<const SchedulingParameter> parameter) {
  return SetPolicy(task, pid, kKeepPolicy, parameter);
}

Result<int64_t> SysSchedGetparam(Task& task, pid_t pid, UserPtr<SchedulingParameter> parameter) {
  if (!parameter) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindSchedulingTarget(task, pid));
  RETURN_IF_ERROR(task.memory().Write(parameter, SchedulingParameter{GetScheduling(*target).priority}));
  return 0;
}

Result<int64_t> SysSchedSetscheduler(Task& task, pid_t pid, int policy,
                                     UserPtr<const SchedulingParameter> parameter) {
  if (policy < 0) return Errno(EINVAL);
  return SetPolicy(task, pid, policy, parameter);
}

Result<int64_t> SysSchedGetscheduler(Task& task, pid_t pid) {
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindSchedulingTarget(task, pid));
  const Scheduling now = GetScheduling(*target);
  return now.policy | (now.reset_on_fork ? int64_t{kResetOnFork} : 0);
}

constexpr int kSchedExt = 7;  // SCHED_EXT of Linux 6.12, which nobody can choose here

Result<int64_t> SysSchedGetPriorityMax(Task&, int policy) {
  if (!IsSchedulingPolicy(policy) && policy != kSchedExt) return Errno(EINVAL);
  return IsRealTimePolicy(policy) ? kMaxRealTimePriority : 0;
}

Result<int64_t> SysSchedGetPriorityMin(Task&, int policy) {
  if (!IsSchedulingPolicy(policy) && policy != kSchedExt) return Errno(EINVAL);
  return IsRealTimePolicy(policy) ? 1 : 0;
}

Result<int64_t> SysSchedRrGetInterval(Task& task, pid_t pid, UserPtr<timespec> interval) {
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindSchedulingTarget(task, pid));
  constexpr int64_t kRoundRobinSlice = 100'000'000, kFairSlice = 4'000'000;  // ns
  const int policy = GetScheduling(*target).policy;
  int64_t slice = 0;  // FIFO and deadline tasks run on
  if (policy == SCHED_RR) slice = kRoundRobinSlice;
  if (IsFairPolicy(policy) || policy == kSchedulingIdle) slice = kFairSlice;
  RETURN_IF_ERROR(task.memory().Write(interval, ToTimespec(slice)));
  return 0;
}

Result<int64_t> SysSchedSetattr(Task& task, pid_t pid, UserPtr<SchedulingAttributes> user_attributes,
                                uint32_t flags) {
  if (!user_attributes || pid < 0 || flags != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(SchedulingAttributes attributes, ReadAttributes(task, user_attributes));
  if (static_cast<int32_t>(attributes.policy) < 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindSchedulingTarget(task, pid));
  Request request;
  request.nice = attributes.nice;
  request.scheduling = {.policy = static_cast<int>(attributes.policy),
                        .priority = static_cast<int>(std::min<uint32_t>(attributes.priority, INT32_MAX)),
                        .reset_on_fork = (attributes.flags & kFlagResetOnFork) != 0,
                        .runtime = attributes.runtime,
                        .deadline = attributes.deadline,
                        .period = attributes.period,
                        .deadline_flags = attributes.flags & kDeadlineFlags};
  if ((attributes.flags & kFlagKeepPolicy) != 0) request.scheduling.policy = kKeepPolicy;
  if ((attributes.flags & kFlagKeepParams) != 0) {
    request.keeps_all = true;
    const Scheduling now = GetScheduling(*target);
    request.scheduling = {.policy = request.scheduling.policy,
                          .priority = now.priority,
                          .reset_on_fork = request.scheduling.reset_on_fork,
                          .runtime = now.runtime,
                          .deadline = now.deadline,
                          .period = now.period};
    request.nice = target->nice.load();
  }
  // Utilization clamping: as in a kernel without it.
  if ((attributes.flags & ~(kKnownFlags | kFlagsUtilClamp)) != 0) return Errno(EINVAL);
  if ((attributes.flags & kFlagsUtilClamp) != 0) return Errno(EOPNOTSUPP);
  RETURN_IF_ERROR(Change(task, *target, request));
  return 0;
}

Result<int64_t> SysSchedGetattr(Task& task, pid_t pid, UserPtr<SchedulingAttributes> user_attributes,
                                uint32_t size, uint32_t flags) {
  if (!user_attributes || pid < 0 || flags != 0 || size < kFirstSize || size > kPageSize)
    return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindSchedulingTarget(task, pid));
  const Scheduling now = GetScheduling(*target);
  SchedulingAttributes attributes{};
  attributes.size = static_cast<uint32_t>(std::min<size_t>(size, sizeof(attributes)));
  attributes.policy = static_cast<uint32_t>(now.policy);
  attributes.flags = now.deadline_flags | (now.reset_on_fork ? kFlagResetOnFork : 0);
  attributes.priority = static_cast<uint32_t>(now.priority);
  if (IsFairPolicy(now.policy)) attributes.nice = target->nice.load();
  attributes.runtime = now.runtime;
  attributes.deadline = now.deadline;
  attributes.period = now.period;
  std::byte raw[kPageSize]{};  // what the caller knows and we do not is zero
  memcpy(raw, &attributes, attributes.size);
  RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<std::byte>(user_attributes.addr()),
                                           std::span<const std::byte>(raw, size)));
  return 0;
}

}  // namespace runsc
