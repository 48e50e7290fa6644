#include "sentry/syscalls/sys_futex_waitv.h"

#include <linux/futex.h>

#include <deque>

#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/time_argument.h"

namespace runsc {
namespace {

constexpr uint32_t kMaxWaiters = 128;  // FUTEX_WAITV_MAX
constexpr uint32_t kSize32 = 2;        // FUTEX_32, the only size that there is

Result<std::vector<FutexWaitDescription>> ReadDescriptions(Task& task,
                                                           UserPtr<const FutexWaitDescription> from,
                                                           uint32_t count) {
  std::vector<FutexWaitDescription> descriptions(count);
  RETURN_IF_ERROR(task.memory().ReadArray(from, std::span(descriptions)));
  for (const FutexWaitDescription& one : descriptions) {
    if ((one.flags & ~uint32_t{FUTEX_PRIVATE_FLAG}) != kSize32 || one.reserved != 0) return Errno(EINVAL);
  }
  return descriptions;
}

// Takes all off their queues; the index of one that was woken, or -1.
int CancelAll(Task& task, std::deque<FutexWaiter>& waiters) {
  int woken = -1;
  for (size_t i = 0; i < waiters.size(); ++i) {
    if (!task.kernel().futexes().Cancel(waiters[i])) woken = static_cast<int>(i);
  }
  return woken;
}

Result<void> QueueAll(Task& task, const std::vector<FutexWaitDescription>& descriptions, Waiter& waiter,
                      std::deque<FutexWaiter>& waiters) {
  for (const FutexWaitDescription& one : descriptions) {
    const UserAddr address(one.address);
    if (one.address % sizeof(uint32_t) != 0) return Errno(EINVAL);
    const bool process_private = (one.flags & FUTEX_PRIVATE_FLAG) != 0;
    ASSIGN_OR_RETURN(MemoryManager::FutexKey key, task.memory().GetFutexKey(address, process_private));
    waiters.emplace_back(waiter);
    RETURN_IF_ERROR(task.kernel().futexes().Prepare(waiters.back(), FutexKey{key.object, key.offset},
                                                    task.memory(), address, static_cast<uint32_t>(one.value),
                                                    FUTEX_BITSET_MATCH_ANY));
  }
  return Ok();
}

bool AnyWoken(const std::deque<FutexWaiter>& waiters) {
  for (const FutexWaiter& waiter : waiters) {
    if (waiter.woken()) return true;
  }
  return false;
}

}  // namespace

Result<int64_t> SysFutexWaitv(Task& task, UserPtr<const FutexWaitDescription> user_waiters, uint32_t count,
                              uint32_t flags, UserPtr<const timespec> timeout, ClockId clock) {
  if (flags != 0 || count == 0 || count > kMaxWaiters || !user_waiters) return Errno(EINVAL);
  Deadline deadline = Deadline::Never();
  if (timeout) {
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME) return Errno(EINVAL);
    ASSIGN_OR_RETURN(std::optional<int64_t> time, ReadTimespec(task, timeout));
    deadline = Deadline::AtClock(clock, task.time_namespace().ToMachine(clock, *time));
  }
  ASSIGN_OR_RETURN(std::vector<FutexWaitDescription> descriptions,
                   ReadDescriptions(task, user_waiters, count));
  TaskWaiter task_waiter(task);
  std::deque<FutexWaiter> waiters;
  Result<void> result = QueueAll(task, descriptions, task_waiter, waiters);
  while (result.ok() && !AnyWoken(waiters)) result = task.Block(deadline);
  // A wake counts, whatever else has happened.
  if (int woken = CancelAll(task, waiters); woken >= 0) return woken;
  return result.error();
}

}  // namespace runsc
