#include "sentry/syscalls/path_argument.h"

namespace runsc {

Result<PathArgument> ReadPathArgument(Task& task, int dirfd, UserPath path, bool may_be_empty) {
  PathArgument argument;
  ASSIGN_OR_RETURN(argument.text, task.ReadPath(path));
  if (argument.text.empty() && !may_be_empty) return Errno(ENOENT);  // whatever dirfd is
  argument.context = task.path_context();
  if (!argument.text.empty() && argument.text.front() == '/') {
    argument.start = argument.context.root;
    return argument;
  }
  if (dirfd == AT_FDCWD) {
    argument.start = argument.context.cwd;
    return argument;
  }
  ASSIGN_OR_RETURN(argument.start, task.StartOf(dirfd));
  return argument;
}

Result<VfsPath> WalkArgument(Task& task, int dirfd, UserPath path, const WalkOptions& options) {
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, dirfd, path, options.allow_empty));
  return Walk(argument.context, argument.start, argument.text, options);
}

WalkOptions WalkOptionsFor(int at_flags) {
  WalkOptions options;
  options.follow_final = (at_flags & AT_SYMLINK_NOFOLLOW) == 0;
  options.allow_empty = (at_flags & AT_EMPTY_PATH) != 0;
  options.no_automount = (at_flags & AT_NO_AUTOMOUNT) != 0;
  return options;
}

}  // namespace runsc
