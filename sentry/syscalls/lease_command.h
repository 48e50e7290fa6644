// fcntl(2)'s leases, and the waiting of those who break them. Linux counterpart: fcntl_setlease(),
// __break_lease().
#ifndef SENTRY_SYSCALLS_LEASE_COMMAND_H_
#define SENTRY_SYSCALLS_LEASE_COMMAND_H_

#include "sentry/kernel/task.h"
#include "sentry/vfs/leases.h"
#include "sentry/vfs/operation.h"

namespace runsc {

// F_RDLCK, F_WRLCK or F_UNLCK.
int64_t GetLease(FileDescription& file);
// EAGAIN, EACCES, EINVAL.
Result<int64_t> SetLease(Task& task, int fd, FileDescription& file, int type);

// In its scope the calling task waits for leases that it breaks.
Result<void> WaitForLeases(Leases& leases, bool for_writing);
class LeaseWaitScope : IntentScope<LeaseWaiter> {
 public:
  LeaseWaitScope() : IntentScope(wait_for_leases, WaitForLeases) {}
};

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_LEASE_COMMAND_H_
