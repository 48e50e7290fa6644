// An O_PATH descriptor: a place in the tree that is held, not opened (open(2)).
#ifndef SENTRY_VFS_PATH_FILE_H_
#define SENTRY_VFS_PATH_FILE_H_

#include "sentry/vfs/file_description.h"

namespace runsc {

class PathFile final : public FileDescription {
 public:
  explicit PathFile(VfsPath path, int flags) : FileDescription(std::move(path), flags) {}
  Result<void> SetStatusFlags(int flags) override { return Errno(EBADF); }
};

}  // namespace runsc

#endif  // SENTRY_VFS_PATH_FILE_H_
