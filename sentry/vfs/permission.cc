#include "sentry/vfs/permission.h"

#include "sentry/vfs/file_locks.h"
#include "sentry/vfs/operation.h"

namespace runsc {

Result<InodeAttributes> AccessAttributes(Inode& inode) {
  IntentScope<bool> intent(asks_for_access_only, true);
  return inode.Attributes();
}

Result<void> CheckMayCreate(const Credentials& creds, const Dentry& dir, Inode& inode) {
  if (dir.IsDeleted()) return Errno(ENOENT);
  if (!inode.filesystem().HasOwners(creds.fsuid, creds.fsgid)) return Errno(EOVERFLOW);
  const UserNamespace& owner = inode.filesystem().user_ns();
  if (!owner.MapsUid(creds.fsuid) || !owner.MapsGid(creds.fsgid)) return Errno(EOVERFLOW);
  return inode.CheckAccess(creds, W_OK | X_OK);
}

Result<void> CheckMayDelete(const PathContext& context, const Dentry& dir, Inode& dir_inode,
                            const Dentry& victim, bool as_directory) {
  const Credentials& creds = *context.creds;
  RETURN_IF_ERROR(dir_inode.CheckAccess(creds, W_OK | X_OK));
  ASSIGN_OR_RETURN(InodeAttributes dir_attributes, AccessAttributes(dir_inode));
  if ((dir_attributes.mode & S_ISVTX) != 0 && !creds.HasCapability(CAP_FOWNER) &&
      creds.fsuid != dir_attributes.uid) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, AccessAttributes(*victim.borrow_inode()));
    if (creds.fsuid != attributes.uid && !creds.HasCapabilityOver(attributes.uid, attributes.gid, CAP_FOWNER))
      return Errno(EPERM);
  }
  if (victim.borrow_inode()->IsDirectory() != as_directory) return Errno(as_directory ? ENOTDIR : EISDIR);
  if (dir.IsDeleted()) return Errno(ENOENT);
  if (context.mounts->IsMountPoint(victim)) return Errno(EBUSY);
  return Ok();
}

Result<CreateAttributes> NewFileAttributes(const PathContext& context, Inode& dir, uint32_t mode,
                                           uint64_t rdev) {
  CreateAttributes attributes;
  attributes.mode = mode;
  PosixAcl::Ref inherited;
  if ((mode & S_IFMT) != S_IFLNK) inherited = dir.GetAcl(AclType::kDefault).value_or(PosixAcl::Ref());
  if (inherited) {
    attributes.access_acl = inherited->ForNewFile(&attributes.mode);
    if ((mode & S_IFMT) == S_IFDIR) attributes.default_acl = std::move(inherited);
  } else {
    attributes.mode &= ~(context.umask & 0777);
  }
  attributes.uid = context.creds->fsuid;
  attributes.gid = context.creds->fsgid;
  attributes.rdev = rdev;
  ASSIGN_OR_RETURN(InodeAttributes parent, AccessAttributes(dir));
  if ((parent.mode & S_ISGID) == 0) return attributes;
  attributes.gid = parent.gid;
  if ((mode & S_IFMT) == S_IFDIR) {
    attributes.mode |= S_ISGID;
  } else if ((attributes.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
             !context.creds->InGroup(parent.gid) &&
             !context.creds->HasCapabilityOver(parent.uid, parent.gid, CAP_FSETID)) {
    attributes.mode &= ~static_cast<uint32_t>(S_ISGID);
  }
  return attributes;
}

std::optional<uint32_t> ModeWithoutSetIds(const Credentials& creds, const InodeAttributes& attributes) {
  if ((attributes.mode & (S_ISUID | S_ISGID)) == 0 || creds.HasCapability(CAP_FSETID)) return std::nullopt;
  if ((attributes.mode & S_IFMT) != S_IFREG) return std::nullopt;
  uint32_t mode = attributes.mode & 07777 & ~static_cast<uint32_t>(S_ISUID);
  if ((mode & S_IXGRP) != 0) mode &= ~static_cast<uint32_t>(S_ISGID);
  if (mode == (attributes.mode & 07777)) return std::nullopt;
  return mode;
}

Result<void> BreakLeases(Inode& inode, bool for_writing, bool non_blocking) {
  FileLocks* locks = inode.locks_if_any();
  Leases* leases = locks != nullptr ? locks->leases_if_any() : nullptr;
  if (leases == nullptr || leases->Break(for_writing).ok()) return Ok();
  if (non_blocking) return Errno(EAGAIN);
  return wait_for_leases != nullptr ? wait_for_leases(*leases, for_writing) : Ok();
}

}  // namespace runsc
