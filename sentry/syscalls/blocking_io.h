// The one loop in which a system call waits for a file: files say EAGAIN, this waits.
#ifndef SENTRY_SYSCALLS_BLOCKING_IO_H_
#define SENTRY_SYSCALLS_BLOCKING_IO_H_

#include "sentry/kernel/task.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

// Calls `operation` until it returns anything but EAGAIN, waiting on `queue` for `events` in
// between. ERESTARTSYS when a signal came, ETIMEDOUT at the deadline.
template <typename Operation>
auto BlockOnQueue(Task& task, WaitQueue& queue, EventMask events, Deadline deadline, Operation operation)
    -> decltype(operation()) {
  ScopedWait wait(task, queue, events);
  for (;;) {
    auto result = operation();
    if (!result.is(EAGAIN)) return result;
    RETURN_IF_ERROR(task.Block(deadline));
  }
}

// The same for an open file, unless it is O_NONBLOCK. The first try costs no registration.
template <typename Operation>
auto BlockOnFile(Task& task, FileDescription& file, EventMask events, Deadline deadline, Operation operation)
    -> decltype(operation()) {
  auto result = operation();
  if (!result.is(EAGAIN) || file.non_blocking()) return result;
  WaitQueue* queue = file.wait_queue();
  if (queue == nullptr) return result;
  return BlockOnQueue(task, *queue, events, deadline, operation);
}

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_BLOCKING_IO_H_
