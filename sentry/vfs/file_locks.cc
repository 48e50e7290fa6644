#include "sentry/vfs/file_locks.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "sentry/vfs/inode.h"

namespace runsc {

namespace {

bool Overlap(const FileLockRange& a, const FileLockRange& b) { return a.start < b.end && b.start < a.end; }
bool Conflict(FileLockType a, FileLockType b) {
  return a == FileLockType::kExclusive || b == FileLockType::kExclusive;
}

}  // namespace

namespace {

// The locks of all inodes that were ever locked; a lock's end takes no other lock meanwhile.
struct Registry {
  Mutex mu{LockRank::kLeaf};
  absl::flat_hash_set<FileLocks*> all ABSL_GUARDED_BY(mu);
};
Registry& TheRegistry() {
  static Registry* registry = new Registry;
  return *registry;
}

}  // namespace

FileLocks::~FileLocks() {
  if (inode_ != nullptr && has_been_locked_.load()) {
    Registry& registry = TheRegistry();
    MutexLock lock(registry.mu);
    registry.all.erase(this);
  }
  delete leases_.load();
}

void FileLocks::NoteLocked() {
  if (has_been_locked_.exchange(true, std::memory_order_acq_rel) || inode_ == nullptr) return;
  Registry& registry = TheRegistry();
  MutexLock lock(registry.mu);
  registry.all.insert(this);
}

std::vector<RefPtr<Inode>> FileLocks::LockedInodes() {
  std::vector<RefPtr<Inode>> inodes;
  Registry& registry = TheRegistry();
  MutexLock lock(registry.mu);
  for (FileLocks* locks : registry.all) {
    if (locks->inode_->TryAddRef()) inodes.push_back(RefPtr<Inode>::Adopt(locks->inode_));
  }
  return inodes;
}

Result<void> FileLocks::Flock(FileLockType type, const void* owner, pid_t pid) {
  bool woke = false;
  Result<void> result = Ok();
  {
    MutexLock lock(mu_);
    NoteLocked();
    // A conversion is not atomic: the old lock goes first (flock(2)).
    woke = std::erase_if(flocks_, [&](const RecordLock& held) { return held.owner == owner; }) != 0;
    if (type != FileLockType::kUnlock) {
      bool conflict = std::any_of(flocks_.begin(), flocks_.end(),
                                  [&](const RecordLock& held) { return Conflict(held.type, type); });
      if (conflict) {
        result = Errno(EAGAIN);
      } else {
        flocks_.push_back(RecordLock{type, {}, owner, pid});
      }
    }
  }
  if (woke) wait_queue_.Notify(EPOLLIN);
  return result;
}

Result<void> FileLocks::SetRecordLock(const RecordLock& wanted) {
  bool woke = false;
  {
    MutexLock lock(mu_);
    NoteLocked();
    if (wanted.type != FileLockType::kUnlock) {
      for (const RecordLock& held : records_) {
        if (held.owner != wanted.owner && Overlap(held.range, wanted.range) &&
            Conflict(held.type, wanted.type))
          return Errno(EAGAIN);
      }
    }
    // What the owner holds already is cut out of the range, then neighbours of one type join.
    RecordLock merged = wanted;
    absl::InlinedVector<RecordLock, 3> changed;
    std::erase_if(records_, [&](const RecordLock& held) {
      if (held.owner != wanted.owner) return false;
      bool touches = held.range.start <= merged.range.end && merged.range.start <= held.range.end;
      if (held.type == wanted.type && touches) {
        merged.range.start = std::min(merged.range.start, held.range.start);
        merged.range.end = std::max(merged.range.end, held.range.end);
        return true;
      }
      if (!Overlap(held.range, wanted.range)) return false;
      woke = true;
      if (held.range.start < wanted.range.start) {
        changed.push_back(held);
        changed.back().range.end = wanted.range.start;
      }
      if (held.range.end > wanted.range.end) {
        changed.push_back(held);
        changed.back().range.start = wanted.range.end;
      }
      return true;
    });
    if (wanted.type != FileLockType::kUnlock) changed.push_back(merged);
    for (const RecordLock& lock_info : changed) {
      records_.insert(std::upper_bound(records_.begin(), records_.end(), lock_info,
                                       [](const RecordLock& a, const RecordLock& b) {
                                         return a.range.start < b.range.start;
                                       }),
                      lock_info);
    }
  }
  if (woke) wait_queue_.Notify(EPOLLIN);
  return Ok();
}

std::optional<RecordLock> FileLocks::Test(const RecordLock& wanted) const {
  MutexLock lock(mu_);
  for (const RecordLock& held : records_) {
    if (held.owner != wanted.owner && Overlap(held.range, wanted.range) && Conflict(held.type, wanted.type))
      return held;
  }
  return std::nullopt;
}

void FileLocks::ReleaseOwner(const void* owner) {
  if (Leases* leases = leases_if_any()) leases->Release(owner);
  if (!has_been_locked_.load(std::memory_order_acquire)) return;
  auto is_owner = [&](const RecordLock& held) { return held.owner == owner; };
  size_t removed = 0;
  {
    MutexLock lock(mu_);
    removed = std::erase_if(flocks_, is_owner) + std::erase_if(records_, is_owner);
  }
  if (removed != 0) wait_queue_.Notify(EPOLLIN);
}

// Who opens for writing counts itself first and then looks for denials; so one of the two sees the other.
bool FileLocks::DenyWriting() {
  denials_.fetch_add(1);
  if (writers_.load() == 0) return true;
  denials_.fetch_sub(1);
  return false;
}

Leases& FileLocks::leases() {
  NoteLocked();
  MutexLock lock(mu_);
  if (leases_.load() == nullptr) leases_.store(new Leases(*this));
  return *leases_.load();
}

std::vector<FileLocks::Info> FileLocks::List() const {
  std::vector<Info> all;
  MutexLock lock(mu_);
  for (const RecordLock& lock_info : flocks_) all.push_back(Info{true, lock_info});
  for (const RecordLock& lock_info : records_) all.push_back(Info{false, lock_info});
  return all;
}

}  // namespace runsc
