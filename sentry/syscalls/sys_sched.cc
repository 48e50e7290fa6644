#include "sentry/syscalls/sys_sched.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <climits>

#include "sentry/kernel/kernel.h"

namespace runsc {
namespace {

constexpr int kIdlePolicy = 5;
constexpr uint32_t kResetOnFork = 0x40000000;
constexpr unsigned kMaxCpus = 64;  // Task::cpu_affinity's width

Result<RefPtr<Task>> FindTarget(Task& task, pid_t pid) {
  if (pid < 0) return Errno(EINVAL);
  if (pid == 0) return RefPtr<Task>(&task);
  RefPtr<Task> target = task.pid_namespace().FindTask(pid);
  if (!target) return Errno(ESRCH);
  return target;
}

// sched_setaffinity(2) alone takes a negative number for one that nobody has.
Result<RefPtr<Task>> FindTargetOfMask(Task& task, pid_t pid) {
  if (pid < 0) return Errno(ESRCH);
  return FindTarget(task, pid);
}

Result<void> CheckOwner(Task& task, Task& target) {
  RefPtr<const Credentials> other = target.GetCreds();
  const Credentials& own = task.creds();
  if (!other || own.euid == other->euid || own.euid == other->ruid || own.HasCapability(CAP_SYS_NICE))
    return Ok();
  return Errno(EPERM);
}

// Policies without real-time priorities are all the same here; real time is not given to guests.
Result<void> CheckPolicy(int policy, int priority) {
  switch (policy) {
    case SCHED_OTHER:
    case SCHED_BATCH:
    case kIdlePolicy:
      if (priority != 0) return Errno(EINVAL);
      return Ok();
    case SCHED_FIFO:
    case SCHED_RR:
      if (priority < 1 || priority > 99) return Errno(EINVAL);
      return Errno(EPERM);
    default:
      return Errno(EINVAL);
  }
}

uint64_t AllCpus(Task& task) {
  unsigned count = std::min(task.kernel().cpu_count(), kMaxCpus);
  return count >= kMaxCpus ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

constexpr int kNiceMin = -20, kNiceMax = 19;

bool MayLowerNice(Task& task, Task& target, int nice) {
  // RLIMIT_NICE counts from 1 (nice 19) to 40 (nice -20).
  uint64_t needed = static_cast<uint64_t>(20 - nice);
  return nice >= target.nice.load() || needed <= target.Limit(RLIMIT_NICE) ||
         task.creds().HasCapability(CAP_SYS_NICE);
}

// The tasks that PRIO_PROCESS, PRIO_PGRP and PRIO_USER name.
Result<std::vector<RefPtr<Task>>> PriorityTargets(Task& task, int which, int who) {
  std::vector<RefPtr<Task>> targets;
  auto add_group = [&](ThreadGroup& group) {
    for (auto& member : group.Tasks()) targets.push_back(std::move(member));
  };
  switch (which) {
    case PRIO_PROCESS: {
      RefPtr<Task> target = who == 0 ? RefPtr<Task>(&task) : task.pid_namespace().FindTask(who);
      if (target) targets.push_back(std::move(target));
      break;
    }
    case PRIO_PGRP: {
      RefPtr<ProcessGroup> group =
          who == 0 ? task.thread_group().process_group() : task.pid_namespace().FindProcessGroup(who);
      if (!group) break;
      for (const auto& member : group->Members()) add_group(*member);
      break;
    }
    case PRIO_USER: {
      Uid uid = who == 0 ? task.creds().ruid : static_cast<Uid>(who);
      for (const auto& group : task.pid_namespace().ThreadGroups()) {
        RefPtr<Task> leader = group->leader();
        RefPtr<const Credentials> creds = leader ? leader->GetCreds() : nullptr;
        if (creds && creds->ruid == uid) add_group(*group);
      }
      break;
    }
    default:
      return Errno(EINVAL);
  }
  if (targets.empty()) return Errno(ESRCH);
  return targets;
}

// --- ioprio_set(2) ---

constexpr int kIoProcess = 1;
constexpr int kIoClassShift = 13;
constexpr int kIoNone = 0;
constexpr int kIoDefault = 2 << kIoClassShift | 4;  // best effort

Result<std::vector<RefPtr<Task>>> IoPriorityTargets(Task& task, int which, int who) {
  if (which < kIoProcess || which > kIoProcess + PRIO_USER) return Errno(EINVAL);
  return PriorityTargets(task, which - kIoProcess, who);
}

}  // namespace

Result<int64_t> SysSchedYield(Task&) {
  sched_yield();
  return 0;
}

Result<int64_t> SysSchedSetparam(Task& task, pid_t pid, UserPtr<const SchedulingParameter> parameter) {
  if (!parameter) return Errno(EINVAL);
  ASSIGN_OR_RETURN(SchedulingParameter wanted, task.memory().Read(parameter));
  RETURN_IF_ERROR(FindTarget(task, pid));
  RETURN_IF_ERROR(CheckPolicy(SCHED_OTHER, wanted.priority));
  return 0;
}

Result<int64_t> SysSchedGetparam(Task& task, pid_t pid, UserPtr<SchedulingParameter> parameter) {
  if (!parameter) return Errno(EINVAL);
  RETURN_IF_ERROR(FindTarget(task, pid));
  RETURN_IF_ERROR(task.memory().Write(parameter, SchedulingParameter{0}));
  return 0;
}

Result<int64_t> SysSchedSetscheduler(Task& task, pid_t pid, int policy,
                                     UserPtr<const SchedulingParameter> parameter) {
  if (policy < 0 || !parameter) return Errno(EINVAL);
  ASSIGN_OR_RETURN(SchedulingParameter wanted, task.memory().Read(parameter));
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindTarget(task, pid));
  RETURN_IF_ERROR(
      CheckPolicy(static_cast<int>(static_cast<uint32_t>(policy) & ~kResetOnFork), wanted.priority));
  RETURN_IF_ERROR(CheckOwner(task, *target));
  return 0;
}

Result<int64_t> SysSchedGetscheduler(Task& task, pid_t pid) {
  RETURN_IF_ERROR(FindTarget(task, pid));
  return SCHED_OTHER;
}

Result<int64_t> SysSchedGetPriorityMax(Task&, int policy) {
  if (policy == SCHED_FIFO || policy == SCHED_RR) return 99;
  if (policy == SCHED_OTHER || policy == SCHED_BATCH || policy == kIdlePolicy || policy == SCHED_DEADLINE)
    return 0;
  return Errno(EINVAL);
}

Result<int64_t> SysSchedGetPriorityMin(Task& task, int policy) {
  if (policy == SCHED_FIFO || policy == SCHED_RR) return 1;
  return SysSchedGetPriorityMax(task, policy);
}

Result<int64_t> SysSchedRrGetInterval(Task& task, pid_t pid, UserPtr<timespec> interval) {
  RETURN_IF_ERROR(FindTarget(task, pid));
  constexpr long kSlice = 4'000'000;
  RETURN_IF_ERROR(task.memory().Write(interval, timespec{0, kSlice}));
  return 0;
}

Result<int64_t> SysSchedSetaffinity(Task& task, pid_t pid, uint32_t size, UserAddr user_mask) {
  uint64_t mask = 0;
  auto bytes = std::as_writable_bytes(std::span(&mask, 1)).first(std::min<size_t>(size, sizeof(mask)));
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const std::byte>(user_mask), bytes));
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindTargetOfMask(task, pid));
  RETURN_IF_ERROR(CheckOwner(task, *target));
  mask &= AllCpus(task);
  if (mask == 0) return Errno(EINVAL);
  target->cpu_affinity.store(mask);
  return 0;
}

Result<int64_t> SysSchedGetaffinity(Task& task, pid_t pid, uint32_t size, UserAddr user_mask) {
  if (size % sizeof(uint64_t) != 0 || size == 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindTargetOfMask(task, pid));
  uint64_t mask = target->cpu_affinity.load() & AllCpus(task);
  RETURN_IF_ERROR(task.memory().Write(UserPtr<uint64_t>(user_mask), mask));
  return sizeof(mask);
}

Result<int64_t> SysSchedSetattr(Task& task, pid_t pid, UserPtr<const SchedulingAttributes> user_attributes,
                                uint32_t flags) {
  if (!user_attributes || flags != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(SchedulingAttributes attributes, task.memory().Read(user_attributes));
  if (attributes.size != 0 && attributes.size < sizeof(attributes)) return Errno(E2BIG);
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindTarget(task, pid));
  RETURN_IF_ERROR(CheckPolicy(static_cast<int>(attributes.policy), static_cast<int>(attributes.priority)));
  RETURN_IF_ERROR(CheckOwner(task, *target));
  int nice = std::clamp(attributes.nice, kNiceMin, kNiceMax);
  if (!MayLowerNice(task, *target, nice)) return Errno(EPERM);
  target->nice.store(nice);
  return 0;
}

Result<int64_t> SysSchedGetattr(Task& task, pid_t pid, UserPtr<SchedulingAttributes> user_attributes,
                                uint32_t size, uint32_t flags) {
  if (!user_attributes || flags != 0 || size < sizeof(SchedulingAttributes) || size > kPageSize)
    return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindTarget(task, pid));
  SchedulingAttributes attributes{};
  attributes.size = sizeof(attributes);
  attributes.policy = SCHED_OTHER;
  attributes.nice = target->nice.load();
  RETURN_IF_ERROR(task.memory().Write(user_attributes, attributes));
  return 0;
}

Result<int64_t> SysGetcpu(Task& task, UserPtr<uint32_t> user_cpu, UserPtr<uint32_t> node) {
  uint32_t cpu = static_cast<uint32_t>(std::max(sched_getcpu(), 0)) % std::max(task.kernel().cpu_count(), 1U);
  if (user_cpu) RETURN_IF_ERROR(task.memory().Write(user_cpu, cpu));
  if (node) RETURN_IF_ERROR(task.memory().Write(node, uint32_t{0}));
  return 0;
}

// The kernel's getpriority returns 20 - nice, so that no success is negative.
Result<int64_t> SysGetpriority(Task& task, int which, int who) {
  ASSIGN_OR_RETURN(auto targets, PriorityTargets(task, which, who));
  int lowest = kNiceMax;
  for (const auto& target : targets) lowest = std::min(lowest, target->nice.load());
  return 20 - lowest;
}

Result<int64_t> SysSetpriority(Task& task, int which, int who, int nice) {
  ASSIGN_OR_RETURN(auto targets, PriorityTargets(task, which, who));
  nice = std::clamp(nice, kNiceMin, kNiceMax);
  Result<int64_t> result = 0;
  for (const auto& target : targets) {
    if (auto owner = CheckOwner(task, *target); !owner.ok()) {
      result = owner.error();
    } else if (!MayLowerNice(task, *target, nice)) {
      result = Errno(EACCES);
    } else {
      target->nice.store(nice);
    }
  }
  return result;
}

// ioprio_set(2)'s numbers of whom are setpriority(2)'s, from 1 on.
Result<int64_t> SysIoprioGet(Task& task, int which, int who) {
  ASSIGN_OR_RETURN(auto targets, IoPriorityTargets(task, which, who));
  if (which == kIoProcess) return targets.front()->io_priority.load();
  // The best of them: the lowest class and level, where no class is best effort.
  int best = INT_MAX;
  for (const auto& target : targets) {
    int priority = target->io_priority.load();
    best = std::min(best, priority >> kIoClassShift == kIoNone ? kIoDefault : priority);
  }
  return best;
}

Result<int64_t> SysIoprioSet(Task& task, int which, int who, int priority) {
  constexpr int kRealTime = 1, kIdle = 3, kLevels = 8;
  const int io_class = priority >> kIoClassShift;
  const int level = priority & ((1 << kIoClassShift) - 1);
  if (io_class < kIoNone || io_class > kIdle || level >= kLevels) return Errno(EINVAL);
  if (io_class == kIoNone && level != 0) return Errno(EINVAL);
  if (io_class == kRealTime && !task.creds().HasCapability(CAP_SYS_ADMIN) &&
      !task.creds().HasCapability(CAP_SYS_NICE))
    return Errno(EPERM);
  ASSIGN_OR_RETURN(auto targets, IoPriorityTargets(task, which, who));
  for (const auto& target : targets) {
    RETURN_IF_ERROR(CheckOwner(task, *target));
    target->io_priority.store(priority);
  }
  return 0;
}

}  // namespace runsc
