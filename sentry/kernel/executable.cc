#include "sentry/kernel/executable.h"

#include <unistd.h>

namespace runsc {

Result<RefPtr<FileDescription>> OpenExecutable(const PathContext& context, const VfsPath& start,
                                               std::string_view path, const WalkOptions& options) {
  ASSIGN_OR_RETURN(VfsPath found, Walk(context, start, path, options));
  RefPtr<Inode> inode = found.inode();
  if (!inode) return Errno(ENOENT);
  if (inode->IsSymlink()) return Errno(ELOOP);  // AT_SYMLINK_NOFOLLOW
  if (!inode->IsRegular() || found.mount->no_exec()) return Errno(EACCES);
  RETURN_IF_ERROR(inode->CheckAccess(*context.creds, X_OK));
  // A program may be executable without being readable: the kernel itself reads it.
  PathContext as_kernel = context;
  as_kernel.creds = Credentials::Root();
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, VfsOpenPath(as_kernel, found, O_RDONLY));
  // Who made a memfd may write it all the same: its first description does not count (Linux: alloc_file()).
  const bool is_memfd = !found.dentry->parent();
  if (!is_memfd) RETURN_IF_ERROR(file->DenyWriting());
  return file;
}

}  // namespace runsc
