// Path arguments of system calls: the text, where it starts, and whose eyes it is seen with.
#ifndef SENTRY_SYSCALLS_PATH_ARGUMENT_H_
#define SENTRY_SYSCALLS_PATH_ARGUMENT_H_

#include <string>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

struct PathArgument {
  PathContext context;
  VfsPath start;
  std::string text;
};

// EFAULT, ENAMETOOLONG, ENOENT for an empty path, EBADF, in this order. A dirfd is not looked at when the
// path is absolute.
Result<PathArgument> ReadPathArgument(Task& task, int dirfd, UserPath path, bool may_be_empty = false);
// Reads the path and walks it.
Result<VfsPath> WalkArgument(Task& task, int dirfd, UserPath path, const WalkOptions& options = {});
// The walk that AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH and AT_NO_AUTOMOUNT ask for.
WalkOptions WalkOptionsFor(int at_flags);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_PATH_ARGUMENT_H_
