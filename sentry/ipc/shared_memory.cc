#include "sentry/ipc/shared_memory.h"

#include <algorithm>
#include <cstdio>

namespace runsc {
namespace {

uint64_t PagesOf(uint64_t bytes) { return bytes / kPageSize + (bytes % kPageSize != 0 ? 1 : 0); }

}  // namespace

SharedSegment::SharedSegment(RefPtr<SharedMemory> table, RefPtr<SharedAnonymous> memory,
                             const IpcPermissions& permissions, uint64_t size, pid_t creator)
    : IpcObject(permissions),
      table_(std::move(table)),
      memory_(std::move(memory)),
      name_key_(permissions.key),
      size_(size),
      creator_(creator) {}

std::string SharedSegment::Name() const {
  char text[32];
  snprintf(text, sizeof(text), "/SYSV%08x (deleted)", static_cast<unsigned>(name_key_));
  return text;
}

void SharedSegment::AddMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {
  memory_->AddMapping(owner, range, offset, writable);
  const pid_t pid = table_->current_pid_();
  MutexLock lock(table_->mu_);
  mappings_.push_back({&owner, range});
  attach_time_ = IpcNow();
  last_pid_ = pid;
}

void SharedSegment::RemoveMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {
  memory_->RemoveMapping(owner, range, offset, writable);
  const pid_t pid = table_->current_pid_();
  // The VMA still holds the segment, so its end is not here.
  RefPtr<SharedSegment> reaped;
  MutexLock lock(table_->mu_);
  std::vector<Mapping> rest;
  std::erase_if(mappings_, [&](const Mapping& mapping) {
    if (mapping.owner != &owner || !mapping.range.Overlaps(range)) return false;
    if (mapping.range.start < range.start) rest.push_back({&owner, {mapping.range.start, range.start}});
    if (range.end < mapping.range.end) rest.push_back({&owner, {range.end, mapping.range.end}});
    return true;
  });
  mappings_.insert(mappings_.end(), rest.begin(), rest.end());
  detach_time_ = IpcNow();
  last_pid_ = pid;
  reaped = table_->ReapLocked(*this);
}

RefPtr<SharedSegment> SharedMemory::RemoveLocked(SharedSegment& segment) {
  RefPtr<SharedSegment> removed(&segment);
  pages_ -= PagesOf(segment.size());
  table_.Remove(segment);
  return removed;
}

RefPtr<SharedSegment> SharedMemory::ReapLocked(SharedSegment& segment) {
  if (segment.removed || !segment.mappings_.empty() || segment.attaching_ != 0) return nullptr;
  if ((segment.permissions.mode & SHM_DEST) == 0 && !limits.remove_forced) return nullptr;
  return RemoveLocked(segment);
}

Result<int> SharedMemory::Get(key_t key, uint64_t size, int flags, const IpcCaller& caller) {
  MutexLock lock(mu_);
  auto check = [&](SharedSegment& segment) -> Result<void> {
    if (segment.size() < size) return Errno(EINVAL);
    return Ok();
  };
  auto make = [&]() -> Result<RefPtr<SharedSegment>> {
    mu_.AssertHeld();
    if (size == 0 || size > limits.max_bytes) return Errno(EINVAL);
    const uint64_t pages = PagesOf(size);
    if (pages * kPageSize < size) return Errno(ENOSPC);
    uint64_t sum;
    if (__builtin_add_overflow(pages_, pages, &sum) || sum > limits.all_pages) return Errno(ENOSPC);
    // No huge pages are reserved, and what could never be there at once is refused.
    if ((flags & SHM_HUGETLB) != 0) return Errno(ENOMEM);
    if ((flags & SHM_NORESERVE) == 0 && size > memory_file_.limit()) return Errno(ENOMEM);
    if (table_.size() >= limits.segments) return Errno(ENOSPC);
    pages_ = sum;
    IpcPermissions permissions(key, static_cast<uint32_t>(flags) & 0777, caller.creds);
    return MakeRef<SharedSegment>(RefPtr<SharedMemory>(this),
                                  MakeRef<SharedAnonymous>(memory_file_, pages * kPageSize), permissions,
                                  size, caller.pid);
  };
  return table_.Get(key, flags, caller, kIpcMaxObjects, check, make);
}

Result<RefPtr<SharedSegment>> SharedMemory::BeginAttach(int id, int access, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SharedSegment> segment, table_.Find(id));
  RETURN_IF_ERROR(CheckIpcAccess(segment->permissions, caller, access));
  ++segment->attaching_;
  return segment;
}

void SharedMemory::EndAttach(SharedSegment& segment) {
  RefPtr<SharedSegment> reaped;
  MutexLock lock(mu_);
  --segment.attaching_;
  reaped = ReapLocked(segment);
}

IpcStatus<shmid_ds> SharedMemory::StatusOf(const SharedSegment& segment) {
  IpcStatus<shmid_ds> status{segment.id, {}};
  shmid_ds& out = status.description;
  out.shm_perm = ToIpcPerm(segment);
  out.shm_segsz = segment.size();
  out.shm_atime = segment.attach_time_;
  out.shm_dtime = segment.detach_time_;
  out.shm_ctime = segment.change_time_;
  out.shm_cpid = segment.creator_;
  out.shm_lpid = segment.last_pid_;
  out.shm_nattch = segment.mappings_.size() + segment.attaching_;
  return status;
}

Result<IpcStatus<shmid_ds>> SharedMemory::Stat(int id, IpcLookup how, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SharedSegment> segment, table_.FindToStat(id, how, caller));
  return StatusOf(*segment);
}

Result<void> SharedMemory::Set(int id, const ipc_perm& wanted, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SharedSegment> segment, table_.FindToControl(id, caller));
  RETURN_IF_ERROR(ChangeIpcOwner(segment->permissions, wanted, caller));
  segment->change_time_ = IpcNow();
  return Ok();
}

Result<void> SharedMemory::Remove(int id, const IpcCaller& caller) {
  RefPtr<SharedSegment> segment;  // gone after the lock
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(segment, table_.FindToControl(id, caller));
  segment->permissions.mode |= SHM_DEST;
  table_.FreeKey(*segment);
  ReapLocked(*segment);
  return Ok();
}

Result<void> SharedMemory::Lock(int id, bool lock_it, bool may_lock, const IpcCaller& caller) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(RefPtr<SharedSegment> segment, table_.Find(id));
  IpcPermissions& permissions = segment->permissions;
  if (!caller.HasCapability(CAP_IPC_LOCK)) {
    if (caller.creds.euid != permissions.uid && caller.creds.euid != permissions.cuid) return Errno(EPERM);
    if (lock_it && !may_lock) return Errno(EPERM);
  }
  permissions.mode = lock_it ? permissions.mode | SHM_LOCKED : permissions.mode & ~uint32_t{SHM_LOCKED};
  return Ok();
}

std::pair<shminfo, int> SharedMemory::Limits() {
  shminfo info{};
  info.shmmax = limits.max_bytes;
  info.shmmin = 1;
  info.shmmni = info.shmseg = static_cast<unsigned long>(limits.segments.load());
  info.shmall = limits.all_pages;
  MutexLock lock(mu_);
  return {info, table_.highest_index()};
}

std::vector<SharedMemory::Listed> SharedMemory::List() {
  MutexLock lock(mu_);
  std::vector<Listed> list;
  for (const auto& [index, segment] : table_.objects())
    list.push_back({StatusOf(*segment), segment->memory_->resident_bytes()});
  return list;
}

std::pair<shm_info, int> SharedMemory::Usage() {
  uint64_t resident = 0;
  for (const Listed& segment : List()) resident += segment.resident_bytes;
  shm_info info{};
  MutexLock lock(mu_);
  info.used_ids = table_.size();
  info.shm_tot = pages_;
  info.shm_rss = resident / kPageSize;
  return {info, table_.highest_index()};
}

void SharedMemory::Clear() {
  std::vector<RefPtr<SharedSegment>> released;
  MutexLock lock(mu_);
  for (const auto& [index, segment] : table_.objects()) released.push_back(segment);
  for (const auto& segment : released) {
    segment->permissions.mode |= SHM_DEST;
    ReapLocked(*segment);
  }
}

}  // namespace runsc
