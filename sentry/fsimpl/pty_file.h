// The open files of a pseudo-terminal's two sides.
#ifndef SENTRY_FSIMPL_PTY_FILE_H_
#define SENTRY_FSIMPL_PTY_FILE_H_

#include "sentry/fsimpl/pty.h"

namespace runsc {

class PtyMaster final : public FileDescription {
 public:
  PtyMaster(VfsPath path, int flags, RefPtr<Pty> pty)
      : FileDescription(std::move(path), flags), pty_(std::move(pty)) {}
  ~PtyMaster() override { pty_->CloseMaster(); }
  Result<size_t> Read(IoSequence& to) override { return pty_->MasterRead(to); }
  Result<size_t> Write(IoSequence& from) override { return pty_->MasterWrite(from); }
  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) override {
    return pty_->MasterIoctl(memory, request, argument, flags());
  }
  EventMask Readiness(EventMask mask) override {
    return pty_->MasterReadiness() & (mask | EPOLLERR | EPOLLHUP);
  }
  WaitQueue* wait_queue() override { return &pty_->master_queue_; }

 private:
  const RefPtr<Pty> pty_;
};

class PtyReplica final : public FileDescription {
 public:
  PtyReplica(VfsPath path, int flags, RefPtr<Pty> pty);
  ~PtyReplica() override { pty_->CloseReplica(); }
  Result<size_t> Read(IoSequence& to) override;
  Result<size_t> Write(IoSequence& from) override;
  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) override {
    return pty_->Ioctl(memory, request, argument, Pty::Side::kReplica);
  }
  EventMask Readiness(EventMask mask) override {
    return pty_->ReplicaReadiness() & (mask | EPOLLERR | EPOLLHUP);
  }
  WaitQueue* wait_queue() override { return &pty_->replica_queue_; }

 private:
  const RefPtr<Pty> pty_;
  // When a read with VTIME gives up; INT64_MAX: none is waiting.
  std::atomic<int64_t> read_deadline_{INT64_MAX};
  Timer timer_;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_PTY_FILE_H_
