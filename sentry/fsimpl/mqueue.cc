#include "sentry/fsimpl/mqueue.h"

#include <dirent.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>

#include "sentry/time/clock.h"
#include "sentry/vfs/path_walker.h"

#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif

namespace runsc {
namespace {

constexpr uint64_t kNameOverhead = 512;  // bytes that a queue's name and dentry may take up

// mqueue_get_inode(): what Linux's book-keeping of a queue may take up beside the texts, by RLIMIT_MSGQUEUE.
Result<uint64_t> BytesOf(const PosixMessageQueue::Limits& limits) {
  constexpr uint64_t kMessage = 48, kTreeNode = 48;  // struct msg_msg, struct posix_msg_tree_node
  uint64_t bytes;
  if (__builtin_mul_overflow(limits.messages, limits.message_size, &bytes)) return Errno(EOVERFLOW);
  uint64_t overhead =
      limits.messages * kMessage + std::min<uint64_t>(limits.messages, kPosixPriorities) * kTreeNode;
  if (__builtin_add_overflow(bytes, overhead, &bytes)) return Errno(EOVERFLOW);
  return bytes;
}

// mq_attr_ok()
Result<void> CheckLimits(const PosixMessageQueue::Limits& wanted, const MqueueFilesystem::Limits& limits,
                         bool privileged) {
  if (static_cast<int64_t>(wanted.messages) <= 0 || static_cast<int64_t>(wanted.message_size) <= 0)
    return Errno(EINVAL);
  uint64_t messages = privileged ? MqueueFilesystem::kHardMessages : static_cast<uint64_t>(limits.messages);
  uint64_t size =
      privileged ? MqueueFilesystem::kHardMessageSize : static_cast<uint64_t>(limits.message_size);
  if (wanted.messages > messages || wanted.message_size > size) return Errno(EINVAL);
  return Ok();
}

}  // namespace

class MqueueRoot final : public SyntheticDirectory {
 public:
  explicit MqueueRoot(MqueueFilesystem& filesystem) : SyntheticDirectory(filesystem, 01777) {}

  Result<RefPtr<Inode>> Lookup(Dentry& dir, std::string_view name) override {
    MutexLock lock(mu_);
    auto found = queues_.find(name);
    if (found == queues_.end()) return Errno(ENOENT);
    return RefPtr<Inode>(found->second);
  }
  Result<std::vector<SyntheticEntry>> Entries() override {
    MutexLock lock(mu_);
    std::vector<SyntheticEntry> entries;
    // Inode numbers grow: an entry keeps its position while others come and go.
    for (const auto& [name, inode] : queues_) entries.push_back({name, inode->ino(), DT_REG, inode->ino()});
    std::sort(entries.begin(), entries.end(),
              [](const SyntheticEntry& a, const SyntheticEntry& b) { return a.position < b.position; });
    return entries;
  }
  Result<RefPtr<Inode>> Create(Dentry& dir, std::string_view name,
                               const CreateAttributes& attributes) override {
    const MqueueFilesystem::Limits& limits = mqueue().limits;
    PosixMessageQueue::Limits wanted{
        static_cast<uint64_t>(std::min<int>(limits.default_messages, limits.messages)),
        static_cast<uint64_t>(std::min<int>(limits.default_message_size, limits.message_size))};
    Task* task = Task::CurrentOrNull();
    uint64_t user_limit = task != nullptr ? task->Limit(RLIMIT_MSGQUEUE) : UINT64_MAX;
    bool privileged = task == nullptr || task->creds().HasCapability(CAP_SYS_RESOURCE);
    ASSIGN_OR_RETURN(RefPtr<MqueueInode> made, Add(name, attributes, wanted, user_limit, privileged));
    return RefPtr<Inode>(std::move(made));
  }
  Result<void> Unlink(Dentry& dir, Dentry& child) override {
    RefPtr<MqueueInode> removed;
    std::string name = child.name();  // before the lock: a dentry's own comes first
    MutexLock lock(mu_);
    auto found = queues_.find(name);
    if (found == queues_.end()) return Errno(ENOENT);
    removed = std::move(found->second);
    queues_.erase(found);
    removed->Unlinked();
    return Ok();
  }

  Result<RefPtr<MqueueInode>> Add(std::string_view name, const CreateAttributes& attributes,
                                  const PosixMessageQueue::Limits& wanted, uint64_t user_limit,
                                  bool privileged) {
    MutexLock lock(mu_);
    if (queues_.contains(name)) return Errno(EEXIST);
    RETURN_IF_ERROR(CheckLimits(wanted, mqueue().limits, privileged));
    ASSIGN_OR_RETURN(uint64_t bytes, BytesOf(wanted));
    ASSIGN_OR_RETURN(IpcCharge charge, IpcCharge::Take(sizeof(MqueueInode) + kNameOverhead));
    RETURN_IF_ERROR(mqueue().Charge(attributes.uid, bytes, user_limit, privileged));
    auto inode = MakeRef<MqueueInode>(mqueue(), attributes, wanted, bytes, std::move(charge));
    queues_.emplace(std::string(name), inode);
    return inode;
  }
  MqueueFilesystem& mqueue() const { return static_cast<MqueueFilesystem&>(filesystem()); }

 private:
  Mutex mu_{LockRank::kIpc};
  std::map<std::string, RefPtr<MqueueInode>, std::less<>> queues_ ABSL_GUARDED_BY(mu_);
};

Result<FilesystemStats> MqueueFilesystem::Stats() {
  FilesystemStats stats;
  stats.type = MQUEUE_MAGIC;
  return stats;
}

Result<void> MqueueFilesystem::Charge(Uid uid, uint64_t bytes, uint64_t user_limit, bool privileged) {
  MutexLock lock(mu_);
  if (queues_ >= limits.queues && !privileged) return Errno(ENOSPC);
  uint64_t& used = user_bytes_[uid];
  uint64_t sum;
  if (__builtin_add_overflow(used, bytes, &sum) || sum > user_limit) return Errno(EMFILE);
  used = sum;
  ++queues_;
  return Ok();
}

void MqueueFilesystem::Uncharge(Uid uid, uint64_t bytes) {
  MutexLock lock(mu_);
  --queues_;
  auto found = user_bytes_.find(uid);
  if ((found->second -= bytes) == 0) user_bytes_.erase(found);
}

MqueueInode::MqueueInode(MqueueFilesystem& filesystem, const CreateAttributes& attributes,
                         const PosixMessageQueue::Limits& limits, uint64_t charged_bytes, IpcCharge charge)
    : Inode(filesystem, S_IFREG),
      ino_(filesystem.NextInodeNumber()),
      charged_to_(attributes.uid),
      charged_bytes_(charged_bytes),
      charge_(std::move(charge)),
      queue_(limits) {
  constexpr uint64_t kFileSize = 80;  // FILENT_SIZE
  attributes_.mode = S_IFREG | (attributes.mode & 0777);
  attributes_.uid = attributes.uid;
  attributes_.gid = attributes.gid;
  attributes_.ino = ino_;
  attributes_.device = filesystem.device();
  attributes_.size = kFileSize;
  attributes_.atime = attributes_.mtime = attributes_.ctime = RealtimeNow();
}

MqueueInode::~MqueueInode() {
  static_cast<MqueueFilesystem&>(filesystem()).Uncharge(charged_to_, charged_bytes_);
}

Result<InodeAttributes> MqueueInode::Attributes() {
  MutexLock lock(mu_);
  return attributes_;
}

Result<void> MqueueInode::SetAttributes(Dentry& dentry, const AttributeChange& change) {
  MutexLock lock(mu_);
  timespec now = RealtimeNow();
  if (change.mode) attributes_.mode = S_IFREG | (*change.mode & 07777);
  if (change.uid) attributes_.uid = *change.uid;
  if (change.gid) attributes_.gid = *change.gid;
  if (change.atime) attributes_.atime = change.atime->now ? now : change.atime->value;
  if (change.mtime) attributes_.mtime = change.mtime->now ? now : change.mtime->value;
  attributes_.ctime = now;
  return Ok();
}

void MqueueInode::Unlinked() {
  MutexLock lock(mu_);
  attributes_.nlink = 0;
  attributes_.ctime = RealtimeNow();
}

Result<RefPtr<FileDescription>> MqueueInode::Open(const VfsPath& path, const OpenOptions& options) {
  return RefPtr<FileDescription>(MakeRef<MqueueFile>(path, options.flags, RefPtr<MqueueInode>(this)));
}

Result<size_t> MqueueFile::PRead(IoSequence& to, uint64_t offset) {
  PosixMessageQueue::Status status = queue().status();
  int kind = 0, signal = 0, pid = 0;
  if (status.notice) {
    kind = status.notice->kind();
    if (kind == SIGEV_SIGNAL) signal = status.notice->signal();
    Task* task = Task::CurrentOrNull();
    if (task != nullptr) pid = task->pid_namespace().FromRoot(status.notice->owner());
  }
  std::string text = fmt::format("QSIZE:{:<10} NOTIFY:{:<5} SIGNO:{:<5} NOTIFY_PID:{:<6}\n", status.bytes,
                                 kind, signal, pid);
  if (offset >= text.size()) return size_t{0};
  return to.CopyOut(std::as_bytes(std::span(text)).subspan(offset));
}

Result<void> MqueueFile::Flush() {
  if (Task* task = Task::CurrentOrNull()) queue().RemoveNotice(task->thread_group().root_pid());
  return Ok();
}

namespace {

// Only an object can hang on the namespace: the mount, of which each mount(2) shows the root.
RefPtr<RefCounted> MakeInternalMount(const RefPtr<UserNamespace>& owner) {
  auto filesystem = MakeRef<MqueueFilesystem>();
  filesystem->set_user_ns(owner);
  auto root = MakeRef<Dentry>(*filesystem, MakeRef<MqueueRoot>(*filesystem), "/");
  return MakeRef<Mount>(std::move(filesystem), std::move(root), MS_NOSUID | MS_NODEV | MS_NOEXEC, "mqueue");
}

class MqueueType final : public FilesystemType {
 public:
  explicit MqueueType(Kernel& kernel) : kernel_(kernel) {}
  std::string_view name() const override { return "mqueue"; }
  bool may_be_mounted_by_all() const override { return true; }
  RefPtr<UserNamespace> Owner() const override { return kernel_.current_ipc_namespace()->user_ns(); }
  Result<NewFilesystem> Make(const FilesystemSource& source) override {
    RefPtr<Mount> mount = MqueuesOf(*kernel_.current_ipc_namespace());
    return NewFilesystem{RefPtr<Filesystem>(&mount->filesystem()), mount->root(), false};
  }

 private:
  Kernel& kernel_;
};

}  // namespace

RefPtr<Mount> MqueuesOf(IpcNamespace& ipc) {
  RefPtr<RefCounted> mount = ipc.QueueFilesystem([&] { return MakeInternalMount(ipc.user_ns()); });
  return RefPtr<Mount>(static_cast<Mount*>(mount.get()));
}

MqueueFilesystem& MqueueFilesystemOf(IpcNamespace& ipc) {
  // The namespace keeps it.
  return static_cast<MqueueFilesystem&>(MqueuesOf(ipc)->filesystem());
}

Result<VfsPath> CreateQueue(const RefPtr<Mount>& mount, std::string_view name, const Credentials& creds,
                            const NewQueue& wanted) {
  auto& root = static_cast<MqueueRoot&>(*mount->root()->borrow_inode());
  const MqueueFilesystem::Limits& limits = root.mqueue().limits;
  PosixMessageQueue::Limits asked{
      static_cast<uint64_t>(std::min<int>(limits.default_messages, limits.messages)),
      static_cast<uint64_t>(std::min<int>(limits.default_message_size, limits.message_size))};
  if (wanted.limits != nullptr) asked = *wanted.limits;
  CreateAttributes attributes{S_IFREG | wanted.mode, creds.fsuid, creds.fsgid, 0};
  MutexLock lock(root.directory_lock());
  ASSIGN_OR_RETURN(RefPtr<Dentry> child, LookupChildLocked(*mount->root(), root, name));
  if (!child->IsNegative()) return Errno(EEXIST);
  ASSIGN_OR_RETURN(RefPtr<MqueueInode> made, root.Add(name, attributes, asked, wanted.user_limit,
                                                      creds.HasCapability(CAP_SYS_RESOURCE)));
  child->Instantiate(std::move(made));
  return VfsPath{mount, std::move(child)};
}

std::unique_ptr<FilesystemType> MakeMqueueType(Kernel& kernel) {
  return std::make_unique<MqueueType>(kernel);
}

}  // namespace runsc
