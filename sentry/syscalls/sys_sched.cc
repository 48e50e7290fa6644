#include "sentry/syscalls/sys_sched.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <climits>

#include "sentry/kernel/kernel.h"

namespace runsc {
namespace {

constexpr unsigned kMaxCpus = 64;  // Task::cpu_affinity's width

// sched_setaffinity(2) alone takes a negative number for one that nobody has.
Result<RefPtr<Task>> FindTargetOfMask(Task& task, pid_t pid) {
  if (pid < 0) return Errno(ESRCH);
  return FindSchedulingTarget(task, pid);
}

uint64_t AllCpus(Task& task) {
  unsigned count = std::min(task.kernel().cpu_count(), kMaxCpus);
  return count >= kMaxCpus ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

constexpr int kNiceMin = -20, kNiceMax = 19;

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
      Uid uid = who == 0 ? task.creds().ruid : task.creds().user_ns->ToKernelUid(static_cast<Uid>(who));
      if (uid == kNoId) break;
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

Result<int64_t> SysSchedSetaffinity(Task& task, pid_t pid, uint32_t size, UserAddr user_mask) {
  uint64_t mask = 0;
  auto bytes = std::as_writable_bytes(std::span(&mask, 1)).first(std::min<size_t>(size, sizeof(mask)));
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const std::byte>(user_mask), bytes));
  ASSIGN_OR_RETURN(RefPtr<Task> target, FindTargetOfMask(task, pid));
  RETURN_IF_ERROR(CheckSchedulingOwner(task, *target));
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
    if (auto owner = CheckSchedulingOwner(task, *target); !owner.ok()) {
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
  // Since Linux 6.5 hints stand above the level (IOPRIO_PRIO_HINT); they are kept like the rest.
  const int level = priority & (kLevels - 1);
  if (io_class < kIoNone || io_class > kIdle) return Errno(EINVAL);
  if (io_class == kIoNone && level != 0) return Errno(EINVAL);
  if (io_class == kRealTime && !task.creds().HasCapability(CAP_SYS_ADMIN) &&
      !task.creds().HasCapability(CAP_SYS_NICE))
    return Errno(EPERM);
  ASSIGN_OR_RETURN(auto targets, IoPriorityTargets(task, which, who));
  for (const auto& target : targets) {
    RETURN_IF_ERROR(CheckSchedulingOwner(task, *target));
    target->io_priority.store(priority);
  }
  return 0;
}

}  // namespace runsc
