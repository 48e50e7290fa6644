// SharedMemory: the System V shared memory of one IPC namespace.
//
// A segment is a MappedObject like a file; its number of attachments is the number of its mappings
// in all address spaces. A segment that was removed lives on, without its key, while it is attached.
// Threading: any thread, one lock for all segments, which is taken inside mm's (a mapping comes or goes).
// Linux counterpart: ipc/shm.c; shmget(2), shmat(2), shmctl(2).
#ifndef SENTRY_IPC_SHARED_MEMORY_H_
#define SENTRY_IPC_SHARED_MEMORY_H_

#include <sys/shm.h>

#include <atomic>
#include <vector>

#include "platform/base/mutex.h"
#include "sentry/ipc/ipc_table.h"
#include "sentry/memory/mappable.h"
#include "sentry/mm/shared_anonymous.h"

namespace runsc {

class SharedMemory;

// /proc/sys/kernel/shm*.
struct SharedMemoryLimits {
  std::atomic<uint64_t> max_bytes{UINT64_MAX - (1 << 24)};
  std::atomic<uint64_t> all_pages{UINT64_MAX - (1 << 24)};
  std::atomic<int> segments{4096};
  // A segment goes with its last attachment.
  std::atomic<bool> remove_forced{false};
};

class SharedSegment final : public IpcObject, public MappedObject, public Mappable {
 public:
  SharedSegment(RefPtr<SharedMemory> table, RefPtr<SharedAnonymous> memory, const IpcPermissions& permissions,
                uint64_t size, pid_t creator);

  uint64_t size() const { return size_; }  // bytes, as asked for

  Mappable& mappable() override { return *this; }
  std::string Name() const override;
  uint64_t device() const override { return 1; }
  uint64_t inode_number() const override { return static_cast<uint64_t>(id); }

  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) override {
    return memory_->Translate(offset, max_length, access);
  }
  void AddMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) override;
  void RemoveMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) override;
  Result<void> PunchHole(uint64_t offset, uint64_t length) override {
    return memory_->PunchHole(offset, length);
  }

 private:
  friend class SharedMemory;
  struct Mapping {
    const MappingOwner* owner;
    UserRange range;
  };

  const RefPtr<SharedMemory> table_;
  const RefPtr<SharedAnonymous> memory_;
  const key_t name_key_;  // the key it was made with
  const uint64_t size_;
  const pid_t creator_;
  // Guarded by the table's lock.
  std::vector<Mapping> mappings_;
  uint64_t attaching_ = 0;  // attachments about to be made
  pid_t last_pid_ = 0;
  int64_t attach_time_ = 0, detach_time_ = 0, change_time_ = IpcNow();  // seconds
};

class SharedMemory final : public RefCounted {
 public:
  SharedMemory(MemoryFile& memory_file, CurrentPid current_pid)
      : memory_file_(memory_file), current_pid_(current_pid) {}
  SharedMemoryLimits limits;

  // shmget(2).
  Result<int> Get(key_t key, uint64_t size, int flags, const IpcCaller& caller);
  // shmat(2): the segment, which stays until EndAttach() even if somebody removes it.
  Result<RefPtr<SharedSegment>> BeginAttach(int id, int access, const IpcCaller& caller);
  void EndAttach(SharedSegment& segment);

  // shmctl(2).
  Result<IpcStatus<shmid_ds>> Stat(int id, IpcLookup how, const IpcCaller& caller);
  Result<void> Set(int id, const ipc_perm& wanted, const IpcCaller& caller);
  Result<void> Remove(int id, const IpcCaller& caller);
  // SHM_LOCK and SHM_UNLOCK. `may_lock`: RLIMIT_MEMLOCK is not 0.
  Result<void> Lock(int id, bool lock, bool may_lock, const IpcCaller& caller);
  // The second of each is what shmctl returns.
  std::pair<shminfo, int> Limits();
  std::pair<shm_info, int> Usage();
  struct Listed {
    IpcStatus<shmid_ds> status;
    uint64_t resident_bytes;
  };
  std::vector<Listed> List();
  // The namespace is gone.
  void Clear();

 private:
  friend class SharedSegment;
  // Out of the table if nobody needs it any more: to be released without the lock.
  RefPtr<SharedSegment> ReapLocked(SharedSegment& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  RefPtr<SharedSegment> RemoveLocked(SharedSegment& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static IpcStatus<shmid_ds> StatusOf(const SharedSegment& segment);

  MemoryFile& memory_file_;
  const CurrentPid current_pid_;
  Mutex mu_{LockRank::kIpc};
  IpcTable<SharedSegment> table_ ABSL_GUARDED_BY(mu_);
  uint64_t pages_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace runsc

#endif  // SENTRY_IPC_SHARED_MEMORY_H_
