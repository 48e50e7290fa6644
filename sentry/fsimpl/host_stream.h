// The open files of host descriptors: streams (pipes, terminals, sockets, odd devices) and
// what has an offset (regular files).
#ifndef SENTRY_FSIMPL_HOST_STREAM_H_
#define SENTRY_FSIMPL_HOST_STREAM_H_

#include <memory>

#include "sentry/fsimpl/host_file.h"
#include "sentry/time/timer_queue.h"

namespace runsc {

class HostStream final : public FileDescription {
 public:
  HostStream(const VfsPath& path, int flags, RefPtr<HostInode> inode);

  Result<size_t> Read(IoSequence& to) override;
  Result<size_t> Write(IoSequence& from) override;
  EventMask Readiness(EventMask mask) override { return host_->Readiness(mask); }
  WaitQueue* wait_queue() override { return &host_->wait_queue(); }
  void WatchEdges() override { host_->WatchEdges(); }
  // Terminals (ioctl_tty(2)): what concerns the device goes to the host; sessions and
  // process groups are the guest's own.
  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) override;

  HostInode& host() const { return *host_; }

 private:
  Result<size_t> TerminalRead(Task& task, IoSequence& to);
  Timer& NewOrOldTimer(Task& task);

  const RefPtr<HostInode> host_;  // a terminal's path leads to its node instead
  // When a read with VMIN 0 and VTIME gives up, monotonic; INT64_MAX: none is waiting.
  std::atomic<int64_t> read_deadline_{INT64_MAX};
  Mutex timer_mu_{LockRank::kLeaf};
  std::unique_ptr<Timer> timer_ ABSL_GUARDED_BY(timer_mu_);  // stays once it is made
};

// Reads and writes at the offset that it shares with the host's processes.
class HostSeekable final : public FileDescription {
 public:
  HostSeekable(const VfsPath& path, int flags, HostInode& inode)
      : FileDescription(path, flags), host_(inode) {}

  Result<size_t> Read(IoSequence& to) override;
  Result<size_t> Write(IoSequence& from) override;
  Result<size_t> PRead(IoSequence& to, uint64_t offset) override { return host_.file().PRead(to, offset); }
  Result<size_t> PWrite(IoSequence& from, uint64_t offset) override {
    return host_.file().PWrite(from, offset);
  }
  Result<int64_t> Seek(int64_t offset, int whence) override;
  bool has_offset() const override { return true; }
  Result<void> Sync(bool data_only) override { return host_.file().Sync(data_only); }
  Result<void> Allocate(int mode, uint64_t offset, uint64_t length) override {
    return host_.file().Allocate(mode, offset, length);
  }
  Result<RefPtr<MappedObject>> ConfigureMMap(int prot, bool shared) override;

 private:
  HostInode& host_;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_HOST_STREAM_H_
