// mount(2), umount2(2) and pivot_root(2).
#ifndef SENTRY_SYSCALLS_SYS_MOUNT_H_
#define SENTRY_SYSCALLS_SYS_MOUNT_H_

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysMount(Task& task, UserCString source, UserPath target, UserCString type, MountFlags flags,
                         UserAddr data);
Result<int64_t> SysUmount2(Task& task, UserPath target, UmountFlags flags);
Result<int64_t> SysPivotRoot(Task& task, UserPath new_root, UserPath put_old);

// Whether the caller may change its mount namespace. EPERM.
Result<void> CheckMayMount(Task& task);
// EINVAL if `from` is the file of the caller's mount namespace or of an older one: mounted there, it would
// keep itself alive (Linux: mnt_ns_loop()).
Result<void> CheckNamespaceLoop(const PathContext& context, const VfsPath& from);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_MOUNT_H_
