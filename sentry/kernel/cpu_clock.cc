#include "sentry/kernel/cpu_clock.h"

#include "sentry/kernel/task.h"

namespace runsc {
namespace {

constexpr clockid_t kThreadBit = 4;  // CPUCLOCK_PERTHREAD_MASK

int64_t Select(const CpuUsage& usage, CpuClock::Kind kind) {
  return kind == CpuClock::Kind::kUser ? usage.user : usage.user + usage.system;
}

}  // namespace

std::optional<CpuClock> CpuClock::Decode(clockid_t clock) {
  if (clock == CLOCK_PROCESS_CPUTIME_ID) return CpuClock{};
  if (clock == CLOCK_THREAD_CPUTIME_ID) return CpuClock{.thread = true};
  if (clock >= 0) return std::nullopt;
  switch (clock & 3) {
    case 0:
      return CpuClock{~(clock >> 3), (clock & kThreadBit) != 0, Kind::kProfile};
    case 1:
      return CpuClock{~(clock >> 3), (clock & kThreadBit) != 0, Kind::kUser};
    case 2:
      return CpuClock{~(clock >> 3), (clock & kThreadBit) != 0, Kind::kScheduled};
    default:
      return std::nullopt;  // 3: CLOCKFD
  }
}

Result<int64_t> ReadCpuClock(Task& task, CpuClock clock) {
  if (clock.thread) {
    if (clock.id == 0 || clock.id == task.tid()) return Select(task.GetCpuUsage(), clock.kind);
    RefPtr<Task> other = task.pid_namespace().FindTask(clock.id);
    if (!other || &other->thread_group() != &task.thread_group()) return Errno(EINVAL);
    return Select(other->GetCpuUsage(), clock.kind);
  }
  if (clock.id == 0) return Select(task.thread_group().GetCpuUsage(), clock.kind);
  RefPtr<ThreadGroup> group = task.pid_namespace().FindThreadGroup(clock.id);
  if (!group) return Errno(EINVAL);
  return Select(group->GetCpuUsage(), clock.kind);
}

}  // namespace runsc
