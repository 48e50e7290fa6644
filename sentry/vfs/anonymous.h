// Files without a place in any tree: pipes, sockets, eventfd, epoll, memfd.
// They hang on one kernel-internal filesystem, as Linux's anon_inode, pipefs
// and sockfs do.
#ifndef SENTRY_VFS_ANONYMOUS_H_
#define SENTRY_VFS_ANONYMOUS_H_

#include <string>

#include "sentry/vfs/mount.h"

namespace runsc {

// An inode of the given type with fixed attributes that cannot be opened by
// name. For eventfd and friends: AnonymousPath("anon_inode:[eventfd]"). For
// pipes and sockets: "pipe:[N]" with S_IFIFO, "socket:[N]" with S_IFSOCK; N is
// the inode number, put in for "%" in `name`: `ino`, or if that is 0 a new one.
VfsPath AnonymousPath(std::string_view name, uint32_t mode = 0600, Uid uid = 0, Gid gid = 0,
                      uint64_t ino = 0);
// The same around an inode of one's own (memfd, a pipe's inode).
VfsPath AnonymousPath(std::string_view name, RefPtr<Inode> inode);
Filesystem& AnonymousFilesystem();

}  // namespace runsc

#endif  // SENTRY_VFS_ANONYMOUS_H_
