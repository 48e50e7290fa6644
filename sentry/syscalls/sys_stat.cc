#include "sentry/syscalls/sys_stat.h"

#include <linux/securebits.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "sentry/syscalls/path_argument.h"
#include "sentry/vfs/anonymous.h"

namespace runsc {

namespace {

Result<int64_t> CopyOutStat(Task& task, const InodeAttributes& attributes, UserPtr<struct stat> to) {
  struct stat out;
  std::memset(&out, 0, sizeof(out));
  out.st_dev = attributes.device;
  out.st_ino = attributes.ino;
  out.st_nlink = attributes.nlink;
  out.st_mode = attributes.mode;
  const UserNamespace& viewer = *task.creds().user_ns;
  out.st_uid = viewer.VisibleUid(attributes.uid);
  out.st_gid = viewer.VisibleGid(attributes.gid);
  out.st_rdev = attributes.rdev;
  out.st_size = static_cast<off_t>(attributes.size);
  out.st_blksize = attributes.block_size;
  out.st_blocks = static_cast<blkcnt_t>(attributes.blocks);
  out.st_atim = attributes.atime;
  out.st_mtim = attributes.mtime;
  out.st_ctim = attributes.ctime;
  RETURN_IF_ERROR(task.memory().Write(to, out));
  return 0;
}

statx_timestamp ToStatx(const timespec& time) {
  statx_timestamp out{};
  out.tv_sec = time.tv_sec;
  out.tv_nsec = static_cast<uint32_t>(time.tv_nsec);
  return out;
}

Result<int64_t> CopyOutStatx(Task& task, const InodeAttributes& attributes, const VfsPath& path,
                             UserPtr<struct statx> to) {
  constexpr uint32_t kMountId = 0x1000;             // STATX_MNT_ID
  constexpr uint64_t kAttributeMountRoot = 0x2000;  // STATX_ATTR_MOUNT_ROOT
  struct statx out;
  std::memset(&out, 0, sizeof(out));
  out.stx_mask = STATX_BASIC_STATS | kMountId;
  out.stx_blksize = attributes.block_size;
  // What the vfs of Linux knows of whatever the filesystem is: also STATX_ATTR_DAX.
  out.stx_attributes_mask = kAttributeMountRoot | STATX_ATTR_AUTOMOUNT | 0x200000;
  if (path.dentry == path.mount->root()) out.stx_attributes |= kAttributeMountRoot;
  out.stx_nlink = attributes.nlink;
  const UserNamespace& viewer = *task.creds().user_ns;
  out.stx_uid = viewer.VisibleUid(attributes.uid);
  out.stx_gid = viewer.VisibleGid(attributes.gid);
  out.stx_mode = static_cast<uint16_t>(attributes.mode);
  out.stx_ino = attributes.ino;
  out.stx_size = attributes.size;
  out.stx_blocks = attributes.blocks;
  out.stx_atime = ToStatx(attributes.atime);
  out.stx_mtime = ToStatx(attributes.mtime);
  out.stx_ctime = ToStatx(attributes.ctime);
  if (attributes.has_btime) {
    out.stx_mask |= STATX_BTIME;
    out.stx_btime = ToStatx(attributes.btime);
  }
  out.stx_rdev_major = major(attributes.rdev);
  out.stx_rdev_minor = minor(attributes.rdev);
  out.stx_dev_major = major(attributes.device);
  out.stx_dev_minor = minor(attributes.device);
  uint64_t mount_id = static_cast<uint64_t>(path.mount->id());
  std::memcpy(reinterpret_cast<char*>(&out) + 0x90, &mount_id, sizeof(mount_id));  // stx_mnt_id
  RETURN_IF_ERROR(task.memory().Write(to, out));
  return 0;
}

Result<int64_t> StatPath(Task& task, int dirfd, UserPath path, UserPtr<struct stat> to, int flags) {
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, dirfd, path, WalkOptionsFor(flags)));
  ASSIGN_OR_RETURN(InodeAttributes attributes, found.inode()->Attributes());
  return CopyOutStat(task, attributes, to);
}

// Whether the call is really about a descriptor: AT_EMPTY_PATH with "" (the path is read once more
// by the walk; both readings are harmless).
Result<bool> IsEmptyPath(Task& task, UserPath path, int flags) {
  if ((flags & AT_EMPTY_PATH) == 0) return false;
  if (path.is_null()) return true;  // since Linux 6.11
  ASSIGN_OR_RETURN(std::string text, task.ReadPath(path));
  return text.empty();
}

Result<int64_t> CopyOutStatfs(Task& task, const VfsPath& path, UserPtr<struct statfs> to) {
  Filesystem& filesystem = path.inode()->filesystem();
  const uint64_t mount_flags = path.mount ? path.mount->flags() : 0;
  ASSIGN_OR_RETURN(FilesystemStats stats, filesystem.Stats());
  struct statfs out;
  std::memset(&out, 0, sizeof(out));
  // Pipes and sockets have filesystems of their own in Linux: pipefs and sockfs.
  constexpr uint64_t kPipefs = 0x50495045, kSockfs = 0x534f434b;
  if (&filesystem == &AnonymousFilesystem()) {
    if (path.inode()->file_type() == S_IFIFO) stats.type = kPipefs;
    if (path.inode()->file_type() == S_IFSOCK) stats.type = kSockfs;
  }
  out.f_type = static_cast<decltype(out.f_type)>(stats.type);
  out.f_bsize = static_cast<decltype(out.f_bsize)>(stats.block_size);
  out.f_frsize = out.f_bsize;
  out.f_blocks = stats.blocks;
  out.f_bfree = stats.blocks_free;
  out.f_bavail = stats.blocks_available;
  out.f_files = stats.files;
  out.f_ffree = stats.files_free;
  uint64_t device = filesystem.device();
  out.f_fsid.__val[0] = static_cast<int>(device);
  out.f_fsid.__val[1] = static_cast<int>(device >> 32);
  out.f_namelen = static_cast<decltype(out.f_namelen)>(stats.name_max);
  constexpr uint64_t kValid = 0x20;  // ST_VALID
  uint64_t flags = mount_flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS | MS_NOATIME |
                                  MS_NODIRATIME);
  if (filesystem.is_read_only()) flags |= MS_RDONLY;
  if ((mount_flags & MS_NOSYMFOLLOW) != 0) flags |= 0x2000;  // ST_NOSYMFOLLOW
  // The ST_* bits are those of mount(2) up to MS_SYNCHRONOUS; these two are not.
  out.f_flags =
      static_cast<decltype(out.f_flags)>(flags | kValid | ((mount_flags & MS_RELATIME) != 0 ? 0x1000 : 0));
  RETURN_IF_ERROR(task.memory().Write(to, out));
  return 0;
}

Result<int64_t> DoAccess(Task& task, int dirfd, UserPath path, int mode, int flags) {
  if ((mode & ~(R_OK | W_OK | X_OK)) != 0) return Errno(EINVAL);
  if ((flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return Errno(EINVAL);
  const bool may_be_empty = (flags & AT_EMPTY_PATH) != 0;
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, dirfd, path, may_be_empty));
  const Credentials& now = task.creds();
  bool same = now.ruid == now.fsuid && now.rgid == now.fsgid;
  const bool is_root = now.ruid == now.user_ns->RootUid();
  if ((flags & AT_EACCESS) == 0 && !(same && now.effective == now.permitted && is_root)) {
    // Linux: access_override_creds().
    RefPtr<Credentials> real = now.Clone();
    real->fsuid = now.ruid;
    real->fsgid = now.rgid;
    if ((now.securebits & SECBIT_NO_SETUID_FIXUP) == 0)
      real->effective = is_root ? now.permitted : CapabilitySet();
    argument.context.creds = std::move(real);
  }
  ASSIGN_OR_RETURN(VfsPath found,
                   Walk(argument.context, argument.start, argument.text, WalkOptionsFor(flags)));
  RETURN_IF_ERROR(VfsAccess(argument.context, found, mode));
  return 0;
}

}  // namespace

Result<int64_t> SysStat(Task& task, UserPath path, UserPtr<struct stat> to) {
  return StatPath(task, AT_FDCWD, path, to, 0);
}

Result<int64_t> SysLstat(Task& task, UserPath path, UserPtr<struct stat> to) {
  return StatPath(task, AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW);
}

Result<int64_t> SysFstat(Task& task, Fd fd, UserPtr<struct stat> to) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFileOrPath(fd));
  ASSIGN_OR_RETURN(InodeAttributes attributes, file->Attributes());
  return CopyOutStat(task, attributes, to);
}

Result<int64_t> SysNewfstatat(Task& task, DirFd dirfd, UserPath path, UserPtr<struct stat> to,
                              AtFlags flags) {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(bool empty, IsEmptyPath(task, path, flags));
  if (empty && dirfd != AT_FDCWD) return SysFstat(task, Fd{dirfd.value}, to);
  if (empty) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, task.fs().Get().cwd.inode()->Attributes());
    return CopyOutStat(task, attributes, to);
  }
  return StatPath(task, dirfd, path, to, flags);
}

Result<int64_t> SysStatx(Task& task, DirFd dirfd, UserPath path, AtFlags flags, uint32_t mask,
                         UserPtr<struct statx> to) {
  constexpr int kSyncFlags = AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | kSyncFlags)) != 0)
    return Errno(EINVAL);
  if ((flags & kSyncFlags) == kSyncFlags || (mask & 0x80000000U) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(bool empty, IsEmptyPath(task, path, flags));
  if (empty && dirfd != AT_FDCWD) {
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFileOrPath(dirfd));
    ASSIGN_OR_RETURN(InodeAttributes attributes, file->Attributes());
    return CopyOutStatx(task, attributes, file->path(), to);
  }
  if (empty) {
    VfsPath here = task.fs().Get().cwd;
    ASSIGN_OR_RETURN(InodeAttributes attributes, here.inode()->Attributes());
    return CopyOutStatx(task, attributes, here, to);
  }
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, dirfd, path, WalkOptionsFor(flags)));
  ASSIGN_OR_RETURN(InodeAttributes attributes, found.inode()->Attributes());
  return CopyOutStatx(task, attributes, found, to);
}

Result<int64_t> SysStatfs(Task& task, UserPath path, UserPtr<struct statfs> to) {
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, AT_FDCWD, path));
  return CopyOutStatfs(task, found, to);
}

Result<int64_t> SysFstatfs(Task& task, Fd fd, UserPtr<struct statfs> to) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFileOrPath(fd));
  return CopyOutStatfs(task, file->path(), to);
}

Result<int64_t> SysAccess(Task& task, UserPath path, AccessMode mode) {
  return DoAccess(task, AT_FDCWD, path, mode, 0);
}

Result<int64_t> SysFaccessat(Task& task, DirFd dirfd, UserPath path, AccessMode mode) {
  return DoAccess(task, dirfd, path, mode, 0);
}

Result<int64_t> SysFaccessat2(Task& task, DirFd dirfd, UserPath path, AccessMode mode, AtFlags flags) {
  return DoAccess(task, dirfd, path, mode, flags);
}

Result<int64_t> SysReadlink(Task& task, UserPath path, UserAddr buffer, int size) {
  return SysReadlinkat(task, DirFd{AT_FDCWD}, path, buffer, size);
}

Result<int64_t> SysReadlinkat(Task& task, DirFd dirfd, UserPath path, UserAddr buffer, int size) {
  if (size <= 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, dirfd, path, /*may_be_empty=*/true));
  WalkOptions options;
  options.follow_final = false;
  options.allow_empty = true;  // an O_PATH descriptor of a symlink
  ASSIGN_OR_RETURN(VfsPath found, Walk(argument.context, argument.start, argument.text, options));
  RefPtr<Inode> inode = found.inode();
  if (!inode->IsSymlink()) return Errno(argument.text.empty() ? ENOENT : EINVAL);
  ASSIGN_OR_RETURN(std::string target, inode->ReadLink(task.creds()));
  size_t length = std::min(target.size(), static_cast<size_t>(size));
  RETURN_IF_ERROR(
      task.memory().WriteArray(UserPtr<char>(buffer), std::span<const char>(target.data(), length)));
  return static_cast<int64_t>(length);
}

}  // namespace runsc
