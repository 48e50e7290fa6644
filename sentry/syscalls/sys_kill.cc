#include <climits>

#include "absl/container/flat_hash_set.h"
#include "sentry/syscalls/signal_permission.h"
#include "sentry/syscalls/sys_signal.h"

namespace runsc {
namespace {

Result<void> KillOne(Task& task, ThreadGroup& target, int signal) {
  RETURN_IF_ERROR(CheckSignalPermission(task, target, signal));
  if (signal == 0) return Ok();
  return SendSignalFrom(task, target, SenderInfo(task, target, signal, SI_USER));
}

// Sends to all that `list` gives; success if any of them got it, else the last error. A process that forks
// meanwhile must not leave a child behind that is spared: fork(2) fails once its caller has the signal, so
// what comes up in a further look was born before that. Only SIGKILL looks until nothing is new, because
// those that live on may fork as long as they like.
template <typename List>
Result<int64_t> KillMany(Task& task, int signal, List list) {
  bool any = false;
  int error = ESRCH;
  absl::flat_hash_set<RefPtr<ThreadGroup>> seen;
  bool again = true;
  for (int round = 0; again && (round < 2 || signal == SIGKILL); ++round) {
    again = false;
    for (const RefPtr<ThreadGroup>& target : list()) {
      if (!seen.insert(target).second) continue;
      again = true;
      Result<void> sent = KillOne(task, *target, signal);
      any |= sent.ok();
      if (!sent.ok()) error = sent.error().value();
    }
  }
  if (any) return 0;
  return Errno(error);
}

// pid 0: any process.
Result<int64_t> KillThread(Task& task, pid_t pid, pid_t tid, int signal, const siginfo_t* info) {
  RefPtr<Task> target = task.pid_namespace().FindTask(tid);
  if (!target) return Errno(ESRCH);
  ThreadGroup& group = target->thread_group();
  if (pid != 0 && task.pid_namespace().IdOf(group) != pid) return Errno(ESRCH);
  RETURN_IF_ERROR(CheckSignalPermission(task, group, signal));
  if (signal == 0) return 0;
  RETURN_IF_ERROR(target->SendSignal(info != nullptr ? *info : SenderInfo(task, group, signal, SI_TKILL)));
  return 0;
}

// What sigqueue(3) may say about itself.
Result<siginfo_t> ReadInfo(Task& task, UserPtr<const siginfo_t> from, int signal, bool to_itself) {
  ASSIGN_OR_RETURN(siginfo_t info, task.memory().Read(from));
  info.si_signo = signal;
  if ((info.si_code >= 0 || info.si_code == SI_TKILL) && !to_itself) return Errno(EPERM);
  return info;
}

}  // namespace

Result<int64_t> SysKill(Task& task, pid_t pid, SignalNumber signal) {
  const bool is_signal = signal >= 0 && signal <= kSignalMax;
  PidNamespace& space = task.pid_namespace();
  if (pid > 0) {
    RefPtr<Task> target = space.FindTask(pid);
    if (!target) return Errno(ESRCH);
    if (!is_signal) return Errno(EINVAL);
    RETURN_IF_ERROR(KillOne(task, target->thread_group(), signal));
    return 0;
  }
  if (pid == INT_MIN) return Errno(ESRCH);
  if (pid == -1) {
    if (!is_signal) return Errno(EINVAL);
    Result<int64_t> sent = KillMany(task, signal, [&] {
      std::vector<RefPtr<ThreadGroup>> targets = space.ThreadGroups();
      std::erase_if(targets, [&](const RefPtr<ThreadGroup>& target) {
        return space.IdOf(*target) == 1 || target == &task.thread_group();
      });
      return targets;
    });
    // That one may not signal any of them is no error (Linux: kill_something_info()).
    return sent.is(EPERM) ? Result<int64_t>(0) : sent;
  }
  RefPtr<ProcessGroup> group = pid == 0 ? task.thread_group().process_group() : space.FindProcessGroup(-pid);
  if (!group) return Errno(ESRCH);
  if (!is_signal) return Errno(EINVAL);
  return KillMany(task, signal, [&] { return group->Members(); });
}

Result<int64_t> SysTkill(Task& task, pid_t tid, SignalNumber signal) {
  if (tid <= 0) return Errno(EINVAL);
  return KillThread(task, 0, tid, signal, nullptr);
}

Result<int64_t> SysTgkill(Task& task, pid_t pid, pid_t tid, SignalNumber signal) {
  if (pid <= 0 || tid <= 0) return Errno(EINVAL);
  return KillThread(task, pid, tid, signal, nullptr);
}

Result<int64_t> SysRtSigqueueinfo(Task& task, pid_t pid, SignalNumber signal, UserPtr<const siginfo_t> info) {
  ASSIGN_OR_RETURN(siginfo_t value, ReadInfo(task, info, signal, pid == task.thread_group().pid()));
  RefPtr<Task> target = task.pid_namespace().FindTask(pid);
  if (!target) return Errno(ESRCH);
  ThreadGroup& group = target->thread_group();
  RETURN_IF_ERROR(CheckSignalPermission(task, group, signal));
  if (signal != 0) RETURN_IF_ERROR(SendSignalFrom(task, group, value));
  return 0;
}

Result<int64_t> SysRtTgsigqueueinfo(Task& task, pid_t pid, pid_t tid, SignalNumber signal,
                                    UserPtr<const siginfo_t> info) {
  if (pid <= 0 || tid <= 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(siginfo_t value, ReadInfo(task, info, signal, tid == task.tid()));
  return KillThread(task, pid, tid, signal, &value);
}

}  // namespace runsc
