// O_PATH descriptors: a place in a tree that is held, not opened (open(2)).
#ifndef SENTRY_VFS_PATH_FILE_H_
#define SENTRY_VFS_PATH_FILE_H_

#include "sentry/vfs/file_description.h"

namespace runsc {

class PathFile : public FileDescription {
 public:
  explicit PathFile(VfsPath path, int flags) : FileDescription(std::move(path), flags) {}
  Result<void> SetStatusFlags(int flags) override { return Errno(EBADF); }
};

// The root of a detached tree of mounts (open_tree(2), fsmount(2)), which ends with this open file unless it
// has been mounted by then (Linux: FMODE_NEED_UNMOUNT, dissolve_on_fput()).
class DetachedTreeFile final : public PathFile {
 public:
  explicit DetachedTreeFile(RefPtr<MountNamespace> tree)
      : PathFile(tree->Root(), O_PATH), tree_(std::move(tree)) {}

 private:
  const RefPtr<MountNamespace> tree_;
};

}  // namespace runsc

#endif  // SENTRY_VFS_PATH_FILE_H_
