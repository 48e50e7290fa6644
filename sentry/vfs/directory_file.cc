#include "sentry/vfs/directory_file.h"

#include <dirent.h>

namespace runsc {

Result<int64_t> DirectoryFile::Seek(int64_t offset, int whence) {
  MutexLock lock(offset_mu_);
  int64_t base = 0;
  if (whence == SEEK_CUR) {
    base = static_cast<int64_t>(offset_);
  } else if (whence != SEEK_SET) {
    return Errno(EINVAL);
  }
  int64_t target = 0;
  if (__builtin_add_overflow(base, offset, &target)) return Errno(EINVAL);
  if (target < 0) return Errno(EINVAL);
  offset_ = static_cast<uint64_t>(target);
  return target;
}

Result<void> DirectoryFile::GetDents(DirectoryEmitter& emitter) {
  if (dentry()->IsDeleted()) return Errno(ENOENT);
  RefPtr<Dentry> parent = dentry()->parent();  // before the lock: a dentry's own comes first
  MutexLock lock(offset_mu_);
  uint64_t position = offset_;
  if (position < kFirstPosition) {
    ASSIGN_OR_RETURN(InodeAttributes self, inode()->Attributes());
    uint64_t parent_ino = self.ino;
    if (parent && path().mount && dentry() != path().mount->root()) {
      ASSIGN_OR_RETURN(InodeAttributes above, parent->inode()->Attributes());
      parent_ino = above.ino;
    }
    if (position == 0) {
      if (!emitter.Emit(DirectoryEntry{".", self.ino, DT_DIR, 1})) return Ok();
      offset_ = position = 1;
    }
    if (!emitter.Emit(DirectoryEntry{"..", parent_ino, DT_DIR, 2})) return Ok();
    offset_ = position = 2;
  }
  ASSIGN_OR_RETURN(offset_, Iterate(position, emitter));
  return Ok();
}

}  // namespace runsc
