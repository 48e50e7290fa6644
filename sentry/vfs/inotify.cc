#include "sentry/vfs/inotify.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>

#include "sentry/vfs/anonymous.h"

namespace runsc {

namespace inotify_internal {
std::atomic<int64_t> watch_count{0};
}  // namespace inotify_internal

namespace {

constexpr uint32_t kSettable = IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK;

// How many instances each user has.
struct UserInstances {
  Mutex mu{LockRank::kLeaf};
  absl::flat_hash_map<uint32_t, int> counts ABSL_GUARDED_BY(mu);
};
UserInstances& Instances() {
  static UserInstances instances;
  return instances;
}

}  // namespace

uint32_t NextInotifyCookie() {
  static std::atomic<uint32_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

// --- an inode's watches ---

void InotifyWatches::Notify(uint32_t event, uint32_t cookie, std::string_view name) {
  std::vector<RefPtr<FileDescription>> keep;  // released after the lock
  MutexLock lock(mu_);
  for (size_t i = 0; i < watches_.size();) {
    InotifyWatch& watch = *watches_[i];
    uint32_t mask = watch.mask_.load(std::memory_order_relaxed);
    auto instance = RefPtr<InotifyFile>::TryFrom(watch.instance_);
    if (!instance || (mask & event & IN_ALL_EVENTS) == 0) {
      ++i;
      continue;
    }
    instance->Queue(watch.descriptor_, event, cookie, name);
    keep.push_back(instance);
    if ((mask & IN_ONESHOT) == 0) {
      ++i;
      continue;
    }
    instance->Queue(watch.descriptor_, IN_IGNORED, 0, {});
    instance->Forget(watch.descriptor_);
    watches_.erase(watches_.begin() + static_cast<ptrdiff_t>(i));
  }
}

void InotifyWatches::NotifyGone(uint32_t event) {
  std::vector<RefPtr<FileDescription>> keep;
  std::vector<RefPtr<InotifyWatch>> dropped;
  MutexLock lock(mu_);
  dropped.swap(watches_);
  for (const RefPtr<InotifyWatch>& watch : dropped) {
    auto instance = RefPtr<InotifyFile>::TryFrom(watch->instance_);
    if (!instance) continue;
    if ((watch->mask_.load(std::memory_order_relaxed) & event) != 0 || event == IN_UNMOUNT)
      instance->Queue(watch->descriptor_, event, 0, {});
    instance->Queue(watch->descriptor_, IN_IGNORED, 0, {});
    instance->Forget(watch->descriptor_);
    keep.push_back(std::move(instance));
  }
}

void InotifyInodeGone(const Inode& inode) {
  if (!InotifyActive()) return;
  if (InotifyWatches* watches = inode.inotify_watches()) watches->NotifyGone(IN_DELETE_SELF);
}

namespace inotify_internal {

void Notify(const Dentry& dentry, uint32_t event) {
  Inode* inode = dentry.borrow_inode();
  if (inode == nullptr) return;
  uint32_t directory = inode->IsDirectory() ? IN_ISDIR : 0;
  if (RefPtr<Dentry> parent = dentry.parent(); parent && !dentry.IsDeleted()) {
    if (InotifyWatches* watches = parent->borrow_inode()->inotify_watches())
      watches->Notify(event | directory, 0, dentry.name());
  }
  if (InotifyWatches* watches = inode->inotify_watches()) watches->Notify(event | directory, 0, {});
}

void NotifyEntry(const Inode& dir, uint32_t event, std::string_view name, bool is_directory,
                 uint32_t cookie) {
  if (InotifyWatches* watches = dir.inotify_watches())
    watches->Notify(event | (is_directory ? IN_ISDIR : 0), cookie, name);
}

}  // namespace inotify_internal

// --- an instance ---

size_t InotifyFile::Event::size() const {
  size_t padded = name.empty() ? 0 : (name.size() + 1 + sizeof(inotify_event) - 1) / sizeof(inotify_event);
  return sizeof(inotify_event) * (1 + padded);
}

InotifyFile::InotifyFile(int flags, uint32_t uid)
    : FileDescription(AnonymousPath("anon_inode:inotify"), O_RDONLY | (flags & O_NONBLOCK)), uid_(uid) {}

Result<RefPtr<InotifyFile>> InotifyFile::Create(int flags, uint32_t uid) {
  {
    MutexLock lock(Instances().mu);
    int& count = Instances().counts[uid];
    if (count >= kMaxUserInstances) return Errno(EMFILE);
    ++count;
  }
  return RefPtr<InotifyFile>::Adopt(new InotifyFile(flags, uid));
}

InotifyFile::~InotifyFile() {
  MutexLock lock(Instances().mu);
  auto it = Instances().counts.find(uid_);
  if (--it->second == 0) Instances().counts.erase(it);
}

Result<int> InotifyFile::AddWatch(const RefPtr<Inode>& inode, uint32_t mask) {
  if ((mask & IN_MASK_ADD) != 0 && (mask & IN_MASK_CREATE) != 0) return Errno(EINVAL);
  InotifyWatches& list = inode->GetOrMakeInotifyWatches();
  MutexLock list_lock(list.mu_);
  for (const RefPtr<InotifyWatch>& watch : list.watches_) {
    if (watch->instance_ != this) continue;
    if ((mask & IN_MASK_CREATE) != 0) return Errno(EEXIST);
    uint32_t old = (mask & IN_MASK_ADD) != 0 ? watch->mask_.load(std::memory_order_relaxed) : 0;
    watch->mask_.store(old | (mask & kSettable), std::memory_order_relaxed);
    return watch->descriptor_;
  }
  MutexLock lock(mu_);
  if (watches_.size() >= kMaxWatches) return Errno(ENOSPC);
  int descriptor = next_descriptor_;
  next_descriptor_ = descriptor == INT32_MAX ? 1 : descriptor + 1;
  auto watch = MakeRef<InotifyWatch>(*this, descriptor, mask & kSettable, inode);
  watches_.emplace(descriptor, watch);
  list.watches_.push_back(std::move(watch));
  inotify_internal::watch_count.fetch_add(1, std::memory_order_relaxed);
  return descriptor;
}

Result<void> InotifyFile::RemoveWatch(int descriptor) {
  RefPtr<InotifyWatch> watch;
  {
    MutexLock lock(mu_);
    auto it = watches_.find(descriptor);
    if (it == watches_.end()) return Errno(EINVAL);
    watch = it->second;
  }
  {
    InotifyWatches& list = watch->inode_->GetOrMakeInotifyWatches();
    MutexLock lock(list.mu_);
    std::erase(list.watches_, watch);
  }
  Forget(descriptor);
  Queue(descriptor, IN_IGNORED, 0, {});
  return Ok();
}

void InotifyFile::Forget(int descriptor) {
  MutexLock lock(mu_);
  // The watch itself, and so the inode, is released by the list's side or by the caller.
  if (watches_.erase(descriptor) != 0) inotify_internal::watch_count.fetch_sub(1, std::memory_order_relaxed);
}

void InotifyFile::OnLastRelease() {
  absl::flat_hash_map<int, RefPtr<InotifyWatch>> watches;
  {
    MutexLock lock(mu_);
    watches.swap(watches_);
  }
  for (const auto& [descriptor, watch] : watches) {
    InotifyWatches& list = watch->inode_->GetOrMakeInotifyWatches();
    MutexLock lock(list.mu_);
    std::erase(list.watches_, watch);
  }
  inotify_internal::watch_count.fetch_sub(static_cast<int64_t>(watches.size()), std::memory_order_relaxed);
  FileDescription::OnLastRelease();
}

void InotifyFile::Queue(int descriptor, uint32_t mask, uint32_t cookie, std::string_view name) {
  {
    MutexLock lock(mu_);
    // The same event twice in a row is told once (inotify(7)).
    if (!events_.empty()) {
      const Event& last = events_.back();
      if (last.descriptor == descriptor && last.mask == mask && last.cookie == cookie && last.name == name)
        return;
      if (last.mask == IN_Q_OVERFLOW) return;
    }
    if (events_.size() >= kMaxQueuedEvents) {
      events_.push_back(Event{-1, IN_Q_OVERFLOW, 0, {}});
    } else {
      events_.push_back(Event{descriptor, mask, cookie, std::string(name)});
    }
    bytes_ += events_.back().size();
  }
  wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
}

Result<size_t> InotifyFile::Read(IoSequence& to) {
  std::vector<std::byte> bytes;
  {
    MutexLock lock(mu_);
    if (events_.empty()) return Errno(EAGAIN);
    while (!events_.empty()) {
      const Event& event = events_.front();
      if (bytes.size() + event.size() > to.size()) break;
      inotify_event header{};
      header.wd = event.descriptor;
      header.mask = event.mask;
      header.cookie = event.cookie;
      header.len = static_cast<uint32_t>(event.size() - sizeof(header));
      size_t at = bytes.size();
      bytes.resize(at + event.size());
      std::memcpy(&bytes[at], &header, sizeof(header));
      if (!event.name.empty()) std::memcpy(&bytes[at + sizeof(header)], event.name.data(), event.name.size());
      bytes_ -= event.size();
      events_.pop_front();
    }
  }
  if (bytes.empty()) return Errno(EINVAL);
  return to.CopyOut(bytes);
}

size_t InotifyFile::DiscardEvents() {
  MutexLock lock(mu_);
  size_t entries = static_cast<size_t>(
      std::count_if(events_.begin(), events_.end(), [](const Event& event) { return !event.name.empty(); }));
  events_.clear();
  bytes_ = 0;
  return entries;
}

Result<int64_t> InotifyFile::Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) {
  if (request != FIONREAD) return Errno(ENOTTY);
  int bytes = 0;
  {
    MutexLock lock(mu_);
    bytes = static_cast<int>(std::min<size_t>(bytes_, INT32_MAX));
  }
  RETURN_IF_ERROR(memory.Write(UserPtr<int>(argument), bytes));
  return 0;
}

EventMask InotifyFile::Readiness(EventMask mask) {
  MutexLock lock(mu_);
  return events_.empty() ? 0 : mask & (EPOLLIN | EPOLLRDNORM);
}

std::vector<InotifyFile::WatchInfo> InotifyFile::Watches() {
  std::vector<WatchInfo> all;
  MutexLock lock(mu_);
  for (const auto& [descriptor, watch] : watches_)
    all.push_back(WatchInfo{descriptor, watch->mask_.load(std::memory_order_relaxed), watch->inode_});
  return all;
}

}  // namespace runsc
