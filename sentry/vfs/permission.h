// Permission rules that several operations of the vfs share.
//
// Internal to vfs. Linux counterpart: may_create(), may_delete(), inode_owner_or_capable()
// and mnt_want_write() of fs/namei.c and fs/inode.c.
#ifndef SENTRY_VFS_PERMISSION_H_
#define SENTRY_VFS_PERMISSION_H_

#include "sentry/vfs/path_walk.h"

namespace runsc {

inline Result<void> CheckWritableMount(const VfsPath& path) {
  // An overlay opens files of its layers, to which no mount leads.
  if (path.mount && path.mount->read_only()) return Errno(EROFS);
  return Ok();
}
inline bool IsOwner(const Credentials& creds, const InodeAttributes& attributes) {
  return creds.fsuid == attributes.uid || creds.HasCapabilityOverOwner(attributes.uid, CAP_FOWNER);
}
// The inode's attributes, of which the caller uses type, mode, uid and gid only.
Result<InodeAttributes> AccessAttributes(Inode& inode);
// ENOENT for a deleted directory, EACCES.
Result<void> CheckMayCreate(const Credentials& creds, const Dentry& dir, Inode& inode);
// Permission to take `victim` out of `dir`: EACCES, EPERM (sticky), ENOTDIR, EISDIR, EBUSY.
Result<void> CheckMayDelete(const PathContext& context, const Dentry& dir, Inode& dir_inode,
                            const Dentry& victim, bool as_directory);
// Mode, owner and group of a new file in `dir`, umask and set-group-ID rules applied.
Result<CreateAttributes> NewFileAttributes(const PathContext& context, Inode& dir, uint32_t mode,
                                           uint64_t rdev = 0);
// The permission bits that a write by `creds` leaves (Linux: should_remove_suid()).
std::optional<uint32_t> ModeWithoutSetIds(const Credentials& creds, const InodeAttributes& attributes);

// Before a file's bytes are used in a way that its leases (leases.h) have to be broken for. EAGAIN: with
// `non_blocking`, there are such leases.
Result<void> BreakLeases(Inode& inode, bool for_writing, bool non_blocking);

}  // namespace runsc

#endif  // SENTRY_VFS_PERMISSION_H_
