#include "sentry/syscalls/lease_command.h"

#include "sentry/kernel/async_io.h"
#include "sentry/vfs/file_locks.h"

namespace runsc {
namespace {

// Tells the file's owner (F_SETOWN) with its signal (F_SETSIG).
class SignalledHolder final : public LeaseHolder {
 public:
  SignalledHolder(RefPtr<AsyncIo> io, int fd) : io_(std::move(io)), fd_(fd) {}
  void OnBreak() override { io_->SendLeaseBreak(fd_); }
  void OnRemoved() override { io_->ForgetOwner(); }

 private:
  const RefPtr<AsyncIo> io_;
  const int fd_;
};

}  // namespace

int64_t GetLease(FileDescription& file) {
  Leases* leases = file.inode()->locks().leases_if_any();
  if (leases == nullptr) return F_UNLCK;
  switch (leases->Get(file.lock_owner())) {
    case LeaseType::kRead:
      return F_RDLCK;
    case LeaseType::kWrite:
      return F_WRLCK;
    case LeaseType::kNone:
      break;
  }
  return F_UNLCK;
}

Result<int64_t> SetLease(Task& task, int fd, FileDescription& file, int type) {
  if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK) return Errno(EINVAL);
  RefPtr<Inode> inode = file.inode();
  ASSIGN_OR_RETURN(InodeAttributes attributes, file.Attributes());
  if (task.creds().fsuid != attributes.uid && !task.creds().HasCapability(CAP_LEASE)) return Errno(EACCES);
  if (!inode->IsRegular()) return Errno(EINVAL);
  Leases& leases = inode->locks().leases();
  if (type == F_UNLCK) {
    RETURN_IF_ERROR(leases.Remove(file.lock_owner()));
    return 0;
  }
  if (Leases::enabled.load() == 0) return Errno(EINVAL);
  RefPtr<AsyncIo> io = AsyncIo::FindOrMake(file);
  RETURN_IF_ERROR(leases.Set(file.lock_owner(), file.writable(),
                             type == F_RDLCK ? LeaseType::kRead : LeaseType::kWrite,
                             MakeRef<SignalledHolder>(io, fd), task.thread_group().pid()));
  io->SetOwnerIfNone({.process = RefPtr<ThreadGroup>(&task.thread_group())}, task.creds());
  return 0;
}

Result<void> WaitForLeases(Leases& leases, bool for_writing) {
  Task& task = Task::Current();
  ScopedWait wait(task, leases.wait_queue(), EPOLLIN);
  for (;;) {
    Deadline next = Deadline::Never();
    if (leases.Check(for_writing, &next).ok()) return Ok();
    Result<void> blocked = task.Block(next);
    if (!blocked.ok() && !blocked.is(ETIMEDOUT)) return blocked;
  }
}

}  // namespace runsc
