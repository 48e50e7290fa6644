#include "sentry/vfs/leases.h"

#include <algorithm>

#include "sentry/vfs/file_locks.h"

namespace runsc {

std::atomic<int64_t> Leases::enabled{1}, Leases::break_seconds{45};

Leases::Lease* Leases::FindLocked(const void* owner) {
  auto found =
      std::find_if(leases_.begin(), leases_.end(), [&](const Lease& lease) { return lease.owner == owner; });
  return found != leases_.end() ? &*found : nullptr;
}

void Leases::ExpireLocked(Holders* removed) {
  const int64_t now = MonotonicNow();
  std::erase_if(leases_, [&](Lease& lease) {
    if (lease.downgrade_pending && now >= lease.downgrade_time) {
      lease.type = LeaseType::kRead;
      lease.downgrade_pending = false;
    }
    if (!lease.unlock_pending || now < lease.unlock_time) return false;
    removed->push_back(std::move(lease.holder));
    return true;
  });
}

void Leases::Expire() {
  Holders removed;
  {
    MutexLock lock(mu_);
    ExpireLocked(&removed);
  }
  for (const auto& holder : removed) holder->OnRemoved();
}

// Linux: check_conflicting_open() and generic_add_lease().
bool Leases::MayHaveLocked(const void* owner, bool owner_writes, LeaseType type) {
  if (type == LeaseType::kRead && file_.writers() != 0) return false;
  if (type == LeaseType::kWrite &&
      (file_.writers() != (owner_writes ? 1 : 0) || file_.readers() != (owner_writes ? 0 : 1)))
    return false;
  return std::all_of(leases_.begin(), leases_.end(), [&](const Lease& lease) {
    return lease.owner == owner || (type == LeaseType::kRead && !lease.unlock_pending);
  });
}

Result<void> Leases::Set(const void* owner, bool owner_writes, LeaseType type, RefPtr<LeaseHolder> holder,
                         pid_t pid) {
  Expire();
  {
    MutexLock lock(mu_);
    if (!MayHaveLocked(owner, owner_writes, type)) return Errno(EAGAIN);
    Lease* own = FindLocked(owner);
    const bool is_new = own == nullptr;
    if (is_new) {
      own = &leases_.emplace_back();
      own->owner = owner;
      own->pid = pid;
    }
    own->type = type;
    own->holder = std::move(holder);
    if (type == LeaseType::kRead) own->downgrade_pending = false;
    // Who opens the file counts itself first and then looks for leases; so one of us sees the other.
    if (is_new && !MayHaveLocked(owner, owner_writes, type)) {
      leases_.pop_back();
      return Errno(EAGAIN);
    }
  }
  wait_queue_.Notify(EPOLLIN);
  return Ok();
}

Result<void> Leases::Remove(const void* owner) {
  RefPtr<LeaseHolder> holder;
  {
    MutexLock lock(mu_);
    Lease* own = FindLocked(owner);
    if (own == nullptr) return Errno(EAGAIN);
    holder = std::move(own->holder);
    leases_.erase(leases_.begin() + (own - leases_.data()));
  }
  holder->OnRemoved();
  wait_queue_.Notify(EPOLLIN);
  return Ok();
}

LeaseType Leases::Get(const void* owner) {
  Expire();
  MutexLock lock(mu_);
  const Lease* own = FindLocked(owner);
  return own == nullptr ? LeaseType::kNone : RestOf(*own);
}

LeaseType Leases::RestOf(const Lease& lease) {
  if (lease.unlock_pending) return LeaseType::kNone;
  return lease.downgrade_pending ? LeaseType::kRead : lease.type;
}

std::vector<Leases::Info> Leases::List() {
  Expire();
  std::vector<Info> all;
  MutexLock lock(mu_);
  for (const Lease& lease : leases_)
    all.push_back({RestOf(lease), lease.unlock_pending || lease.downgrade_pending, lease.pid, lease.owner});
  return all;
}

void Leases::Release(const void* owner) {
  RefPtr<LeaseHolder> holder;  // goes after the lock
  {
    MutexLock lock(mu_);
    Lease* own = FindLocked(owner);
    if (own == nullptr) return;
    holder = std::move(own->holder);
    leases_.erase(leases_.begin() + (own - leases_.data()));
  }
  wait_queue_.Notify(EPOLLIN);
}

Result<void> Leases::CheckLocked(bool for_writing, Deadline* next) {
  bool conflict = false;
  int64_t earliest = INT64_MAX;
  for (const Lease& lease : leases_) {
    if (!Conflicts(lease, for_writing)) continue;
    conflict = true;
    if (lease.unlock_pending) earliest = std::min(earliest, lease.unlock_time);
    if (lease.downgrade_pending) earliest = std::min(earliest, lease.downgrade_time);
  }
  if (next != nullptr) *next = Deadline::AtMonotonic(earliest);
  return conflict ? Result<void>(Errno(EAGAIN)) : Ok();
}

Result<void> Leases::Check(bool for_writing, Deadline* next) {
  Expire();
  MutexLock lock(mu_);
  return CheckLocked(for_writing, next);
}

Result<void> Leases::Break(bool for_writing) {
  Expire();
  Holders told;
  Result<void> result = Ok();
  {
    MutexLock lock(mu_);
    const int64_t seconds = break_seconds.load(std::memory_order_relaxed);
    const int64_t end =
        seconds > 0 ? Deadline::After(seconds * kNanosecondsPerSecond).monotonic() : INT64_MAX;
    for (Lease& lease : leases_) {
      if (!Conflicts(lease, for_writing)) continue;
      if (lease.unlock_pending || (!for_writing && lease.downgrade_pending)) continue;
      (for_writing ? lease.unlock_pending : lease.downgrade_pending) = true;
      (for_writing ? lease.unlock_time : lease.downgrade_time) = end;
      told.push_back(lease.holder);
    }
    result = CheckLocked(for_writing, nullptr);
  }
  for (const auto& holder : told) holder->OnBreak();
  return result;
}

}  // namespace runsc
