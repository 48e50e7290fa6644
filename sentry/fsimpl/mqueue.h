// The mqueue filesystem: the POSIX message queues of one IPC namespace as files. mq_open(2) finds them in
// an internal mount; mount(2) shows the same tree.
//
// Threading: any thread. Linux counterpart: ipc/mqueue.c; mq_overview(7).
#ifndef SENTRY_FSIMPL_MQUEUE_H_
#define SENTRY_FSIMPL_MQUEUE_H_

#include <atomic>
#include <map>
#include <memory>

#include "sentry/fsimpl/kernfs.h"
#include "sentry/ipc/ipc_namespace.h"
#include "sentry/ipc/posix_message_queue.h"
#include "sentry/kernel/kernel.h"

namespace runsc {

class MqueueRoot;

class MqueueFilesystem final : public Filesystem {
 public:
  // /proc/sys/fs/mqueue.
  struct Limits {
    std::atomic<int> queues{256};
    std::atomic<int> messages{10}, message_size{8192};                  // the most that may be asked for
    std::atomic<int> default_messages{10}, default_message_size{8192};  // where nothing is asked for
  };
  static constexpr int kHardMessages = 65536, kHardMessageSize = 16 << 20;

  std::string_view type_name() const override { return "mqueue"; }
  Result<FilesystemStats> Stats() override;

  Limits limits;

  // Counts a queue of `uid` that may take up `bytes`. ENOSPC, EMFILE (RLIMIT_MSGQUEUE, `user_limit`).
  Result<void> Charge(Uid uid, uint64_t bytes, uint64_t user_limit, bool privileged);
  void Uncharge(Uid uid, uint64_t bytes);

 private:
  Mutex mu_{LockRank::kLeaf};
  int queues_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<Uid, uint64_t> user_bytes_ ABSL_GUARDED_BY(mu_);
};

class MqueueInode final : public Inode {
 public:
  // The queue has been charged to `attributes.uid`.
  MqueueInode(MqueueFilesystem& filesystem, const CreateAttributes& attributes,
              const PosixMessageQueue::Limits& limits, uint64_t charged_bytes, IpcCharge charge);
  ~MqueueInode() override;
  PosixMessageQueue& queue() { return queue_; }
  uint64_t ino() const { return ino_; }

  Result<InodeAttributes> Attributes() override;
  Result<void> SetAttributes(Dentry& dentry, const AttributeChange& change) override;
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override;
  void Unlinked();

 private:
  const uint64_t ino_;
  const Uid charged_to_;
  const uint64_t charged_bytes_;  // to RLIMIT_MSGQUEUE
  const IpcCharge charge_;
  PosixMessageQueue queue_;
  Mutex mu_{LockRank::kInodeAttributes};
  InodeAttributes attributes_ ABSL_GUARDED_BY(mu_);
};

// An open queue. What can be read from it is a line about its state.
class MqueueFile final : public SeekableFile {
 public:
  MqueueFile(const VfsPath& path, int flags, RefPtr<MqueueInode> inode)
      : SeekableFile(path, flags), queue_inode_(std::move(inode)) {}
  PosixMessageQueue& queue() { return queue_inode_->queue(); }
  Result<size_t> PRead(IoSequence& to, uint64_t offset) override;
  Result<size_t> PWrite(IoSequence& from, uint64_t offset) override { return Errno(EINVAL); }
  EventMask Readiness(EventMask mask) override { return queue().Readiness(mask); }
  WaitQueue* wait_queue() override { return &queue().wait_queue(); }
  Result<void> Sync(bool data_only) override { return Errno(EINVAL); }
  // The process that closes it is not notified any more.
  Result<void> Flush() override;

 private:
  const RefPtr<MqueueInode> queue_inode_;
};

// The queues of a namespace; its root is a MqueueRoot.
RefPtr<Mount> MqueuesOf(IpcNamespace& ipc);
MqueueFilesystem& MqueueFilesystemOf(IpcNamespace& ipc);

struct NewQueue {
  uint32_t mode = 0;
  // What is asked for, or null.
  const PosixMessageQueue::Limits* limits = nullptr;
  uint64_t user_limit = UINT64_MAX;  // RLIMIT_MSGQUEUE
};
// Makes a queue in the root of `mount`. EEXIST, EINVAL, EMFILE, ENOSPC, ENOMEM.
Result<VfsPath> CreateQueue(const RefPtr<Mount>& mount, std::string_view name, const Credentials& creds,
                            const NewQueue& wanted);

std::unique_ptr<FilesystemType> MakeMqueueType(Kernel& kernel);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_MQUEUE_H_
