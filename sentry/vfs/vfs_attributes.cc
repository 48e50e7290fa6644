// chmod, chown, truncate, utimensat and access: the rules of linux/fs/attr.c
// (setattr_prepare(), setattr_copy()) and fs/open.c.
#include "sentry/vfs/file_locks.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/path_walk.h"
#include "sentry/vfs/permission.h"

namespace runsc {

namespace {

Result<void> Apply(const VfsPath& path, const AttributeChange& change, uint32_t event) {
  RETURN_IF_ERROR(path.inode()->SetAttributes(*path.dentry, change));
  InotifyNotify(*path.dentry, event);
  return Ok();
}

}  // namespace

Result<void> VfsChmod(const PathContext& context, const VfsPath& path, uint32_t mode) {
  RefPtr<Inode> inode = path.inode();
  RETURN_IF_ERROR(CheckWritableMount(path));
  ASSIGN_OR_RETURN(InodeAttributes attributes, AccessAttributes(*inode));
  if (inode->IsSymlink()) return Errno(EOPNOTSUPP);
  if (!IsOwner(*context.creds, attributes)) return Errno(EPERM);
  mode &= 07777;
  if ((mode & S_ISGID) != 0 && !context.creds->InGroup(attributes.gid) &&
      !context.creds->HasCapabilityOver(attributes.uid, attributes.gid, CAP_FSETID))
    mode &= ~static_cast<uint32_t>(S_ISGID);
  AttributeChange change;
  change.mode = mode;
  return Apply(path, change, IN_ATTRIB);
}

Result<void> VfsChown(const PathContext& context, const VfsPath& path, Uid uid, Gid gid) {
  constexpr uint32_t kLeave = UINT32_MAX;
  const Credentials& creds = *context.creds;
  RefPtr<Inode> inode = path.inode();
  RETURN_IF_ERROR(CheckWritableMount(path));
  const Uid shown_uid = uid;
  const Gid shown_gid = gid;
  uid = creds.user_ns->ToKernelUid(uid);
  gid = creds.user_ns->ToKernelGid(gid);
  if ((uid == kNoId && shown_uid != kLeave) || (gid == kNoId && shown_gid != kLeave)) return Errno(EINVAL);
  ASSIGN_OR_RETURN(InodeAttributes attributes, AccessAttributes(*inode));
  bool owner = creds.fsuid == attributes.uid;
  bool capable = creds.HasCapabilityOver(attributes.uid, attributes.gid, CAP_CHOWN);
  if (uid != kLeave && !capable && !(owner && uid == attributes.uid)) return Errno(EPERM);
  if (gid != kLeave && !capable && !(owner && (gid == attributes.gid || creds.InGroup(gid))))
    return Errno(EPERM);
  AttributeChange change;
  if (uid != kLeave) change.uid = uid;
  if (gid != kLeave) change.gid = gid;
  if (!inode->IsDirectory() && !inode->IsSymlink() && (attributes.mode & (S_ISUID | S_ISGID)) != 0) {
    uint32_t mode = attributes.mode & 07777 & ~static_cast<uint32_t>(S_ISUID);
    bool keeps_group =
        (mode & S_IXGRP) == 0 && (creds.InGroup(attributes.gid) ||
                                  creds.HasCapabilityOver(attributes.uid, attributes.gid, CAP_FSETID));
    if (!keeps_group) mode &= ~static_cast<uint32_t>(S_ISGID);
    change.mode = mode;
  }
  return Apply(path, change, IN_ATTRIB);
}

Result<void> VfsTruncate(const PathContext& context, const VfsPath& path, uint64_t size) {
  RefPtr<Inode> inode = path.inode();
  if (inode->IsDirectory()) return Errno(EISDIR);
  if (!inode->IsRegular()) return Errno(EINVAL);
  RETURN_IF_ERROR(CheckWritableMount(path));
  RETURN_IF_ERROR(inode->CheckAccess(*context.creds, W_OK));
  ASSIGN_OR_RETURN(InodeAttributes attributes, inode->Attributes());
  if (FileLocks* locks = inode->locks_if_any(); locks != nullptr && locks->denies_writing())
    return Errno(ETXTBSY);
  RETURN_IF_ERROR(BreakLeases(*inode, true, false));
  if (size > context.file_size_limit && size > attributes.size) return Errno(EFBIG);
  AttributeChange change;
  change.size = size;
  change.mode = ModeWithoutSetIds(*context.creds, attributes);
  return Apply(path, change, IN_MODIFY);
}

Result<void> VfsUtimens(const PathContext& context, const VfsPath& path, std::optional<TimeChange> atime,
                        std::optional<TimeChange> mtime) {
  if (!atime && !mtime) return Ok();
  RefPtr<Inode> inode = path.inode();
  RETURN_IF_ERROR(CheckWritableMount(path));
  ASSIGN_OR_RETURN(InodeAttributes attributes, AccessAttributes(*inode));
  if (!IsOwner(*context.creds, attributes)) {
    bool both_now = atime && atime->now && mtime && mtime->now;
    if (!both_now) return Errno(EPERM);
    RETURN_IF_ERROR(inode->CheckAccess(*context.creds, W_OK));
  }
  AttributeChange change;
  change.atime = atime;
  change.mtime = mtime;
  return Apply(path, change, IN_ATTRIB);
}

Result<void> VfsAccess(const PathContext& context, const VfsPath& path, int mask) {
  RefPtr<Inode> inode = path.inode();
  if ((mask & X_OK) != 0 && inode->IsRegular() && path.mount && path.mount->no_exec()) return Errno(EACCES);
  if ((mask & 7) != 0) RETURN_IF_ERROR(inode->CheckAccess(*context.creds, mask));
  bool on_disk = inode->IsRegular() || inode->IsDirectory() || inode->IsSymlink();
  if ((mask & W_OK) != 0 && on_disk) return CheckWritableMount(path);
  return Ok();
}

}  // namespace runsc
