// sysfs: the few files that programs look for: processors, huge pages, network interfaces; and the
// directory that cgroup filesystems are mounted on.
// Threading: any thread; nothing changes. Linux counterpart: fs/sysfs; sysfs(5).
#ifndef SENTRY_FSIMPL_SYS_H_
#define SENTRY_FSIMPL_SYS_H_

#include <memory>

#include "sentry/kernel/kernel.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

NewFilesystem MakeSys(Kernel& kernel);
std::unique_ptr<FilesystemType> MakeSysType(Kernel& kernel);

}  // namespace runsc

#endif  // SENTRY_FSIMPL_SYS_H_
