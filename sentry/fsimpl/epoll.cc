#include "sentry/fsimpl/epoll.h"

#include <limits>

#include "sentry/fsimpl/epoll_nesting.h"

namespace runsc {
namespace {

constexpr uint32_t kAlways = EPOLLERR | EPOLLHUP;
constexpr uint32_t kOptions = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;
constexpr uint32_t kWithExclusive =
    EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
constexpr size_t kMaxItems = size_t{1} << 20;

// Serialises the adding of one epoll file to another, so that no circle closes behind the check.
Mutex& NestingLock() {
  static Mutex lock(LockRank::kEpollNesting);
  return lock;
}

}  // namespace

class EpollInterest::Item final : public RefCounted, public Waiter {
 public:
  Item(EpollInterest& owner, FileDescription& file, const epoll_event& event)
      : owner_(owner),
        file_(&file),
        queue_(file.wait_queue()),
        events_(event.events | kAlways),
        data_(event.data.u64) {}
  bool Notify(EventMask) override {
    if ((events_.load(std::memory_order_relaxed) & ~kOptions) == 0) return false;  // a spent EPOLLONESHOT
    bool waited_for = owner_.wait_queue_.HasWaiters();
    owner_.MarkReady(*this);
    return waited_for;
  }

 private:
  friend class EpollInterest;
  EpollInterest& owner_;
  FileDescription* const file_;  // alive while the item is on a list
  WaitQueue* const queue_;
  std::atomic<uint32_t> events_;
  std::atomic<uint64_t> data_;
  // Guarded by the owner's ready_mu_.
  bool ready_ = false;
  bool removed_ = false;
  uint64_t notifications_ = 0;
  std::list<Item*>::iterator place_;
};

EpollInterest::EpollInterest(EpollFile& file) : file_(&file) {}

EpollInterest::~EpollInterest() = default;

RefPtr<EpollFile> EpollInterest::file() const {
  MutexLock lock(mu_);
  return RefPtr<EpollFile>::TryFrom(file_);
}

void EpollInterest::MarkReady(Item& item) {
  {
    MutexLock lock(ready_mu_);
    if (item.removed_) return;
    ++item.notifications_;
    if (!item.ready_) {
      item.ready_ = true;
      item.place_ = ready_.insert(ready_.end(), &item);
    }
  }
  wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
}

void EpollInterest::Detach(Item& item) {
  item.queue_->Remove(item);
  MutexLock lock(ready_mu_);
  item.removed_ = true;
  if (item.ready_) ready_.erase(item.place_);
  item.ready_ = false;
}

void EpollInterest::CheckNow(Item& item, FileDescription& file) {
  uint32_t wanted = (item.events_.load(std::memory_order_relaxed) & ~kOptions) | kAlways;
  if ((file.Readiness(wanted) & wanted) != 0) MarkReady(item);
}

Result<void> EpollInterest::Add(FileDescription& file, int fd, const epoll_event& event) {
  // Before it is in the queue, which would hear of what is there now a second time.
  if ((event.events & EPOLLET) != 0) file.WatchEdges();
  RefPtr<Item> item;
  {
    MutexLock lock(mu_);
    auto [place, inserted] = items_.try_emplace(Key(&file, fd));
    if (!inserted) return Errno(EEXIST);
    if (items_.size() > kMaxItems) {
      items_.erase(place);
      return Errno(ENOSPC);
    }
    item = place->second = MakeRef<Item>(*this, file, event);
    file.AddReleaseListener(RefPtr<FileReleaseListener>(this));
    item->queue_->Add(*item, (event.events & ~kOptions) | kAlways, (event.events & EPOLLEXCLUSIVE) != 0);
  }
  CheckNow(*item, file);
  return Ok();
}

Result<void> EpollInterest::Modify(FileDescription& file, int fd, const epoll_event& event) {
  if ((event.events & EPOLLET) != 0) file.WatchEdges();
  RefPtr<Item> item;
  {
    MutexLock lock(mu_);
    auto place = items_.find(Key(&file, fd));
    if (place == items_.end()) return Errno(ENOENT);
    Item& changed = *place->second;
    uint32_t old = changed.events_.load(std::memory_order_relaxed);
    if (((old | event.events) & EPOLLEXCLUSIVE) != 0) return Errno(EINVAL);
    changed.queue_->Remove(changed);
    changed.events_.store(event.events | kAlways, std::memory_order_relaxed);
    changed.data_.store(event.data.u64, std::memory_order_relaxed);
    changed.queue_->Add(changed, (event.events & ~kOptions) | kAlways);
    item = RefPtr<Item>(&changed);
  }
  CheckNow(*item, file);
  return Ok();
}

Result<void> EpollInterest::Delete(FileDescription& file, int fd) {
  RefPtr<Item> item;
  {
    MutexLock lock(mu_);
    auto place = items_.find(Key(&file, fd));
    if (place == items_.end()) return Errno(ENOENT);
    item = std::move(place->second);
    items_.erase(place);
    Detach(*item);
  }
  file.RemoveReleaseListener(*this);
  return Ok();
}

void EpollInterest::OnFileReleased(FileDescription& file) {
  std::vector<RefPtr<Item>> gone;
  MutexLock lock(mu_);
  auto it = items_.lower_bound(Key(&file, std::numeric_limits<int>::min()));
  while (it != items_.end() && it->first.first == &file) {
    Detach(*it->second);
    gone.push_back(std::move(it->second));
    it = items_.erase(it);
  }
}

void EpollInterest::Close() {
  std::vector<RefPtr<FileDescription>> files;
  std::vector<RefPtr<Item>> gone;
  {
    MutexLock lock(mu_);
    file_ = nullptr;
    for (auto it = items_.begin(); it != items_.end();) {
      // A file that is being released removes its items itself.
      RefPtr<FileDescription> file = RefPtr<FileDescription>::TryFrom(it->second->file_);
      if (!file) {
        ++it;
        continue;
      }
      Detach(*it->second);
      files.push_back(std::move(file));
      gone.push_back(std::move(it->second));
      it = items_.erase(it);
    }
  }
  for (const RefPtr<FileDescription>& file : files) file->RemoveReleaseListener(*this);
}

std::vector<epoll_event> EpollInterest::Collect(size_t max) {
  std::vector<epoll_event> events;
  size_t left = 0;
  {
    MutexLock lock(ready_mu_);
    left = ready_.size();
  }
  // Items that stay ready go to the end of the list: one round only.
  for (; left > 0 && events.size() < max; --left) {
    RefPtr<FileDescription> file;
    RefPtr<Item> item;
    {
      MutexLock lock(ready_mu_);
      if (ready_.empty()) break;
      item = RefPtr<Item>(ready_.front());
      ready_.pop_front();
      item->ready_ = false;
      // While the item is on the list its file is not destroyed, if perhaps being released.
      file = RefPtr<FileDescription>::TryFrom(item->file_);
    }
    if (!file) continue;
    uint32_t options = item->events_.load(std::memory_order_relaxed);
    if ((options & ~kOptions) == 0) continue;
    uint32_t wanted = (options & ~kOptions) | kAlways;
    uint32_t ready = file->Readiness(wanted) & wanted;
    if (ready == 0) continue;
    file->OnReported(ready);
    epoll_event event{};
    event.events = ready;
    event.data.u64 = item->data_.load(std::memory_order_relaxed);
    events.push_back(event);
    if ((options & EPOLLONESHOT) != 0) {
      item->events_.compare_exchange_strong(options, options & kOptions, std::memory_order_relaxed);
    } else if ((options & EPOLLET) == 0) {
      MutexLock lock(ready_mu_);
      if (!item->removed_ && !item->ready_) {
        item->ready_ = true;
        item->place_ = ready_.insert(ready_.end(), item.get());
      }
    }
  }
  bool more = false;
  {
    MutexLock lock(ready_mu_);
    more = !ready_.empty();
  }
  if (more && !events.empty()) wait_queue_.Notify(EPOLLIN | EPOLLRDNORM);
  return events;
}

bool EpollInterest::HasReady() {
  struct Candidate {
    RefPtr<Item> item;
    RefPtr<FileDescription> file;
    uint64_t notifications;
  };
  std::vector<Candidate> candidates;
  {
    MutexLock lock(ready_mu_);
    for (Item* item : ready_) {
      RefPtr<FileDescription> file = RefPtr<FileDescription>::TryFrom(item->file_);
      if (file) candidates.push_back({RefPtr<Item>(item), std::move(file), item->notifications_});
    }
  }
  for (const Candidate& candidate : candidates) {
    Item& item = *candidate.item;
    uint32_t wanted = item.events_.load(std::memory_order_relaxed) & ~kOptions;
    if (wanted == 0) continue;
    if ((candidate.file->Readiness(wanted | kAlways) & (wanted | kAlways)) != 0) return true;
    // Not ready after all, unless it was notified since.
    MutexLock lock(ready_mu_);
    if (!item.ready_ || item.notifications_ != candidate.notifications) continue;
    ready_.erase(item.place_);
    item.ready_ = false;
  }
  return false;
}

std::vector<RefPtr<FileDescription>> EpollInterest::Files() const {
  std::vector<RefPtr<FileDescription>> files;
  MutexLock lock(mu_);
  files.reserve(items_.size());
  for (const auto& [key, item] : items_)
    if (RefPtr<FileDescription> file = RefPtr<FileDescription>::TryFrom(item->file_))
      files.push_back(std::move(file));
  return files;
}

std::vector<EpollInterest::Info> EpollInterest::List() const {
  std::vector<Info> list;
  MutexLock lock(mu_);
  for (const auto& [key, item] : items_)
    list.push_back(Info{key.second, item->events_.load(std::memory_order_relaxed),
                        item->data_.load(std::memory_order_relaxed)});
  return list;
}

Result<RefPtr<FileDescription>> EpollInterest::Target(int fd, uint32_t nth) const {
  MutexLock lock(mu_);
  for (const auto& [key, item] : items_) {
    if (key.second != fd || nth-- > 0) continue;
    RefPtr<FileDescription> file = RefPtr<FileDescription>::TryFrom(item->file_);
    if (!file) return Errno(ENOENT);
    return file;
  }
  return Errno(ENOENT);
}

EpollFile::EpollFile()
    : FileDescription(AnonymousPath("anon_inode:[eventpoll]"), O_RDWR),
      interest_(MakeRef<EpollInterest>(*this)) {}

EpollFile::~EpollFile() { interest_->Close(); }

Result<void> EpollFile::AddNested(FileDescription& file, int fd, const epoll_event& event) {
  EpollNesting nesting;  // outlives the lock: it lets go of files
  MutexLock lock(NestingLock());
  if (auto* nested = dynamic_cast<EpollFile*>(&file)) RETURN_IF_ERROR(nesting.CheckDepth(*this, *nested));
  RETURN_IF_ERROR(interest_->Add(file, fd, event));
  Result<void> checked = nesting.CheckPaths(file);
  if (!checked.ok()) (void)interest_->Delete(file, fd);  // ENOENT: another thread was faster
  return checked;
}

Result<void> EpollFile::Control(int operation, RefPtr<FileDescription> file, int fd,
                                const epoll_event& event) {
  if (!file->CanBePolled()) return Errno(EPERM);
  if (file.get() == this) return Errno(EINVAL);
  auto* nested = dynamic_cast<EpollFile*>(file.get());
  if ((event.events & EPOLLEXCLUSIVE) != 0 && operation != EPOLL_CTL_DEL) {
    if (operation == EPOLL_CTL_MOD) return Errno(EINVAL);
    if (nested != nullptr || (event.events & ~kWithExclusive) != 0) return Errno(EINVAL);
  }
  switch (operation) {
    case EPOLL_CTL_ADD:
      if (nested == nullptr && !HasReleaseListeners()) return interest_->Add(*file, fd, event);
      return AddNested(*file, fd, event);
    case EPOLL_CTL_MOD:
      return interest_->Modify(*file, fd, event);
    case EPOLL_CTL_DEL:
      return interest_->Delete(*file, fd);
    default:
      return Errno(EINVAL);
  }
}

EventMask EpollFile::Readiness(EventMask mask) {
  return interest_->HasReady() ? mask & (EPOLLIN | EPOLLRDNORM) : 0;
}

}  // namespace runsc
