// What a vfork parent waits for: its child has left the shared memory (execve, exit).
#ifndef SENTRY_KERNEL_VFORK_DONE_H_
#define SENTRY_KERNEL_VFORK_DONE_H_

#include <atomic>

#include "sentry/kernel/task.h"

namespace runsc {

struct Task::VforkDone final : RefCounted {
  explicit VforkDone(Task& task) : parent(&task) {}
  const RefPtr<Task> parent;
  std::atomic<bool> done{false};
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_VFORK_DONE_H_
