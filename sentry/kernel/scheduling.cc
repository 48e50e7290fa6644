#include "sentry/kernel/scheduling.h"

#include <atomic>

#include "absl/container/flat_hash_map.h"
#include "platform/base/mutex.h"

namespace runsc {
namespace {

struct Table {
  Mutex mu{LockRank::kLeaf};
  absl::flat_hash_map<const Task*, Scheduling> all ABSL_GUARDED_BY(mu);
  std::atomic<size_t> size{0};  // for those who find nothing
};
Table& Tasks() {
  static auto* const table = new Table;
  return *table;
}

// Linux: __checkparam_dl(), with the defaults of kernel.sched_deadline_period_{min,max}_us.
bool IsValidDeadline(const Scheduling& wanted) {
  constexpr uint64_t kMinRuntime = 1024, kMinPeriod = 100'000, kMaxPeriod = uint64_t{4194304} * 1000;  // ns
  const uint64_t period = wanted.period != 0 ? wanted.period : wanted.deadline;
  return wanted.deadline != 0 && wanted.runtime >= kMinRuntime && period >= wanted.deadline &&
         wanted.deadline >= wanted.runtime && period >= kMinPeriod && period <= kMaxPeriod;
}

}  // namespace

bool IsSchedulingPolicy(int policy) {
  return IsRealTimePolicy(policy) || IsFairPolicy(policy) || policy == kSchedulingIdle ||
         policy == SCHED_DEADLINE;
}

bool IsValid(const Scheduling& scheduling) {
  if (!IsSchedulingPolicy(scheduling.policy)) return false;
  if (scheduling.priority < 0 || scheduling.priority > kMaxRealTimePriority) return false;
  if (scheduling.policy == SCHED_DEADLINE && !IsValidDeadline(scheduling)) return false;
  return IsRealTimePolicy(scheduling.policy) == (scheduling.priority != 0);
}

Scheduling GetScheduling(const Task& task) {
  Table& table = Tasks();
  if (table.size.load(std::memory_order_acquire) == 0) return {};
  MutexLock lock(table.mu);
  auto found = table.all.find(&task);
  return found != table.all.end() ? found->second : Scheduling{};
}

void SetScheduling(const Task& task, const Scheduling& scheduling) {
  Table& table = Tasks();
  const bool is_default = scheduling == Scheduling{};
  if (is_default && table.size.load(std::memory_order_acquire) == 0) return;
  MutexLock lock(table.mu);
  if (is_default) {
    table.all.erase(&task);
  } else {
    table.all[&task] = scheduling;
  }
  table.size.store(table.all.size(), std::memory_order_release);
}

}  // namespace runsc
