// The file tree of a sandbox as its first process finds it: the root filesystem from the
// Gofer beneath an overlay, /proc, /sys, /dev and the volumes.
#ifndef SENTRY_BOOT_MOUNT_TREE_H_
#define SENTRY_BOOT_MOUNT_TREE_H_

#include <string>

#include "sentry/boot/boot.h"
#include "sentry/fsimpl/gofer_filesystem.h"
#include "sentry/kernel/kernel.h"

namespace runsc {

// Makes what mount(2) may name, and the devices that nodes lead to. Before the first task.
void RegisterFilesystemsAndDevices(Kernel& kernel, const CgroupSettings& settings);

// On failure `wrong` says which mount. `pid_namespace` is what /proc shows; null: the first one.
Result<RefPtr<MountNamespace>> BuildMountTree(Kernel& kernel, const RefPtr<GoferConnection>& gofer,
                                              const BootOptions& options, std::string* wrong,
                                              RefPtr<PidNamespace> pid_namespace = nullptr);

}  // namespace runsc

#endif  // SENTRY_BOOT_MOUNT_TREE_H_
