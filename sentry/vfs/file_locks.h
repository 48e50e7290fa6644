// Advisory locks of one inode: flock(2), POSIX record locks and open file
// description locks (fcntl(2)); its leases and what
// these depend on, how it is open, are with them. They never block: a conflict is EAGAIN, and the
// caller waits on wait_queue(). Threading: any thread. Linux counterpart:
// fs/locks.c.
#ifndef SENTRY_VFS_FILE_LOCKS_H_
#define SENTRY_VFS_FILE_LOCKS_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/result.h"
#include "sentry/vfs/leases.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

class Inode;

enum class FileLockType : uint8_t { kShared, kExclusive, kUnlock };

struct FileLockRange {
  uint64_t start = 0;
  uint64_t end = UINT64_MAX;  // exclusive; UINT64_MAX: to the end of the file
};

struct RecordLock {
  FileLockType type = FileLockType::kShared;
  FileLockRange range;
  const void* owner = nullptr;  // FDTable (POSIX) or FileDescription (OFD)
  pid_t pid = 0;                // for F_GETLK and /proc/locks; -1 for OFD locks
};

class FileLocks {
 public:
  // `inode`: whose they are, or null: /proc/locks does not show them.
  explicit FileLocks(Inode* inode = nullptr) : inode_(inode) {}
  ~FileLocks();
  // flock(2): whole file, owner is the FileDescription. EAGAIN on a conflict.
  Result<void> Flock(FileLockType type, const void* owner, pid_t pid = 0);
  // Sets or clears a record lock. EAGAIN on a conflict; EDEADLK when `owner`
  // would wait in a circle is decided by the caller's wait graph.
  Result<void> SetRecordLock(const RecordLock& lock);
  // F_GETLK: the first lock in conflict.
  std::optional<RecordLock> Test(const RecordLock& lock) const;
  // Everything of an owner (close(2), exit).
  void ReleaseOwner(const void* owner);
  WaitQueue& wait_queue() { return wait_queue_; }

  // Open descriptions that read only, and that may write (Linux: i_readcount, i_writecount).
  void CountOpen(bool writes, int32_t change) { (writes ? writers_ : readers_).fetch_add(change); }
  int32_t readers() const { return readers_.load(); }
  int32_t writers() const { return writers_.load(); }
  // A program runs from this file: nobody may open it for writing (Linux: deny_write_access()). False:
  // somebody has.
  bool DenyWriting();
  void AllowWriting() { denials_.fetch_sub(1); }
  bool denies_writing() const { return denials_.load() != 0; }
  // Null if no lease was ever asked for.
  Leases* leases_if_any() const { return leases_.load(); }
  Leases& leases();

  // For /proc/locks.
  struct Info {
    bool flock = false;
    RecordLock lock;
  };
  std::vector<Info> List() const;
  // Every inode that has been locked since it came into memory.
  static std::vector<RefPtr<Inode>> LockedInodes();

 private:
  void NoteLocked();
  Inode* const inode_;
  mutable Mutex mu_{LockRank::kFileLocks};
  std::vector<RecordLock> flocks_ ABSL_GUARDED_BY(mu_);
  std::vector<RecordLock> records_ ABSL_GUARDED_BY(mu_);  // sorted by start within an owner
  std::atomic<bool> has_been_locked_{false};              // else there is nothing to release
  WaitQueue wait_queue_;
  std::atomic<int32_t> readers_{0}, writers_{0};
  std::atomic<int32_t> denials_{0};  // of writing
  std::atomic<Leases*> leases_{nullptr};
};

}  // namespace runsc

#endif  // SENTRY_VFS_FILE_LOCKS_H_
