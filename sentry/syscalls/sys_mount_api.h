// The mount API of descriptors: open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2), fspick(2)
// and mount_setattr(2).
#ifndef SENTRY_SYSCALLS_SYS_MOUNT_API_H_
#define SENTRY_SYSCALLS_SYS_MOUNT_API_H_

#include <sys/mount.h>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

Result<int64_t> SysOpenTree(Task& task, DirFd dirfd, UserPath path, OpenTreeFlags flags);
Result<int64_t> SysMoveMount(Task& task, DirFd from_dirfd, UserPath from, DirFd to_dirfd, UserPath to,
                             MoveMountFlags flags);
Result<int64_t> SysFsopen(Task& task, UserCString type, FsopenFlags flags);
Result<int64_t> SysFsconfig(Task& task, Fd fd, FsconfigCommand command, UserCString key, UserAddr value,
                            int aux);
Result<int64_t> SysFsmount(Task& task, Fd fd, FsmountFlags flags, MountAttributes attributes);
Result<int64_t> SysFspick(Task& task, DirFd dirfd, UserPath path, FspickFlags flags);
Result<int64_t> SysMountSetattr(Task& task, DirFd dirfd, UserPath path, AtFlags flags,
                                UserPtr<const struct mount_attr> attributes, size_t size);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_MOUNT_API_H_
