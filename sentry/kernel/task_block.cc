// The one place where a task waits, and how it is woken and interrupted.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "sentry/kernel/kernel.h"
#include "sentry/wait/deferred.h"
#include "sentry/wait/host_poller.h"

namespace runsc {
namespace {

// A system call that wakes more tasks than this makes the others wait for its locks.
constexpr size_t kMaxDeferredWakes = 64;
// A sleep that is to end earlier than this is not preceded by any other waiting.
constexpr int64_t kShortSleep = 1'000'000;

// Absolute CLOCK_MONOTONIC, as FUTEX_WAIT_BITSET takes it.
int FutexWait(std::atomic<uint32_t>& word, uint32_t expected, Deadline deadline) {
  timespec timeout = ToTimespec(deadline.monotonic());
  long result = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                        deadline.is_never() ? nullptr : &timeout, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 ? 0 : errno;
}

void FutexWake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
}

}  // namespace

uint32_t Task::Sleep(uint32_t bits, Deadline deadline, char state) {
  bool slept = false;
  uint32_t taken = 0;
  for (;;) {
    uint32_t word = wake_word_.load(std::memory_order_acquire);
    if ((word & bits) != 0) {
      taken = word & bits;
      wake_word_.fetch_and(~(taken | kSleeping), std::memory_order_acq_rel);
      break;
    }
    if (slept && deadline.Remaining() == 0) {
      wake_word_.fetch_and(~kSleeping, std::memory_order_acq_rel);
      break;
    }
    if (!slept) {
      slept = true;
      sleeps_.fetch_add(1, std::memory_order_relaxed);
      state_letter_.store(state, std::memory_order_relaxed);
      MakeWakes();
      context_->BeginSleep(wake_word_, word, deadline.is_never() || deadline.Remaining() > kShortSleep);
      continue;
    }
    if (!wake_word_.compare_exchange_weak(word, word | kSleeping, std::memory_order_acq_rel)) continue;
    FutexWait(wake_word_, word | kSleeping, deadline);
  }
  if (slept) state_letter_.store('R', std::memory_order_relaxed);
  return taken;
}

void Task::SetWakeBits(uint32_t bits) {
  uint32_t old = wake_word_.fetch_or(bits, std::memory_order_acq_rel);
  if ((old & kSleeping) != 0) FutexWake(wake_word_);
}

void Task::Wake() {
  Task* waker = CurrentOrNull();
  if (waker == nullptr || waker == this) return SetWakeBits(kWoken);
  auto& wakes = waker->wakes_;
  if (std::any_of(wakes.begin(), wakes.end(), [this](const auto& task) { return task.get() == this; }))
    return;
  if (wakes.size() == kMaxDeferredWakes) return SetWakeBits(kWoken);
  wakes.emplace_back(this);
}

void Task::MakeAllWakes() {
  // The end of a reference can wake others.
  while (!wakes_.empty()) {
    auto wakes = std::exchange(wakes_, {});
    for (const auto& task : wakes) {
      task->context_->WokenBy(*context_);
      task->SetWakeBits(kWoken);
    }
  }
}

void Task::Interrupt() {
  // Pairs with the runner, which says that it enters the guest before it looks for work.
  work_pending_.store(true, std::memory_order_seq_cst);
  if (in_guest_.load(std::memory_order_seq_cst)) {
    context_->Interrupt();
  } else {
    SetWakeBits(kInterrupted);
  }
}

bool Task::HasPendingWork() const {
  if (!work_pending_.load(std::memory_order_acquire)) return false;
  MutexLock lock(thread_group_->signal_mu_);
  return thread_group_->HasWorkLocked(*this);
}

Result<void> Task::Block(Deadline deadline) {
  HostPoller::Get().Collect();
  RunDeferred();
  for (;;) {
    // Looked at with the interrupted bit cleared, so that an interruption from now on ends the sleep.
    wake_word_.fetch_and(~kInterrupted, std::memory_order_acq_rel);
    if (HasPendingWork()) {
      if ((wake_word_.fetch_and(~kWoken, std::memory_order_acq_rel) & kWoken) != 0) return Ok();
      return Errno(ERESTARTSYS);
    }
    uint32_t why = Sleep(kWoken | kInterrupted, deadline, 'S');
    if ((why & kWoken) != 0) return Ok();
    if (why == 0) return Errno(ETIMEDOUT);
  }
}

Result<void> Task::BlockKillable() {
  for (;;) {
    wake_word_.fetch_and(~kInterrupted, std::memory_order_acq_rel);
    if (exit_requested_.load(std::memory_order_acquire)) return Errno(ERESTARTSYS);
    uint32_t why = Sleep(kWoken | kInterrupted, Deadline::Never(), 'D');
    if ((why & kWoken) != 0) return Ok();
  }
}

Result<void> Task::MemoryBarrier(BarrierScope scope) {
  RefPtr<MemoryManager> memory(memory_);
  auto is_meant = [&](const Task& task) {
    constexpr uint32_t kGlobal = 4;  // MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
    if (scope == BarrierScope::kAll || task.GetMemory() == memory) return true;
    return scope == BarrierScope::kRegistered &&
           (task.thread_group_->membarrier_registered.load() & kGlobal) != 0;
  };
  std::vector<RefPtr<Task>> others;
  {
    MutexLock lock(kernel_.task_tree_mu_);
    for (const auto& [id, task] : kernel_.root_pid_namespace_->tasks_) {
      if (task != this && task->in_guest_.load(std::memory_order_seq_cst) && is_meant(*task))
        others.emplace_back(task);
    }
  }
  for (const auto& task : others) {
    uint64_t exits = task->guest_exits_.load(std::memory_order_seq_cst);
    if (!task->in_guest_.load(std::memory_order_seq_cst)) continue;
    TaskWaiter waiter(*this);
    kernel_.barrier_queue_.Add(waiter, EPOLLIN);
    Result<void> result;
    while (task->in_guest_.load(std::memory_order_seq_cst) &&
           task->guest_exits_.load(std::memory_order_seq_cst) == exits) {
      task->context_->Interrupt();
      constexpr int64_t kRecheck = 1'000'000;  // a task that left by a system call tells nobody
      result = Block(Deadline::After(kRecheck));
      if (result.is(ERESTARTSYS)) break;
      result = Ok();
    }
    kernel_.barrier_queue_.Remove(waiter);
    RETURN_IF_ERROR(result);
  }
  return Ok();
}

}  // namespace runsc
