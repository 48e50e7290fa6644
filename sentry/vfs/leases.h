// Leases of one file (fcntl(2), "Leases"): an open description that holds one is told when somebody opens or
// truncates the file in a way that conflicts, and has some time to put things in order; the other one waits.
//
// Owned by the inode's FileLocks. Nothing here waits: who breaks a lease waits on wait_queue(), and looks
// again. Holders are told with no lock held. Threading: any thread. Linux counterpart: the leases of
// fs/locks.c (generic_setlease(), __break_lease()).
#ifndef SENTRY_VFS_LEASES_H_
#define SENTRY_VFS_LEASES_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/time/clock.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

class FileLocks;
class Leases;

enum class LeaseType : uint8_t { kNone, kRead, kWrite };

// Who holds a lease.
class LeaseHolder : public RefCounted {
 public:
  virtual void OnBreak() = 0;
  // It was given back, or the time was over; not: its file was closed.
  virtual void OnRemoved() = 0;
};

// Waits until none of the leases that have been broken is in the way of an open for reading or writing. Null:
// who opens does not wait. Called without locks. ERESTARTSYS.
using LeaseWaiter = Result<void> (*)(Leases& leases, bool for_writing);
inline constinit thread_local LeaseWaiter wait_for_leases = nullptr;

class Leases {
 public:
  explicit Leases(const FileLocks& file) : file_(file) {}
  // /proc/sys/fs/leases-enable, and lease-break-time in seconds (not above 0: a lease never ends by itself).
  static std::atomic<int64_t> enabled, break_seconds;

  // Places a lease or changes it; `owner` is the open description, which may write if `owner_writes`.
  // `pid` is shown. EAGAIN: others have the file open, or a lease of it, that conflicts.
  Result<void> Set(const void* owner, bool owner_writes, LeaseType type, RefPtr<LeaseHolder> holder,
                   pid_t pid = 0);
  // EAGAIN: it has none.
  Result<void> Remove(const void* owner);
  // What is left of the owner's lease once the break that is under way is over.
  LeaseType Get(const void* owner);
  void Release(const void* owner);  // its file is closed

  // Tells the holders of what conflicts with an open for reading or writing. EAGAIN: there are some.
  Result<void> Break(bool for_writing);
  // EAGAIN: there are some still. `*next`: when one of them ends by itself.
  Result<void> Check(bool for_writing, Deadline* next);
  WaitQueue& wait_queue() { return wait_queue_; }

  // For /proc/locks.
  struct Info {
    LeaseType type;  // what will be left of it if it is being broken
    bool is_breaking;
    pid_t pid;
    const void* owner;
  };
  std::vector<Info> List();

 private:
  struct Lease {
    const void* owner = nullptr;
    pid_t pid = 0;
    LeaseType type = LeaseType::kNone;
    // What a break asks for, and when it is done by force (CLOCK_MONOTONIC; INT64_MAX: never).
    bool unlock_pending = false, downgrade_pending = false;
    int64_t unlock_time = INT64_MAX, downgrade_time = INT64_MAX;
    RefPtr<LeaseHolder> holder;
  };
  using Holders = std::vector<RefPtr<LeaseHolder>>;
  static bool Conflicts(const Lease& lease, bool for_writing) {
    return for_writing || lease.type == LeaseType::kWrite;
  }
  // What is left of it once the break that is under way is over.
  static LeaseType RestOf(const Lease& lease);
  Lease* FindLocked(const void* owner) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool MayHaveLocked(const void* owner, bool owner_writes, LeaseType type) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends what is over; those in `removed` are told.
  void ExpireLocked(Holders* removed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Expire();
  Result<void> CheckLocked(bool for_writing, Deadline* next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const FileLocks& file_;  // its owner
  Mutex mu_{LockRank::kFileLocks};
  std::vector<Lease> leases_ ABSL_GUARDED_BY(mu_);
  WaitQueue wait_queue_;
};

}  // namespace runsc

#endif  // SENTRY_VFS_LEASES_H_
