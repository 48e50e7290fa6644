// The file tree of a container below its root filesystem: the mounts of its config.json, devices, and the
// paths that are hidden or read-only.
#ifndef SENTRY_BOOT_CONTAINER_TREE_H_
#define SENTRY_BOOT_CONTAINER_TREE_H_

#include <string>

#include "sentry/boot/boot.h"
#include "sentry/boot/tree_builder.h"
#include "sentry/fsimpl/gofer_filesystem.h"

namespace runsc {

// `options.container` is there. On failure `wrong` says which part.
Result<void> BuildContainerTree(TreeBuilder& builder, const RefPtr<GoferConnection>& gofer,
                                const BootOptions& options, std::string* wrong);

// The terminal that the first process has is /dev/console as well.
Result<void> BindConsole(Kernel& kernel, const RefPtr<MountNamespace>& mounts, const Terminal& terminal);

}  // namespace runsc

#endif  // SENTRY_BOOT_CONTAINER_TREE_H_
