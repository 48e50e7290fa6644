#include "sentry/syscalls/sys_mount.h"

#include <limits.h>

#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/path_argument.h"

namespace runsc {

namespace {

constexpr uint64_t kMagic = 0xC0ED0000, kMagicMask = 0xffff0000;
constexpr uint64_t kPropagation = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
// What a mount remembers.
constexpr uint64_t kMountFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |
                                 MS_RELATIME | MS_STRICTATIME | MS_NOSYMFOLLOW | MS_SYNCHRONOUS;

// A mount is relatime unless it says otherwise (mount(2)).
uint64_t FlagsOf(uint64_t flags) {
  uint64_t kept = flags & kMountFlags;
  if ((kept & (MS_NOATIME | MS_STRICTATIME)) == 0) kept |= MS_RELATIME;
  return kept & ~uint64_t{MS_STRICTATIME};
}

Result<std::string> ReadOptionalString(Task& task, UserAddr from) {
  if (from.is_null()) return std::string();
  return task.memory().ReadString(from, kPageSize, EINVAL);
}

Result<void> MountNew(Task& task, const PathContext& context, const VfsPath& target, std::string source,
                      UserCString type, uint64_t flags, UserAddr data) {
  if (type.is_null()) return Errno(EINVAL);
  ASSIGN_OR_RETURN(std::string type_name, ReadOptionalString(task, type.addr));
  ASSIGN_OR_RETURN(std::string options, ReadOptionalString(task, data));
  FilesystemType* filesystem_type = task.kernel().FindFilesystem(type_name);
  if (filesystem_type == nullptr) return Errno(ENODEV);
  ASSIGN_OR_RETURN(NewFilesystem made,
                   filesystem_type->Make(FilesystemSource{source, options, context.creds}));
  auto mount =
      MakeRef<Mount>(std::move(made.filesystem), std::move(made.root), FlagsOf(flags), std::move(source));
  return context.mounts->Attach(std::move(mount), target);
}

Result<void> DoMount(Task& task, const PathContext& context, const VfsPath& target,
                     UserCString source_address, UserCString type, uint64_t flags, UserAddr data) {
  bool is_root = target.dentry == target.mount->root();
  if ((flags & MS_REMOUNT) != 0) {
    if (!is_root) return Errno(EINVAL);
    target.mount->set_flags(FlagsOf(flags));
    return Ok();
  }
  ASSIGN_OR_RETURN(std::string source, ReadOptionalString(task, source_address.addr));
  if ((flags & MS_BIND) != 0) {
    ASSIGN_OR_RETURN(VfsPath from, Walk(context, context.cwd, source));
    return context.mounts->Bind(from, target, (flags & MS_REC) != 0);
  }
  if ((flags & kPropagation) != 0) {
    // Every mount is private here; asking for propagation is granted without effect.
    return is_root ? Ok() : Result<void>(Errno(EINVAL));
  }
  if ((flags & MS_MOVE) != 0) {
    ASSIGN_OR_RETURN(VfsPath from, Walk(context, context.cwd, source));
    return context.mounts->Move(from, target);
  }
  return MountNew(task, context, target, std::move(source), type, flags, data);
}

}  // namespace

Result<int64_t> SysMount(Task& task, UserCString source, UserPath target, UserCString type, MountFlags flags,
                         UserAddr data) {
  uint64_t bits = flags;
  if ((bits & kMagicMask) == kMagic) bits &= ~kMagicMask;
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, AT_FDCWD, target));
  ASSIGN_OR_RETURN(VfsPath where, Walk(argument.context, argument.start, argument.text));
  if (!task.creds().HasCapability(CAP_SYS_ADMIN)) return Errno(EPERM);
  RETURN_IF_ERROR(DoMount(task, argument.context, where, source, type, bits, data));
  return 0;
}

Result<int64_t> SysUmount2(Task& task, UserPath target, int flags) {
  if ((flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) != 0) return Errno(EINVAL);
  WalkOptions options;
  options.follow_final = (flags & UMOUNT_NOFOLLOW) == 0;
  // Only the walk's result is held from here on: another reference would be EBUSY.
  ASSIGN_OR_RETURN(VfsPath where, WalkArgument(task, AT_FDCWD, target, options));
  if (!task.creds().HasCapability(CAP_SYS_ADMIN)) return Errno(EPERM);
  if ((flags & MNT_EXPIRE) != 0) return Errno((flags & (MNT_FORCE | MNT_DETACH)) != 0 ? EINVAL : EAGAIN);
  RETURN_IF_ERROR(task.fs().Get().mounts->Unmount(where, flags));
  return 0;
}

Result<int64_t> SysPivotRoot(Task& task, UserPath new_root, UserPath put_old) {
  if (!task.creds().HasCapability(CAP_SYS_ADMIN)) return Errno(EPERM);
  WalkOptions options;
  options.must_be_directory = true;
  ASSIGN_OR_RETURN(VfsPath to, WalkArgument(task, AT_FDCWD, new_root, options));
  ASSIGN_OR_RETURN(VfsPath old, WalkArgument(task, AT_FDCWD, put_old, options));
  FsContext::View view = task.fs().Get();
  VfsPath old_root = view.mounts->Root();
  if (!(view.root == old_root)) return Errno(EINVAL);  // a chroot is no mount point
  RETURN_IF_ERROR(view.mounts->PivotRoot(to, old));
  // Linux: chroot_fs_refs().
  for (const RefPtr<ThreadGroup>& process : task.kernel().root_pid_namespace()->ThreadGroups()) {
    for (const RefPtr<Task>& other : process->Tasks()) {
      RefPtr<FsContext> fs = other->GetFs();
      if (!fs) continue;
      FsContext::View seen = fs->Get();
      if (seen.root == old_root) fs->SetRoot(to);
      if (seen.cwd == old_root) fs->SetCwd(to);
    }
  }
  return 0;
}

}  // namespace runsc
