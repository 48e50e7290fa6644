// Tracee: how a task is traced, and whom it traces (ptrace(2)).
#ifndef SENTRY_KERNEL_TRACEE_H_
#define SENTRY_KERNEL_TRACEE_H_

#include "sentry/kernel/task.h"

namespace runsc {

class Tracee {
 public:
  explicit Tracee(Task& task) : task_(task) {}

 private:
  [[maybe_unused]] Task& task_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TRACEE_H_
