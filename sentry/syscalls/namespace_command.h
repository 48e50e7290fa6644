// ioctl_ns(2): how namespaces are related.
#ifndef SENTRY_SYSCALLS_NAMESPACE_COMMAND_H_
#define SENTRY_SYSCALLS_NAMESPACE_COMMAND_H_

#include "sentry/kernel/namespace_handle.h"
#include "sentry/kernel/task.h"

namespace runsc {

// ENOTTY: none of its requests.
Result<int64_t> NamespaceCommand(Task& task, const NamespaceHandle& handle, uint64_t request,
                                 UserAddr argument);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_NAMESPACE_COMMAND_H_
