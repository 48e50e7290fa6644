// EpollFile: an interest list of open files, and the list of those that may be ready. epoll(7).
//
// Interest does not keep a file open: an item goes when its file's last reference does, which the
// file tells through FileReleaseListener.
//
// Threading: any thread. `mu_` (kEpoll) guards the interest list; `ready_mu_` (a leaf) the ready list,
// because files notify items under their own locks. Files are polled without either, holding a
// reference on the file.
// Linux counterpart: fs/eventpoll.c.
#ifndef SENTRY_FSIMPL_EPOLL_H_
#define SENTRY_FSIMPL_EPOLL_H_

#include <sys/epoll.h>

#include <list>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "platform/base/mutex.h"
#include "sentry/vfs/anonymous.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class EpollFile;

// The part that files and notifications refer to; it may outlive the EpollFile for a moment.
class EpollInterest final : public FileReleaseListener {
 public:
  explicit EpollInterest(EpollFile& file);
  ~EpollInterest() override;

  Result<void> Add(FileDescription& file, int fd, const epoll_event& event);
  Result<void> Modify(FileDescription& file, int fd, const epoll_event& event);
  Result<void> Delete(FileDescription& file, int fd);
  // Up to `max` events that are ready now.
  std::vector<epoll_event> Collect(size_t max);
  bool HasReady();
  WaitQueue& wait_queue() { return wait_queue_; }
  void OnFileReleased(FileDescription& file) override;
  void Close();
  RefPtr<EpollFile> file() const;  // null: it is closed

  // Those that are in it; some may be on their way out.
  std::vector<RefPtr<FileDescription>> Files() const;
  struct Info {
    int fd = -1;
    uint32_t events = 0;
    uint64_t data = 0;
  };
  std::vector<Info> List() const;  // /proc/pid/fdinfo
  // The file that was added `nth` (from 0) of those that were descriptor `fd`, and are not closed. ENOENT.
  Result<RefPtr<FileDescription>> Target(int fd, uint32_t nth) const;

 private:
  class Item;
  using Key = std::pair<const FileDescription*, int>;  // of one file together: what its end looks for
  void MarkReady(Item& item);
  // Unlinks it from everything; called with mu_ held, after it has left `items_`.
  void Detach(Item& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CheckNow(Item& item, FileDescription& file);

  WaitQueue wait_queue_;
  mutable Mutex mu_{LockRank::kEpoll};
  EpollFile* file_ ABSL_GUARDED_BY(mu_);
  absl::btree_map<Key, RefPtr<Item>> items_ ABSL_GUARDED_BY(mu_);
  Mutex ready_mu_{LockRank::kLeaf};
  std::list<Item*> ready_ ABSL_GUARDED_BY(ready_mu_);
};

class EpollFile final : public FileDescription {
 public:
  EpollFile();
  ~EpollFile() override;

  // epoll_ctl(2). EEXIST, ENOENT, EPERM, EINVAL, ELOOP (nested too deep, or in a circle), ENOSPC.
  Result<void> Control(int operation, RefPtr<FileDescription> file, int fd, const epoll_event& event);
  // Events that are ready now; then wait on wait_queue() for EPOLLIN, exclusively.
  std::vector<epoll_event> Collect(size_t max) { return interest_->Collect(max); }

  Result<int64_t> Seek(int64_t offset, int whence) override { return 0; }  // Linux: noop_llseek()
  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) override {
    return Errno(EINVAL);  // Linux 6.9: ep_eventpoll_ioctl()
  }
  EventMask Readiness(EventMask mask) override;
  WaitQueue* wait_queue() override { return &interest_->wait_queue(); }
  std::vector<EpollInterest::Info> List() const { return interest_->List(); }
  std::vector<RefPtr<FileDescription>> Files() const { return interest_->Files(); }
  Result<RefPtr<FileDescription>> Target(int fd, uint32_t nth) const { return interest_->Target(fd, nth); }

 private:
  Result<void> AddNested(FileDescription& file, int fd, const epoll_event& event);
  const RefPtr<EpollInterest> interest_;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_EPOLL_H_
