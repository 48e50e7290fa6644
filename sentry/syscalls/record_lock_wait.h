// Waiting for POSIX record locks, and the graph of waiters that finds deadlocks (EDEADLK).
#ifndef SENTRY_SYSCALLS_RECORD_LOCK_WAIT_H_
#define SENTRY_SYSCALLS_RECORD_LOCK_WAIT_H_

#include "sentry/kernel/task.h"
#include "sentry/vfs/file_locks.h"

namespace runsc {

// Sets `lock`, waiting for conflicting ones. EINTR-like restarts; EDEADLK if `detect_deadlock`
// (POSIX locks; not those of open file descriptions).
Result<void> WaitForRecordLock(Task& task, FileLocks& locks, const RecordLock& lock, bool detect_deadlock);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_RECORD_LOCK_WAIT_H_
