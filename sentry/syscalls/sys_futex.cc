#include "sentry/syscalls/sys_futex.h"

#include <linux/futex.h>

#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/time_argument.h"

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

namespace runsc {
namespace {

struct Call {
  UserAddr addr, addr2;
  bool process_private = false;
  uint32_t value = 0, value2 = 0, value3 = 0;
  Deadline deadline = Deadline::Never();
};

FutexTable& Table(Task& task) { return task.kernel().futexes(); }

Result<FutexKey> KeyOf(Task& task, UserAddr addr, bool process_private) {
  if (addr.value() % sizeof(uint32_t) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(MemoryManager::FutexKey key, task.memory().GetFutexKey(addr, process_private));
  return FutexKey{key.object, key.offset};
}

// Sleeps until the waiter is woken. Ok: it was; ETIMEDOUT, ERESTARTSYS.
Result<void> Sleep(Task& task, FutexWaiter& waiter, Deadline deadline) {
  Result<void> slept;
  while (!waiter.woken()) {
    slept = task.Block(deadline);
    if (!slept.ok()) break;
  }
  if (!Table(task).Cancel(waiter)) return Ok();
  return slept;
}

Result<int64_t> Wait(Task& task, const Call& call, uint32_t bitset) {
  ASSIGN_OR_RETURN(FutexKey key, KeyOf(task, call.addr, call.process_private));
  TaskWaiter task_waiter(task);
  FutexWaiter waiter(task_waiter);
  RETURN_IF_ERROR(Table(task).Prepare(waiter, key, task.memory(), call.addr, call.value, bitset));
  Result<void> slept = Sleep(task, waiter, call.deadline);
  if (slept.is(ERESTARTSYS) && !call.deadline.is_never()) {
    task.SetRestartBlock([call, bitset](Task& again) { return Wait(again, call, bitset); });
    return Errno(ERESTART_RESTARTBLOCK);
  }
  RETURN_IF_ERROR(slept);
  return 0;
}

Result<int64_t> LockPi(Task& task, const Call& call, bool try_only) {
  ASSIGN_OR_RETURN(FutexKey key, KeyOf(task, call.addr, call.process_private));
  TaskWaiter task_waiter(task);
  uint32_t tid = static_cast<uint32_t>(task.tid());
  FutexWaiter waiter(task_waiter, tid);
  auto alive = [&](uint32_t owner) {
    return static_cast<bool>(task.pid_namespace().FindTask(static_cast<pid_t>(owner)));
  };
  Result<void> locked =
      Table(task).LockPi(try_only ? nullptr : &waiter, key, task.memory(), call.addr, tid, alive);
  if (locked.is(EAGAIN) && !try_only) {
    locked = Sleep(task, waiter, call.deadline);
    if (locked.is(ERESTARTSYS)) return Errno(ERESTARTNOINTR);
  }
  RETURN_IF_ERROR(locked);
  return 0;
}

Result<int64_t> WaitRequeuePi(Task& task, const Call& call) {
  if (call.addr == call.addr2) return Errno(EINVAL);
  ASSIGN_OR_RETURN(FutexKey key, KeyOf(task, call.addr, call.process_private));
  RETURN_IF_ERROR(KeyOf(task, call.addr2, call.process_private));
  TaskWaiter task_waiter(task);
  FutexWaiter waiter(task_waiter, static_cast<uint32_t>(task.tid()));
  RETURN_IF_ERROR(Table(task).Prepare(waiter, key, task.memory(), call.addr, call.value, call.value3, true));
  Result<void> slept = Sleep(task, waiter, call.deadline);
  if (slept.is(ERESTARTSYS)) return waiter.requeued() ? Errno(EAGAIN) : Errno(ERESTARTNOINTR);
  RETURN_IF_ERROR(slept);
  return 0;
}

Result<int64_t> RequeueOrWakeOp(Task& task, int command, const Call& call) {
  FutexTable& table = Table(task);
  MemoryManager& memory = task.memory();
  if (command != FUTEX_WAKE_OP) {
    if (static_cast<int>(call.value) < 0 || static_cast<int>(call.value2) < 0) return Errno(EINVAL);
    if (command == FUTEX_CMP_REQUEUE_PI && (call.value != 1 || call.addr == call.addr2)) return Errno(EINVAL);
  }
  ASSIGN_OR_RETURN(FutexKey key, KeyOf(task, call.addr, call.process_private));
  ASSIGN_OR_RETURN(FutexKey key2, KeyOf(task, call.addr2, call.process_private));
  int wake = static_cast<int>(call.value);
  int more = static_cast<int>(call.value2);
  if (command == FUTEX_WAKE_OP) {
    ASSIGN_OR_RETURN(int woken, table.WakeOp(key, key2, memory, call.addr2, wake, more, call.value3));
    return woken;
  }
  if (command == FUTEX_CMP_REQUEUE_PI) {
    ASSIGN_OR_RETURN(int done, table.RequeuePi(key, key2, memory, call.addr, call.addr2, call.value3, more));
    return done;
  }
  const uint32_t* expected = command == FUTEX_CMP_REQUEUE ? &call.value3 : nullptr;
  ASSIGN_OR_RETURN(int done, table.Requeue(key, key2, memory, call.addr, expected, wake, more));
  return done;
}

bool HasTimeout(int command) {
  return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET || command == FUTEX_LOCK_PI ||
         command == FUTEX_LOCK_PI2 || command == FUTEX_WAIT_REQUEUE_PI;
}

}  // namespace

Result<int64_t> SysFutex(Task& task, UserPtr<uint32_t> word, FutexOperation operation, uint32_t value,
                         uint64_t timeout, UserPtr<uint32_t> word2, uint32_t value3) {
  const int command = operation & FUTEX_CMD_MASK;
  const bool realtime = (operation & FUTEX_CLOCK_REALTIME) != 0;
  if (realtime && command != FUTEX_WAIT_BITSET && command != FUTEX_WAIT_REQUEUE_PI &&
      command != FUTEX_LOCK_PI2)
    return Errno(ENOSYS);
  Call call{
      word.addr(), word2.addr(), (operation & FUTEX_PRIVATE_FLAG) != 0, value, static_cast<uint32_t>(timeout),
      value3};
  if (HasTimeout(command)) {
    ASSIGN_OR_RETURN(std::optional<int64_t> time, ReadTimespec(task, UserPtr<const timespec>(timeout)));
    // FUTEX_WAIT's time is relative, all others' are absolute; FUTEX_LOCK_PI's is on the real-time clock.
    if (time && command == FUTEX_WAIT) {
      call.deadline = Deadline::After(*time);
    } else if (time) {
      const clockid_t clock = realtime || command == FUTEX_LOCK_PI ? CLOCK_REALTIME : CLOCK_MONOTONIC;
      call.deadline = Deadline::AtClock(clock, task.time_namespace().ToMachine(clock, *time));
    }
  }
  switch (command) {
    case FUTEX_WAIT:
      return Wait(task, call, FUTEX_BITSET_MATCH_ANY);
    case FUTEX_WAIT_BITSET:
      if (value3 == 0) return Errno(EINVAL);
      return Wait(task, call, value3);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET: {
      uint32_t bitset = command == FUTEX_WAKE ? FUTEX_BITSET_MATCH_ANY : value3;
      if (bitset == 0) return Errno(EINVAL);
      ASSIGN_OR_RETURN(FutexKey key, KeyOf(task, call.addr, call.process_private));
      // As Linux: a count below one wakes one.
      return Table(task).Wake(key, bitset, std::max(static_cast<int>(value), 1));
    }
    case FUTEX_REQUEUE:
    case FUTEX_CMP_REQUEUE:
    case FUTEX_CMP_REQUEUE_PI:
    case FUTEX_WAKE_OP:
      return RequeueOrWakeOp(task, command, call);
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
      return LockPi(task, call, false);
    case FUTEX_TRYLOCK_PI:
      return LockPi(task, call, true);
    case FUTEX_UNLOCK_PI: {
      ASSIGN_OR_RETURN(FutexKey key, KeyOf(task, call.addr, call.process_private));
      RETURN_IF_ERROR(Table(task).UnlockPi(key, task.memory(), call.addr, static_cast<uint32_t>(task.tid())));
      return 0;
    }
    case FUTEX_WAIT_REQUEUE_PI:
      call.value3 = FUTEX_BITSET_MATCH_ANY;
      return WaitRequeuePi(task, call);
    default:
      return Errno(ENOSYS);
  }
}

}  // namespace runsc
