// The operations of the vfs on paths. Each takes the place to start from and
// the path's text; permission checks, symlinks, mounts, trailing slashes and
// open(2)'s rules are here, once, for every filesystem.
//
// Threading: any thread; PathContext is a copy of one task's view.
// Linux counterpart: fs/namei.c; path_resolution(7).
#ifndef SENTRY_VFS_PATH_WALK_H_
#define SENTRY_VFS_PATH_WALK_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "sentry/vfs/file_description.h"
#include "sentry/vfs/mount.h"

namespace runsc {

// Whose eyes a path is seen with.
struct PathContext {
  RefPtr<MountNamespace> mounts;
  VfsPath root;
  VfsPath cwd;
  RefPtr<const Credentials> creds;
  uint32_t umask = 022;
  uint64_t file_size_limit = UINT64_MAX;  // RLIMIT_FSIZE
};

struct WalkOptions {
  bool follow_final = true;  // a symlink as the last component
  bool must_be_directory = false;
  bool allow_empty = false;  // AT_EMPTY_PATH
  uint64_t resolve = 0;      // openat2(2)'s RESOLVE_*
  bool no_automount = false;
};

// `start` is the working directory or the directory of a dirfd; absolute paths
// go from context.root. ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG, EXDEV
// (RESOLVE_*).
Result<VfsPath> Walk(const PathContext& context, const VfsPath& start, std::string_view path,
                     const WalkOptions& options = {});

struct OpenHow {  // openat2(2)'s struct open_how, checked by VfsOpen
  uint64_t flags = 0;
  uint64_t mode = 0;
  uint64_t resolve = 0;
};
// EINVAL: what open(2) says before it looks at the path.
Result<void> CheckOpenFlags(const OpenHow& how);
Result<RefPtr<FileDescription>> VfsOpen(const PathContext& context, const VfsPath& start,
                                        std::string_view path, const OpenHow& how);
// Opens what a walk found (execve, magic links, do_filp_open by path).
Result<RefPtr<FileDescription>> VfsOpenPath(const PathContext& context, const VfsPath& path, int flags);

Result<void> VfsMkdir(const PathContext& context, const VfsPath& start, std::string_view path, uint32_t mode);
// EPERM for a directory, EINVAL for what is no type: what mknod(2) says before it looks at the path.
Result<void> CheckMknodMode(uint32_t mode);
Result<void> VfsMknod(const PathContext& context, const VfsPath& start, std::string_view path, uint32_t mode,
                      uint64_t rdev);
// As VfsMknod for S_IFSOCK, and says where it is (bind(2) of a unix socket).
// EADDRINUSE if it exists.
Result<VfsPath> VfsBindSocket(const PathContext& context, std::string_view path, uint32_t mode);
Result<void> VfsSymlink(const PathContext& context, std::string_view target, const VfsPath& start,
                        std::string_view path);
Result<void> VfsLink(const PathContext& context, const VfsPath& target, const VfsPath& start,
                     std::string_view path);
Result<void> VfsUnlink(const PathContext& context, const VfsPath& start, std::string_view path);
Result<void> VfsRmdir(const PathContext& context, const VfsPath& start, std::string_view path);
// EINVAL: what renameat2(2) says before it looks at the paths.
Result<void> CheckRenameFlags(uint32_t flags);
// Walks to what would hold the last component of `path`.
Result<void> VfsCheckParent(const PathContext& context, const VfsPath& start, std::string_view path);
Result<void> VfsRename(const PathContext& context, const VfsPath& old_start, std::string_view old_path,
                       const VfsPath& new_start, std::string_view new_path, uint32_t flags);

// chmod, chown, truncate, utimensat on a place, with their permission rules.
Result<void> VfsChmod(const PathContext& context, const VfsPath& path, uint32_t mode);
// Ids of the caller's namespace; -1 (UINT32_MAX): leave. EINVAL: one without a mapping.
Result<void> VfsChown(const PathContext& context, const VfsPath& path, Uid uid, Gid gid);
Result<void> VfsTruncate(const PathContext& context, const VfsPath& path, uint64_t size);
Result<void> VfsUtimens(const PathContext& context, const VfsPath& path, std::optional<TimeChange> atime,
                        std::optional<TimeChange> mtime);
// Read, write, execute by fsuid/fsgid (the caller puts real ids there for
// access(2)). EROFS, ETXTBSY.
Result<void> VfsAccess(const PathContext& context, const VfsPath& path, int mask);
// Permission rules of xattr(7) (user.* on regular files and directories,
// trusted.* with CAP_SYS_ADMIN).
Result<std::string> VfsGetXattr(const PathContext& context, const VfsPath& path, std::string_view name);
Result<void> VfsSetXattr(const PathContext& context, const VfsPath& path, std::string_view name,
                         std::string_view value, int flags);
Result<std::vector<std::string>> VfsListXattrs(const PathContext& context, const VfsPath& path);
Result<void> VfsRemoveXattr(const PathContext& context, const VfsPath& path, std::string_view name);

}  // namespace runsc

#endif  // SENTRY_VFS_PATH_WALK_H_
