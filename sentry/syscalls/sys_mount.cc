#include "sentry/syscalls/sys_mount.h"

#include <limits.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespace_handle.h"
#include "sentry/syscalls/path_argument.h"

namespace runsc {

namespace {

constexpr uint64_t kMagic = 0xC0ED0000, kMagicMask = 0xffff0000;
constexpr uint64_t kNoUser = uint64_t{1} << 31;  // MS_NOUSER
constexpr uint64_t kAtimeFlags = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;

Result<std::string> ReadOptionalString(Task& task, UserAddr from) {
  if (from.is_null()) return std::string();
  return task.memory().ReadString(from, kPageSize, EINVAL);
}

struct MountRequest {
  std::string source, type, data;
  bool has_type = false;
  uint64_t flags = 0;
};

Result<void> MountNew(Task& task, const PathContext& context, const VfsPath& target,
                      const MountRequest& request) {
  if (!request.has_type) return Errno(EINVAL);
  FilesystemType* type = task.kernel().FindFilesystem(request.type);
  if (type == nullptr) return Errno(ENODEV);
  const FilesystemSource source{request.source, request.data, context.creds};
  RETURN_IF_ERROR(type->CheckMayMake(*context.creds, source));
  ASSIGN_OR_RETURN(NewFilesystem made, type->MakeFor(source));
  // Linux: do_add_mount().
  if (target.dentry == target.mount->root() && &target.mount->filesystem() == made.filesystem.get())
    return Errno(EBUSY);
  if (made.is_new && (request.flags & MS_RDONLY) != 0) made.filesystem->set_read_only(true);
  auto mount = MakeRef<Mount>(std::move(made.filesystem), std::move(made.root), MountFlagsFrom(request.flags),
                              request.source);
  if (type->may_reveal()) RETURN_IF_ERROR(context.mounts->CheckReveals(*mount));
  return context.mounts->Attach(std::move(mount), target);
}

// The flags of the mount alone with MS_BIND; else the filesystem is set anew as well.
Result<void> Remount(Task& task, const PathContext& context, const VfsPath& target,
                     const MountRequest& request) {
  if (!context.mounts->Contains(*target.mount) || target.dentry != target.mount->root()) return Errno(EINVAL);
  uint64_t flags = MountFlagsFrom(request.flags);
  if ((request.flags & kAtimeFlags) == 0)
    flags = (flags & ~kAtimeFlags) | (target.mount->flags() & kAtimeFlags);
  if ((request.flags & MS_BIND) == 0) {
    Filesystem& filesystem = target.mount->filesystem();
    if (!context.creds->HasCapabilityIn(filesystem.user_ns(), CAP_SYS_ADMIN)) return Errno(EPERM);
    const bool read_only = (request.flags & MS_RDONLY) != 0;
    if (read_only && !filesystem.is_read_only() && context.mounts->HasWriters(filesystem))
      return Errno(EBUSY);
    if (FilesystemType* type = task.kernel().FindFilesystem(filesystem.type_name()))
      RETURN_IF_ERROR(type->CheckOptions(request.data));
    RETURN_IF_ERROR(filesystem.Reconfigure(request.data));
    filesystem.set_read_only(read_only);
  }
  return context.mounts->SetAttributes(target, {.set = flags, .clear = ~uint64_t{0}});
}

Result<void> DoMount(Task& task, const PathContext& context, const VfsPath& target,
                     const MountRequest& request) {
  const uint64_t flags = request.flags;
  if ((flags & MS_REMOUNT) != 0) return Remount(task, context, target, request);
  if ((flags & MS_BIND) == 0 && (flags & kPropagationFlags) != 0)
    return context.mounts->ChangePropagation(target, flags);
  if ((flags & (MS_BIND | MS_MOVE)) == 0) return MountNew(task, context, target, request);
  if (request.source.empty()) return Errno(EINVAL);
  ASSIGN_OR_RETURN(VfsPath from, Walk(context, context.cwd, request.source));
  if ((flags & MS_BIND) == 0) return context.mounts->Move(from, target);
  RETURN_IF_ERROR(CheckNamespaceLoop(context, from));
  return context.mounts->Bind(from, target, (flags & MS_REC) != 0);
}

}  // namespace

Result<void> CheckMayMount(Task& task) {
  const UserNamespace& owner = *task.fs().Get().mounts->user_ns();
  return task.creds().HasCapabilityIn(owner, CAP_SYS_ADMIN) ? Ok() : Result<void>(Errno(EPERM));
}

Result<void> CheckNamespaceLoop(const PathContext& context, const VfsPath& from) {
  if (from.dentry->filesystem().type_name() != "nsfs") return Ok();
  OpenOptions options;
  options.creds = context.creds;
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, from.inode()->Open(from, options));
  const auto* space = dynamic_cast<const NamespaceFile*>(file.get());
  if (space == nullptr || space->handle().type != CLONE_NEWNS || !space->handle().object) return Ok();
  // A namespace is as old as its first mount; the copies in a new one are younger.
  auto age = [](const MountNamespace& mounts) { return mounts.Mounts().front().mount->id(); };
  const auto& other = static_cast<const MountNamespace&>(*space->handle().object);
  return age(other) <= age(*context.mounts) ? Result<void>(Errno(EINVAL)) : Ok();
}

// Linux: do_mount(), path_mount().
Result<int64_t> SysMount(Task& task, UserCString source, UserPath target, UserCString type, MountFlags flags,
                         UserAddr data) {
  MountRequest request{.has_type = !type.is_null(), .flags = flags};
  ASSIGN_OR_RETURN(request.type, ReadOptionalString(task, type.addr));
  ASSIGN_OR_RETURN(request.source, ReadOptionalString(task, source.addr));
  ASSIGN_OR_RETURN(request.data, ReadOptionalString(task, data));
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, AT_FDCWD, target));
  ASSIGN_OR_RETURN(VfsPath where, Walk(argument.context, argument.start, argument.text));
  if ((request.flags & kMagicMask) == kMagic) request.flags &= ~kMagicMask;
  if ((request.flags & kNoUser) != 0) return Errno(EINVAL);
  RETURN_IF_ERROR(CheckMayMount(task));
  RETURN_IF_ERROR(DoMount(task, argument.context, where, request));
  return 0;
}

Result<int64_t> SysUmount2(Task& task, UserPath target, UmountFlags flags) {
  if ((flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW)) != 0) return Errno(EINVAL);
  WalkOptions options;
  options.follow_final = (flags & UMOUNT_NOFOLLOW) == 0;
  // Only the walk's result is held from here on: another reference would be EBUSY.
  ASSIGN_OR_RETURN(VfsPath where, WalkArgument(task, AT_FDCWD, target, options));
  RETURN_IF_ERROR(CheckMayMount(task));
  RefPtr<MountNamespace> mounts = task.fs().Get().mounts;
  if ((flags & MNT_EXPIRE) != 0) {
    if (where.dentry != where.mount->root() || !mounts->Contains(*where.mount)) return Errno(EINVAL);
    return Errno((flags & (MNT_FORCE | MNT_DETACH)) != 0 ? EINVAL : EAGAIN);
  }
  RETURN_IF_ERROR(mounts->Unmount(where, flags));
  return 0;
}

Result<int64_t> SysPivotRoot(Task& task, UserPath new_root, UserPath put_old) {
  RETURN_IF_ERROR(CheckMayMount(task));
  WalkOptions options;
  options.must_be_directory = true;
  ASSIGN_OR_RETURN(VfsPath to, WalkArgument(task, AT_FDCWD, new_root, options));
  ASSIGN_OR_RETURN(VfsPath old, WalkArgument(task, AT_FDCWD, put_old, options));
  FsContext::View view = task.fs().Get();
  const VfsPath old_root = view.root;
  RETURN_IF_ERROR(view.mounts->PivotRoot(old_root, to, old));
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
