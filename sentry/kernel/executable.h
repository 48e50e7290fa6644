// Finds the program of execve(2) and opens it.
#ifndef SENTRY_KERNEL_EXECUTABLE_H_
#define SENTRY_KERNEL_EXECUTABLE_H_

#include <string_view>

#include "sentry/vfs/path_walk.h"

namespace runsc {

// Nobody may open it for writing while the description lives; ETXTBSY: somebody has.
// EACCES: not a regular file, no execute permission, or a noexec mount; else as path_resolution(7).
Result<RefPtr<FileDescription>> OpenExecutable(const PathContext& context, const VfsPath& start,
                                               std::string_view path, const WalkOptions& options);

}  // namespace runsc

#endif  // SENTRY_KERNEL_EXECUTABLE_H_
