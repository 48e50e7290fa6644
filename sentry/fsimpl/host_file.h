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
#include <span>
#include <vector>

#include "sentry/fsimpl/host_backing_file.h"
#include "sentry/kernel/process_group.h"
#include "sentry/kernel/terminal.h"
#include "sentry/vfs/file_description.h"
#include "sentry/vfs/inode.h"

namespace runsc {

// What the kernel knows of a host terminal: its guest foreground process group.
class HostTerminal final : public Terminal {
 public:
  explicit HostTerminal(uint64_t device) : device_(device) {}
  uint64_t device() const override { return device_; }
  // /dev/tty: another open file on the descriptor that came first.
  Result<RefPtr<FileDescription>> OpenFile(int flags) override;
  void SetInode(class HostInode* inode);
  void ForgetInode(const class HostInode& inode);  // before it goes

 private:
  const uint64_t device_;
  Mutex inode_mu_{LockRank::kLeaf};
  class HostInode* inode_ ABSL_GUARDED_BY(inode_mu_) = nullptr;
};

struct ImportedFiles {
  std::vector<RefPtr<FileDescription>> files;  // in the order of the descriptors; null where one is -1
  RefPtr<Terminal> terminal;                   // of the first one that is a terminal, or null
};
// Takes the descriptors over. EINVAL: one of them is none.
Result<ImportedFiles> ImportHostFiles(std::vector<UniqueFd> fds);

class HostInode final : public Inode {
 public:
  HostInode(Filesystem& filesystem, UniqueFd fd, const struct stat& stat, int flags,
            RefPtr<Terminal> terminal);

  int fd() const { return file_->host_fd(); }
  HostBackingFile& file() const { return *file_; }
  const RefPtr<Terminal>& terminal() const { return terminal_; }
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

 protected:
  void OnLastRelease() override;

 private:
  ssize_t ReadBlocks(std::span<const iovec> blocks);
  ssize_t WriteBlocks(std::span<const iovec> blocks);

  const RefPtr<HostBackingFile> file_;
  const uint64_t ino_;
  const int flags_;
  const RefPtr<Terminal> terminal_;
  std::atomic<bool> takes_no_wait_{true};  // RWF_NOWAIT works on it
  WaitQueue wait_queue_;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_HOST_FILE_H_
