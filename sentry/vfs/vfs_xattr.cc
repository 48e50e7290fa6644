// Extended attributes: the rules of xattr(7) and linux/fs/xattr.c's xattr_permission().
#include <linux/capability.h>
#include <linux/xattr.h>

#include <cstring>
#include <optional>

#include "sentry/vfs/inotify.h"
#include "sentry/vfs/path_walk.h"
#include "sentry/vfs/permission.h"

namespace runsc {

namespace {

bool HasPrefix(std::string_view name, std::string_view prefix) {
  return name.substr(0, prefix.size()) == prefix;
}

std::optional<AclType> AclTypeOf(std::string_view name) {
  if (name == XATTR_NAME_POSIX_ACL_ACCESS) return AclType::kAccess;
  if (name == XATTR_NAME_POSIX_ACL_DEFAULT) return AclType::kDefault;
  return std::nullopt;
}

Result<void> CheckName(std::string_view name) {
  if (name.empty() || name.size() > XATTR_NAME_MAX) return Errno(ERANGE);
  for (std::string_view prefix : {"user.", "trusted.", "security.", "system."}) {
    if (!HasPrefix(name, prefix)) continue;
    if (name.size() == prefix.size()) return Errno(EINVAL);
    return prefix == "system." ? Result<void>(Errno(EOPNOTSUPP)) : Ok();
  }
  return Errno(EOPNOTSUPP);
}

// What Linux says of a name that no handler knows: permission to write comes first (xattr_permission()).
Result<void> CheckKnownName(const PathContext& context, Inode& inode, std::string_view name) {
  Result<void> known = CheckName(name);
  const bool unknown_prefix = known.is(EOPNOTSUPP) && !HasPrefix(name, "system.");
  if (unknown_prefix) RETURN_IF_ERROR(inode.CheckAccess(*context.creds, W_OK));
  return known;
}

// Linux: validheader() of security/commoncap.c.
Result<void> CheckFileCapabilities(std::string_view value) {
  vfs_ns_cap_data data{};
  if (value.size() > sizeof(data)) return Errno(EINVAL);
  std::memcpy(&data, value.data(), value.size());
  uint32_t revision = data.magic_etc & VFS_CAP_REVISION_MASK;
  bool valid = (value.size() == XATTR_CAPS_SZ_2 && revision == VFS_CAP_REVISION_2) ||
               (value.size() == XATTR_CAPS_SZ_3 && revision == VFS_CAP_REVISION_3);
  return valid ? Ok() : Result<void>(Errno(EINVAL));
}

// A value names the root user of the namespace in which it counts. None (the second revision): that of
// `files`, whose filesystem it is.
bool NamesRoot(std::string_view value) { return value.size() == XATTR_CAPS_SZ_3; }
Uid RootOfFileCapabilities(std::string_view value, const UserNamespace& files) {
  vfs_ns_cap_data data{};
  std::memcpy(&data, value.data(), std::min(value.size(), sizeof(data)));
  return NamesRoot(value) ? data.rootid : files.RootUid();
}

std::string FileCapabilitiesFor(std::string_view value, std::optional<Uid> root) {
  vfs_ns_cap_data data{};
  std::memcpy(&data, value.data(), std::min(value.size(), size_t{XATTR_CAPS_SZ_2}));
  data.magic_etc &= ~uint32_t{VFS_CAP_REVISION_MASK};
  data.magic_etc |= root ? VFS_CAP_REVISION_3 : VFS_CAP_REVISION_2;
  data.rootid = root.value_or(0);
  return std::string(reinterpret_cast<const char*>(&data), root ? XATTR_CAPS_SZ_3 : XATTR_CAPS_SZ_2);
}

// What is kept of the value that somebody gives a file. Linux: cap_convert_nscap().
Result<std::string> KeepFileCapabilities(std::string_view value, const Inode& inode,
                                         const Credentials& creds) {
  const UserNamespace& files = inode.filesystem().user_ns();
  if (!NamesRoot(value) && creds.HasCapabilityIn(files, CAP_SETFCAP)) return std::string(value);
  const Uid root = creds.user_ns->ToKernelUid(NamesRoot(value) ? RootOfFileCapabilities(value, files) : 0);
  if (root == kNoId || !files.MapsUid(root)) return Errno(EINVAL);
  return FileCapabilitiesFor(value, root);
}

// What is shown of it. Linux: cap_inode_getsecurity().
Result<std::string> ShowFileCapabilities(std::string value, const UserNamespace& files,
                                         const UserNamespace& viewer) {
  if (!CheckFileCapabilities(value).ok()) return value;
  const Uid root = RootOfFileCapabilities(value, files);
  const Uid shown = viewer.FromKernelUid(root);
  if (shown != kNoId && shown != 0) return FileCapabilitiesFor(value, shown);
  if (!viewer.IsRootHereOrAbove(root)) return Errno(EOVERFLOW);
  return FileCapabilitiesFor(value, std::nullopt);
}

Result<void> CheckPermission(const PathContext& context, Inode& inode, std::string_view name, bool write) {
  const Credentials& creds = *context.creds;
  if (HasPrefix(name, "security.")) {
    if (!write) return Ok();
    if (name != XATTR_NAME_CAPS)
      return creds.HasCapabilityIn(inode.filesystem().user_ns(), CAP_SYS_ADMIN) ? Ok()
                                                                                : Result<void>(Errno(EPERM));
    ASSIGN_OR_RETURN(InodeAttributes attributes, AccessAttributes(inode));
    return creds.HasCapabilityOver(attributes.uid, attributes.gid, CAP_SETFCAP) ? Ok()
                                                                                : Result<void>(Errno(EPERM));
  }
  if (HasPrefix(name, "trusted.")) {
    if (!creds.HasCapability(CAP_SYS_ADMIN)) return Errno(write ? EPERM : ENODATA);
    return Ok();
  }
  if (!inode.IsRegular() && !inode.IsDirectory()) return Errno(write ? EPERM : ENODATA);
  if (write && inode.IsDirectory()) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, inode.Attributes());
    if ((attributes.mode & S_ISVTX) != 0 && !IsOwner(creds, attributes)) return Errno(EPERM);
  }
  return inode.CheckAccess(creds, write ? W_OK : R_OK);
}

Result<std::string> GetAcl(Inode& inode, AclType type, const UserNamespace& viewer) {
  if (inode.IsSymlink()) return Errno(EOPNOTSUPP);
  ASSIGN_OR_RETURN(PosixAcl::Ref acl, inode.GetAcl(type));
  if (!acl) return Errno(ENODATA);
  return acl->ToXattr(viewer);
}

// Linux: vfs_set_acl(), set_posix_acl(), posix_acl_update_mode(). A null list removes what is there.
Result<void> SetAcl(const PathContext& context, const VfsPath& path, AclType type, PosixAcl::Ref acl) {
  Inode& inode = *path.dentry->borrow_inode();
  const Credentials& creds = *context.creds;
  RETURN_IF_ERROR(inode.IsSymlink() ? Result<PosixAcl::Ref>(Errno(EOPNOTSUPP)) : inode.GetAcl(type));
  if (type == AclType::kDefault && !inode.IsDirectory()) return acl ? Result<void>(Errno(EACCES)) : Ok();
  ASSIGN_OR_RETURN(InodeAttributes attributes, AccessAttributes(inode));
  if (!IsOwner(creds, attributes)) return Errno(EPERM);
  std::optional<uint32_t> mode;
  if (acl) {
    RETURN_IF_ERROR(acl->Validate());
    if (type == AclType::kAccess) {
      mode = attributes.mode & 07777;
      if (!acl->UpdateMode(&*mode)) acl = nullptr;
      if (!creds.InGroup(attributes.gid) &&
          !creds.HasCapabilityOver(attributes.uid, attributes.gid, CAP_FSETID))
        *mode &= ~static_cast<uint32_t>(S_ISGID);
    }
  }
  RETURN_IF_ERROR(inode.SetAcl(*path.dentry, type, std::move(acl), mode));
  InotifyNotify(*path.dentry, IN_ATTRIB);
  return Ok();
}

}  // namespace

Result<std::string> VfsGetXattr(const PathContext& context, const VfsPath& path, std::string_view name) {
  RefPtr<Inode> inode = path.inode();
  if (std::optional<AclType> type = AclTypeOf(name)) return GetAcl(*inode, *type, *context.creds->user_ns);
  RETURN_IF_ERROR(CheckName(name));
  RETURN_IF_ERROR(CheckPermission(context, *inode, name, false));
  if (name != XATTR_NAME_CAPS) return inode->GetXattr(name);
  ASSIGN_OR_RETURN(std::string value, inode->GetXattr(name));
  return ShowFileCapabilities(std::move(value), inode->filesystem().user_ns(), *context.creds->user_ns);
}

Result<void> VfsSetXattr(const PathContext& context, const VfsPath& path, std::string_view name,
                         std::string_view value, int flags) {
  if (std::optional<AclType> type = AclTypeOf(name)) {
    RETURN_IF_ERROR(CheckWritableMount(path));
    PosixAcl::Ref acl;
    if (!value.empty()) {
      ASSIGN_OR_RETURN(acl, PosixAcl::Parse(value, *context.creds->user_ns));
    }
    return SetAcl(context, path, *type, std::move(acl));
  }
  RETURN_IF_ERROR(CheckWritableMount(path));
  RefPtr<Inode> inode = path.inode();
  RETURN_IF_ERROR(CheckKnownName(context, *inode, name));
  RETURN_IF_ERROR(CheckPermission(context, *inode, name, true));
  std::string converted;
  if (name == XATTR_NAME_CAPS) {
    RETURN_IF_ERROR(CheckFileCapabilities(value));
    ASSIGN_OR_RETURN(converted, KeepFileCapabilities(value, *inode, *context.creds));
    value = converted;
  }
  RETURN_IF_ERROR(inode->SetXattr(*path.dentry, name, value, flags));
  InotifyNotify(*path.dentry, IN_ATTRIB);
  return Ok();
}

Result<std::vector<std::string>> VfsListXattrs(const PathContext& context, const VfsPath& path) {
  RefPtr<Inode> inode = path.inode();
  ASSIGN_OR_RETURN(std::vector<std::string> others, inode->ListXattrs());
  std::vector<std::string> names;
  if (inode->GetAcl(AclType::kAccess).value_or(PosixAcl::Ref())) names.push_back(XATTR_NAME_POSIX_ACL_ACCESS);
  if (inode->GetAcl(AclType::kDefault).value_or(PosixAcl::Ref()))
    names.push_back(XATTR_NAME_POSIX_ACL_DEFAULT);
  for (std::string& name : others) {
    // (Lists of the host's do not count here.)
    if (!HasPrefix(name, "system.")) names.push_back(std::move(name));
  }
  if (!context.creds->HasCapability(CAP_SYS_ADMIN))
    std::erase_if(names, [](const std::string& name) { return HasPrefix(name, "trusted."); });
  return names;
}

Result<void> VfsRemoveXattr(const PathContext& context, const VfsPath& path, std::string_view name) {
  RETURN_IF_ERROR(CheckWritableMount(path));
  if (std::optional<AclType> type = AclTypeOf(name)) return SetAcl(context, path, *type, nullptr);
  RefPtr<Inode> inode = path.inode();
  RETURN_IF_ERROR(CheckKnownName(context, *inode, name));
  RETURN_IF_ERROR(CheckPermission(context, *inode, name, true));
  RETURN_IF_ERROR(inode->RemoveXattr(*path.dentry, name));
  InotifyNotify(*path.dentry, IN_ATTRIB);
  return Ok();
}

}  // namespace runsc
