// SemaphoreSets: the System V semaphores of one IPC namespace.
//
// An operation on a set is done as a whole, or its task waits in the set's queue and whoever changes
// the set does it for the task: so it is done in the order of arrival and seen at once by others.
// Threading: any thread, one lock for all sets.
// Linux counterpart: ipc/sem.c; semop(2), semctl(2).
#ifndef SENTRY_IPC_SEMAPHORES_H_
#define SENTRY_IPC_SEMAPHORES_H_

#include <sys/sem.h>

#include <atomic>
#include <list>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "platform/base/mutex.h"
#include "sentry/ipc/ipc_table.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

class SemaphoreSets;

// /proc/sys/kernel/sem.
struct SemaphoreLimits {
  std::atomic<int> per_set{32000}, total{1024000000}, operations{500}, sets{32000};
};
inline constexpr int kSemaphoreMax = 32767;  // SEMVMX, SEMAEM

// SEM_UNDO: what is to be added to semaphores when the last task that shares this list lets go of it
// (exit, unshare(CLONE_SYSVSEM)). Linux counterpart: struct sem_undo_list.
class SemaphoreUndo final : public RefCounted {
 public:
  explicit SemaphoreUndo(RefPtr<SemaphoreSets> sets);

 private:
  friend class SemaphoreSets;
  struct Adjustments {
    std::vector<int16_t> values;  // one a semaphore of the set
    IpcCharge charge;
  };
  ~SemaphoreUndo() override;
  const RefPtr<SemaphoreSets> sets_;
  absl::btree_map<int, Adjustments> adjustments_;  // by set; guarded by the lock of sets_
};

// One semop(2). Lives on the task's stack; after Operate() said that it waits, Finish() it.
class SemaphoreOperation {
 public:
  // `undo` may be null if no operation has SEM_UNDO.
  SemaphoreOperation(Waiter& waiter, std::vector<sembuf> operations, SemaphoreUndo* undo, pid_t pid)
      : waiter_(waiter), operations_(std::move(operations)), undo_(undo), pid_(pid) {}
  bool done() const { return done_.load(std::memory_order_acquire); }

 private:
  friend class SemaphoreSets;
  Waiter& waiter_;
  const std::vector<sembuf> operations_;
  SemaphoreUndo* const undo_;
  const pid_t pid_;
  // The rest is guarded by the lock of the sets.
  RefPtr<RefCounted> set_;
  const sembuf* blocking_ = nullptr;
  int error_ = 0;
  std::atomic<bool> done_{false};
};

class SemaphoreSets final : public RefCounted {
 public:
  explicit SemaphoreSets(CurrentPid current_pid);
  SemaphoreLimits limits;

  // semget(2).
  Result<int> Get(key_t key, int count, int flags, const IpcCaller& caller);
  // Does the operation; false: it waits. EFBIG, EACCES, EAGAIN, ERANGE, EINVAL, EIDRM, ENOMEM.
  Result<bool> Operate(int id, const IpcCaller& caller, SemaphoreOperation& operation);
  // The end of the waiting: what came of it (EIDRM, ERANGE), or EAGAIN if it was not done, and will not be.
  Result<void> Finish(SemaphoreOperation& operation);

  // semctl(2).
  Result<int> GetValue(int id, int number, int command, const IpcCaller& caller);
  Result<std::vector<uint16_t>> GetAll(int id, const IpcCaller& caller);
  Result<void> SetValue(int id, int number, int value, const IpcCaller& caller);
  Result<size_t> CountToSet(int id, const IpcCaller& caller);
  // EIDRM: their number is not the set's.
  Result<void> SetAll(int id, const std::vector<uint16_t>& values, const IpcCaller& caller);
  Result<IpcStatus<semid_ds>> Stat(int id, IpcLookup how, const IpcCaller& caller);
  Result<void> Set(int id, const ipc_perm& wanted, const IpcCaller& caller);
  Result<void> Remove(int id, const IpcCaller& caller);
  // IPC_INFO, or SEM_INFO if `used`; the second is what semctl returns.
  std::pair<seminfo, int> Info(bool used);
  std::vector<IpcStatus<semid_ds>> List();

 private:
  friend class SemaphoreUndo;
  struct Semaphore {
    int value = 0;
    pid_t pid = 0;  // of the last change
  };
  struct SemaphoreSet;
  ~SemaphoreSets() override;
  Result<RefPtr<SemaphoreSet>> FindLocked(int id, int access, const IpcCaller& caller)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ok: done; EAGAIN: it has to wait; ERANGE.
  Result<void> TryLocked(SemaphoreSet& set, SemaphoreOperation& operation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<void> ApplyLocked(SemaphoreSet& set, SemaphoreOperation& operation, size_t& applied)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<void> PrepareUndoLocked(SemaphoreSet& set, const SemaphoreOperation& operation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CompleteLocked(SemaphoreOperation& operation, int error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The set has changed: does what can be done now.
  void UpdateLocked(SemaphoreSet& set) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetUndoLocked(int id, std::optional<int> number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UndoAll(SemaphoreUndo& undo);
  static IpcStatus<semid_ds> StatusOf(const SemaphoreSet& set);

  const CurrentPid current_pid_;
  Mutex mu_{LockRank::kIpc};
  IpcTable<SemaphoreSet> table_ ABSL_GUARDED_BY(mu_);
  int semaphores_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_set<SemaphoreUndo*> undos_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_IPC_SEMAPHORES_H_
