#include "sentry/syscalls/record_lock_wait.h"

#include "absl/container/flat_hash_map.h"
#include "sentry/syscalls/blocking_io.h"

namespace runsc {

namespace {

// Which owner waits for which lock. A wait of one owner at a time is kept: threads that
// share their locks can be missed, as in Linux.
class WaitGraph {
 public:
  // False: waiting would close a circle.
  bool Enter(FileLocks& locks, const RecordLock& wanted) {
    MutexLock lock(mu_);
    const void* at = wanted.owner;
    Wait wait{&locks, wanted};
    for (int steps = 0; steps < kMaxSteps; ++steps) {
      std::optional<RecordLock> holder = wait.locks->Test(wait.wanted);
      if (!holder) break;
      at = holder->owner;
      if (at == wanted.owner) return false;
      auto it = waits_.find(at);
      if (it == waits_.end()) break;
      wait = it->second;
    }
    waits_[wanted.owner] = Wait{&locks, wanted};
    return true;
  }
  void Leave(const void* owner) {
    MutexLock lock(mu_);
    waits_.erase(owner);
  }

 private:
  static constexpr int kMaxSteps = 10;  // Linux: MAX_DEADLK_ITERATIONS
  struct Wait {
    FileLocks* locks;  // alive while its waiter is here
    RecordLock wanted;
  };
  Mutex mu_{LockRank::kInodeAttributes};
  absl::flat_hash_map<const void*, Wait> waits_ ABSL_GUARDED_BY(mu_);
};

WaitGraph& Graph() {
  static WaitGraph* graph = new WaitGraph;
  return *graph;
}

}  // namespace

Result<void> WaitForRecordLock(Task& task, FileLocks& locks, const RecordLock& lock, bool detect_deadlock) {
  Result<void> result =
      BlockOnQueue(task, locks.wait_queue(), EPOLLIN, Deadline::Never(), [&]() -> Result<void> {
        Result<void> set = locks.SetRecordLock(lock);
        if (set.is(EAGAIN) && detect_deadlock && !Graph().Enter(locks, lock)) return Errno(EDEADLK);
        return set;
      });
  if (detect_deadlock) Graph().Leave(lock.owner);
  return result;
}

}  // namespace runsc
