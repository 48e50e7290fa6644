// The guest's standard streams and other descriptors that whoever started the sandbox
// gave it: pipes, terminals, sockets, regular files. They stay host descriptors, shared with
// the host's processes: their file offsets, O_APPEND and O_NONBLOCK are the host's and
// are never changed behind its back.
//
// A host descriptor is never waited on by a task: a read or write that would block says
// EAGAIN, and HostPoller tells when to try again.
// Threading: any thread. Linux counterpart: none.
#ifndef SENTRY_FSIMPL_HOST_FILE_H_
#define SENTRY_FSIMPL_HOST_FILE_H_

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "sentry/fsimpl/host_backing_file.h"
#include "sentry/fsimpl/host_job.h"
#include "sentry/kernel/process_group.h"
#include "sentry/kernel/terminal.h"
#include "sentry/vfs/file_description.h"
#include "sentry/vfs/inode.h"

namespace runsc {

class HostInode;

// What the kernel knows of a host terminal: its guest foreground process group, and who else types on it.
class HostTerminal final : public Terminal {
 public:
  HostTerminal(uint64_t host_device, RefPtr<HostJob> job)
      : host_device_(host_device), device_(host_device), job_(std::move(job)) {}
  uint64_t host_device() const { return host_device_; }
  // The number by which the guest knows it.
  uint64_t device() const override { return device_; }
  void SetDevice(uint64_t device) { device_ = device; }  // before the first task
  // /dev/tty, or its own node: another open file on the first descriptor that allows `flags`. EACCES, ENXIO.
  Result<RefPtr<FileDescription>> OpenFile(int flags) override;
  void AddInode(HostInode& inode);
  void ForgetInode(const HostInode& inode);  // before it goes

  // Whether the host would call the whole sandbox a background job of this terminal. ERESTARTSYS.
  Result<bool> IsHostBackground(Task& task, bool to_change);
  // CheckBackground among the guest's jobs and, with those, among the host's.
  Result<void> CheckUse(Task& task, int signal, bool to_change = false);

 private:
  const uint64_t host_device_;
  uint64_t device_;
  const RefPtr<HostJob> job_;  // null: always in the foreground
  Mutex inode_mu_{LockRank::kLeaf};
  std::vector<HostInode*> inodes_ ABSL_GUARDED_BY(inode_mu_);
};

struct ImportOptions {
  // Gives a terminal a name and a device number in the guest; without a path it has none.
  std::function<VfsPath(const RefPtr<HostTerminal>&)> place_terminal;
  RefPtr<HostJob> job;
  // Whose they are in the guest, which knows nothing of the host's users.
  std::optional<std::pair<uint32_t, uint32_t>> owner;
};
struct ImportedFiles {
  std::vector<RefPtr<FileDescription>> files;  // in the order of the descriptors; null where one is -1
  RefPtr<Terminal> terminal;                   // of the first one that is a terminal, or null
};
// Takes the descriptors over. EINVAL: one of them is none.
Result<ImportedFiles> ImportHostFiles(std::vector<UniqueFd> fds, const ImportOptions& options = {});

class HostInode final : public Inode {
 public:
  HostInode(Filesystem& filesystem, UniqueFd fd, const struct stat& stat, int flags,
            RefPtr<HostTerminal> terminal, VfsPath terminal_path,
            std::optional<std::pair<uint32_t, uint32_t>> owner = {});

  int fd() const { return file_->host_fd(); }
  HostBackingFile& file() const { return *file_; }
  const RefPtr<HostTerminal>& terminal() const { return terminal_; }
  // How the guest names it: the terminal's node, or a name of its own.
  VfsPath NewPath();
  int host_flags() const { return flags_; }
  bool IsSocket() const { return file_type() == S_IFSOCK; }
  WaitQueue& wait_queue() { return wait_queue_; }

  Result<InodeAttributes> Attributes() override;
  // Truncation of regular files only.
  Result<void> SetAttributes(Dentry& dentry, const AttributeChange& change) override;
  Result<RefPtr<FileDescription>> Open(const VfsPath& path, const OpenOptions& options) override;
  Result<Translation> Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) override {
    return file_->Translate(offset, max_length, access);
  }

  // One try at the descriptor's own offset. EAGAIN; then the poller is armed.
  Result<size_t> TryRead(IoSequence& to);
  Result<size_t> TryWrite(IoSequence& from);
  EventMask Readiness(EventMask mask);
  void WatchEdges();

 protected:
  void OnLastRelease() override;

 private:
  ssize_t ReadBlocks(std::span<const iovec> blocks);
  ssize_t WriteBlocks(std::span<const iovec> blocks);
  // What the caller is told of a host call's errno; arms the poller if it would have blocked.
  Errno Failed(int error, EventMask wait_for);

  const RefPtr<HostBackingFile> file_;
  const uint64_t ino_;
  const int flags_;
  const RefPtr<HostTerminal> terminal_;
  const VfsPath terminal_path_;
  const std::optional<std::pair<uint32_t, uint32_t>> owner_;  // uid and gid; else the host's
  std::atomic<bool> takes_no_wait_{true};                     // RWF_NOWAIT works on it
  WaitQueue wait_queue_;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_HOST_FILE_H_
