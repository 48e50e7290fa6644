// inotify(7): instances with a queue of events, and the watches that inodes carry.
//
// An instance (InotifyFile) owns its watches; an inode's list points to them weakly.
// The hooks below are called by the vfs and the system call layer after an operation
// succeeded; while no watch exists anywhere they cost one relaxed load.
// Threading: any thread. `mu_` of an inode's list before `mu_` of an instance.
// Linux counterpart: fs/notify/inotify.
#ifndef SENTRY_VFS_INOTIFY_H_
#define SENTRY_VFS_INOTIFY_H_

#include <sys/inotify.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class InotifyFile;

// One watch: an inode as one instance looks at it.
class InotifyWatch final : public RefCounted {
 public:
  InotifyWatch(InotifyFile& instance, int descriptor, uint32_t mask, RefPtr<Inode> inode)
      : descriptor_(descriptor), instance_(&instance), inode_(std::move(inode)), mask_(mask) {}
  int descriptor() const { return descriptor_; }

 private:
  friend class InotifyFile;
  friend class InotifyWatches;
  const int descriptor_;
  InotifyFile* const instance_;  // reached through TryFrom under the list's lock only
  const RefPtr<Inode> inode_;
  std::atomic<uint32_t> mask_;
};

// The watches of one inode.
class InotifyWatches {
 public:
  // `name` is empty for an event on the inode itself.
  void Notify(uint32_t event, uint32_t cookie, std::string_view name);
  // The inode is gone: IN_DELETE_SELF (or IN_UNMOUNT), then IN_IGNORED.
  void NotifyGone(uint32_t event);

 private:
  friend class InotifyFile;
  Mutex mu_{LockRank::kInodeAttributes};
  std::vector<RefPtr<InotifyWatch>> watches_ ABSL_GUARDED_BY(mu_);
};

class InotifyFile final : public FileDescription {
 public:
  // /proc/sys/fs/inotify; the second one is for each instance.
  static constexpr int kMaxUserInstances = 8192;
  static constexpr size_t kMaxWatches = 65536;
  static constexpr size_t kMaxQueuedEvents = 16384;

  // `flags`: O_NONBLOCK. EMFILE: the user has kMaxUserInstances.
  static Result<RefPtr<InotifyFile>> Create(int flags, uint32_t uid);
  ~InotifyFile() override;

  // Watch descriptor. ENOSPC, EEXIST (IN_MASK_CREATE), EINVAL.
  Result<int> AddWatch(const RefPtr<Inode>& inode, uint32_t mask);
  Result<void> RemoveWatch(int descriptor);

  Result<size_t> Read(IoSequence& to) override;
  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) override;
  Result<int64_t> Seek(int64_t offset, int whence) override { return 0; }  // Linux: noop_llseek()
  EventMask Readiness(EventMask mask) override;
  WaitQueue* wait_queue() override { return &wait_queue_; }
  // Takes every event without giving it to anybody; how many were about an entry of a directory.
  size_t DiscardEvents();
  // /proc/pid/fdinfo's lines.
  struct WatchInfo {
    int descriptor;
    uint32_t mask;
    RefPtr<Inode> inode;
  };
  std::vector<WatchInfo> Watches();

 protected:
  void OnLastRelease() override;

 private:
  friend class InotifyWatches;
  struct Event {
    int descriptor;
    uint32_t mask;
    uint32_t cookie;
    std::string name;
    size_t size() const;  // as read(2) gives it
  };
  InotifyFile(int flags, uint32_t uid);
  void Queue(int descriptor, uint32_t mask, uint32_t cookie, std::string_view name);
  void Forget(int descriptor);  // the inode side has dropped the watch

  const uint32_t uid_;  // whose limit it counts for
  Mutex mu_{LockRank::kLeaf};
  std::deque<Event> events_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<int, RefPtr<InotifyWatch>> watches_ ABSL_GUARDED_BY(mu_);
  int next_descriptor_ ABSL_GUARDED_BY(mu_) = 1;
  WaitQueue wait_queue_;
};

namespace inotify_internal {
extern std::atomic<int64_t> watch_count;
void Notify(const Dentry& dentry, uint32_t event);
void NotifyEntry(const Inode& dir, uint32_t event, std::string_view name, bool is_directory, uint32_t cookie);
}  // namespace inotify_internal

inline bool InotifyActive() { return inotify_internal::watch_count.load(std::memory_order_relaxed) != 0; }
// An event on the file at `dentry`: told to its own watches and, with the name, to its directory's.
inline void InotifyNotify(const Dentry& dentry, uint32_t event) {
  if (InotifyActive()) inotify_internal::Notify(dentry, event);
}
// An event on an entry of `dir` (IN_CREATE, IN_DELETE, IN_MOVED_*).
inline void InotifyNotifyEntry(const Inode& dir, uint32_t event, std::string_view name, bool is_directory,
                               uint32_t cookie = 0) {
  if (InotifyActive()) inotify_internal::NotifyEntry(dir, event, name, is_directory, cookie);
}
uint32_t NextInotifyCookie();
// The last name of an inode went and nobody has it open.
void InotifyInodeGone(const Inode& inode);

}  // namespace runsc

#endif  // SENTRY_VFS_INOTIFY_H_
