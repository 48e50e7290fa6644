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

}  // namespace

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
