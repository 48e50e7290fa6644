#include "sentry/syscalls/sys_mount_api.h"

#include <algorithm>
#include <cstring>

#include "sentry/fsimpl/mount_context.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespace_handle.h"
#include "sentry/syscalls/path_argument.h"
#include "sentry/syscalls/sys_mount.h"
#include "sentry/vfs/path_file.h"

namespace runsc {

namespace {

constexpr uint32_t kRecursive = 0x8000;  // AT_RECURSIVE, in flag words that are unsigned
constexpr uint64_t kAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                 MOUNT_ATTR_NOEXEC | MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME |
                                 MOUNT_ATTR_NOSYMFOLLOW;
constexpr size_t kMaxParameter = 256, kMaxBlob = 1 << 20;

// All but the mode of atime.
uint64_t FlagsOfAttributes(uint64_t attributes) {
  constexpr std::pair<uint64_t, uint64_t> kFlags[] = {
      {MOUNT_ATTR_RDONLY, MS_RDONLY},         {MOUNT_ATTR_NOSUID, MS_NOSUID},
      {MOUNT_ATTR_NODEV, MS_NODEV},           {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
      {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW}};
  uint64_t flags = 0;
  for (auto [attribute, flag] : kFlags) {
    if ((attributes & attribute) != 0) flags |= flag;
  }
  return flags;
}

Result<uint64_t> AtimeFlags(uint64_t attributes) {
  switch (attributes & MOUNT_ATTR__ATIME) {
    case MOUNT_ATTR_RELATIME:
      return MS_RELATIME;
    case MOUNT_ATTR_NOATIME:
      return MS_NOATIME;
    case MOUNT_ATTR_STRICTATIME:
      return 0;
    default:
      return Errno(EINVAL);
  }
}

// Linux: build_mount_idmapped(). No filesystem here shows its files by another mapping.
Result<void> CheckIdMap(Task& task, const struct mount_attr& attributes) {
  if (((attributes.attr_set | attributes.attr_clr) & MOUNT_ATTR_IDMAP) == 0) return Ok();
  if ((attributes.attr_clr & MOUNT_ATTR_IDMAP) != 0 || attributes.userns_fd > INT32_MAX) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(static_cast<int>(attributes.userns_fd)));
  const auto* named = dynamic_cast<const NamespaceFile*>(file.get());
  if (named == nullptr || named->handle().type != CLONE_NEWUSER) return Errno(EINVAL);
  const auto& space = static_cast<const UserNamespace&>(*named->handle().object);
  const bool may = !space.IsInitial() && task.creds().HasCapabilityIn(space, CAP_SYS_ADMIN);
  return Errno(may ? EINVAL : EPERM);
}

// Linux: build_mount_kattr().
Result<MountAttributeChange> ChangeOf(const struct mount_attr& attributes, bool recursive) {
  MountAttributeChange change;
  change.recursive = recursive;
  change.propagation = attributes.propagation;
  if ((attributes.propagation & ~kPropagationFlags) != 0) return Errno(EINVAL);
  if ((attributes.propagation & (attributes.propagation - 1)) != 0) return Errno(EINVAL);  // two of them
  if (((attributes.attr_set | attributes.attr_clr) & ~(kAttributes | MOUNT_ATTR_IDMAP)) != 0)
    return Errno(EINVAL);
  change.set = FlagsOfAttributes(attributes.attr_set);
  change.clear = FlagsOfAttributes(attributes.attr_clr);
  // The mode of atime is one value, which is set by clearing all of it.
  if ((attributes.attr_clr & MOUNT_ATTR__ATIME) == 0) {
    if ((attributes.attr_set & MOUNT_ATTR__ATIME) != 0) return Errno(EINVAL);
    return change;
  }
  if ((attributes.attr_clr & MOUNT_ATTR__ATIME) != MOUNT_ATTR__ATIME) return Errno(EINVAL);
  ASSIGN_OR_RETURN(uint64_t atime, AtimeFlags(attributes.attr_set));
  change.clear |= MS_RELATIME | MS_NOATIME;
  change.set |= atime;
  return change;
}

// Linux: copy_struct_from_user().
Result<struct mount_attr> ReadAttributes(Task& task, UserPtr<const struct mount_attr> from, size_t size) {
  std::byte raw[kPageSize];
  RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const std::byte>(from.addr()), std::span(raw, size)));
  constexpr size_t kKnown = sizeof(struct mount_attr);
  if (std::any_of(raw + kKnown, raw + size, [](std::byte value) { return value != std::byte{0}; }))
    return Errno(E2BIG);
  struct mount_attr attributes;
  std::memcpy(&attributes, raw, kKnown);
  return attributes;
}

Result<RefPtr<MountContext>> GetContext(Task& task, int fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  auto* context = dynamic_cast<MountContext*>(file.get());
  if (context == nullptr) return Errno(EINVAL);
  return RefPtr<MountContext>(context);
}

// Which of fsconfig(2)'s arguments go with a command.
Result<void> CheckConfigArguments(uint32_t command, bool has_key, bool has_value, int aux) {
  bool fits = false;
  switch (command) {
    case FSCONFIG_SET_FLAG:
      fits = has_key && !has_value && aux == 0;
      break;
    case FSCONFIG_SET_STRING:
      fits = has_key && has_value && aux == 0;
      break;
    case FSCONFIG_SET_BINARY:
      fits = has_key && has_value && aux > 0 && static_cast<size_t>(aux) <= kMaxBlob;
      break;
    case FSCONFIG_SET_PATH:
    case FSCONFIG_SET_PATH_EMPTY:
      fits = has_key && has_value && (aux == AT_FDCWD || aux >= 0);
      break;
    case FSCONFIG_SET_FD:
      fits = has_key && !has_value && aux >= 0;
      break;
    case FSCONFIG_CMD_CREATE:
    case FSCONFIG_CMD_RECONFIGURE:
      fits = !has_key && !has_value && aux == 0;
      break;
    default:
      return Errno(EOPNOTSUPP);
  }
  return fits ? Ok() : Result<void>(Errno(EINVAL));
}

// What is behind `value`, as far as that can be wrong: no filesystem here has an option that takes a blob, a
// path or a descriptor.
Result<MountContext::Parameter> ReadParameter(Task& task, uint32_t command, UserAddr value, int aux) {
  MountContext::Parameter parameter;
  parameter.kind = MountContext::Parameter::Kind::kOther;
  switch (command) {
    case FSCONFIG_SET_FLAG:
      parameter.kind = MountContext::Parameter::Kind::kFlag;
      break;
    case FSCONFIG_SET_STRING: {
      parameter.kind = MountContext::Parameter::Kind::kString;
      ASSIGN_OR_RETURN(parameter.value, task.memory().ReadString(value, kMaxParameter, EINVAL));
      break;
    }
    case FSCONFIG_SET_BINARY: {
      std::vector<std::byte> blob(static_cast<size_t>(aux));
      RETURN_IF_ERROR(task.memory().ReadArray(UserPtr<const std::byte>(value), std::span(blob)));
      break;
    }
    case FSCONFIG_SET_FD: {
      ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(aux));
      break;
    }
    default: {
      ASSIGN_OR_RETURN(std::string path, task.ReadPath(UserPath{value}));
      if (path.empty() && command == FSCONFIG_SET_PATH) return Errno(ENOENT);
    }
  }
  return parameter;
}

}  // namespace

Result<int64_t> SysOpenTree(Task& task, DirFd dirfd, UserPath path, OpenTreeFlags flags) {
  constexpr uint32_t kKnown = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | kRecursive | AT_SYMLINK_NOFOLLOW |
                              OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  const bool clones = (flags & OPEN_TREE_CLONE) != 0, recursive = (flags & kRecursive) != 0;
  if ((flags & ~kKnown) != 0 || (recursive && !clones)) return Errno(EINVAL);
  if (clones) RETURN_IF_ERROR(CheckMayMount(task));
  ASSIGN_OR_RETURN(VfsPath found,
                   WalkArgument(task, dirfd, path, WalkOptionsFor(static_cast<int>(flags.value))));
  RefPtr<FileDescription> file;
  if (clones) {
    RETURN_IF_ERROR(CheckNamespaceLoop(task.path_context(), found));
    ASSIGN_OR_RETURN(RefPtr<MountNamespace> tree,
                     task.fs().Get().mounts->CopyDetached(found, recursive, task.creds().user_ns));
    file = MakeRef<DetachedTreeFile>(std::move(tree));
  } else {
    file = MakeRef<PathFile>(std::move(found), O_PATH);
  }
  ASSIGN_OR_RETURN(int fd, task.AddFile(std::move(file), (flags & OPEN_TREE_CLOEXEC) != 0));
  return fd;
}

Result<int64_t> SysMoveMount(Task& task, DirFd from_dirfd, UserPath from, DirFd to_dirfd, UserPath to,
                             MoveMountFlags flags) {
  constexpr uint32_t kKnown = MOVE_MOUNT_F_SYMLINKS | MOVE_MOUNT_F_AUTOMOUNTS | MOVE_MOUNT_F_EMPTY_PATH |
                              MOVE_MOUNT_T_SYMLINKS | MOVE_MOUNT_T_AUTOMOUNTS | MOVE_MOUNT_T_EMPTY_PATH |
                              MOVE_MOUNT_SET_GROUP;
  RETURN_IF_ERROR(CheckMayMount(task));
  if ((flags & ~kKnown) != 0) return Errno(EINVAL);
  WalkOptions options;
  options.follow_final = (flags & MOVE_MOUNT_F_SYMLINKS) != 0;
  options.allow_empty = (flags & MOVE_MOUNT_F_EMPTY_PATH) != 0;
  ASSIGN_OR_RETURN(VfsPath source, WalkArgument(task, from_dirfd, from, options));
  options.follow_final = (flags & MOVE_MOUNT_T_SYMLINKS) != 0;
  options.allow_empty = (flags & MOVE_MOUNT_T_EMPTY_PATH) != 0;
  ASSIGN_OR_RETURN(VfsPath target, WalkArgument(task, to_dirfd, to, options));
  RefPtr<MountNamespace> mounts = task.fs().Get().mounts;
  RETURN_IF_ERROR((flags & MOVE_MOUNT_SET_GROUP) != 0 ? mounts->ShareWith(task.creds(), source, target)
                                                      : mounts->Move(source, target));
  return 0;
}

Result<int64_t> SysFsopen(Task& task, UserCString type, FsopenFlags flags) {
  RETURN_IF_ERROR(CheckMayMount(task));
  if ((flags & ~uint32_t{FSOPEN_CLOEXEC}) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(std::string name, task.memory().ReadString(type.addr, kPageSize, EINVAL));
  FilesystemType* found = task.kernel().FindFilesystem(name);
  if (found == nullptr) return Errno(ENODEV);
  auto context = MakeRef<MountContext>(*found, task.GetCreds());
  ASSIGN_OR_RETURN(int fd, task.AddFile(std::move(context), (flags & FSOPEN_CLOEXEC) != 0));
  return fd;
}

Result<int64_t> SysFspick(Task& task, DirFd dirfd, UserPath path, FspickFlags flags) {
  constexpr uint32_t kKnown =
      FSPICK_CLOEXEC | FSPICK_SYMLINK_NOFOLLOW | FSPICK_NO_AUTOMOUNT | FSPICK_EMPTY_PATH;
  RETURN_IF_ERROR(CheckMayMount(task));
  if ((flags & ~kKnown) != 0) return Errno(EINVAL);
  WalkOptions options;
  options.follow_final = (flags & FSPICK_SYMLINK_NOFOLLOW) == 0;
  options.allow_empty = (flags & FSPICK_EMPTY_PATH) != 0;
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, dirfd, path, options));
  if (found.dentry != found.mount->root()) return Errno(EINVAL);
  RefPtr<Filesystem> filesystem(&found.mount->filesystem());
  FilesystemType* type = task.kernel().FindFilesystem(filesystem->type_name());
  auto context = MakeRef<MountContext>(type, std::move(filesystem), task.GetCreds());
  ASSIGN_OR_RETURN(int fd, task.AddFile(std::move(context), (flags & FSPICK_CLOEXEC) != 0));
  return fd;
}

Result<int64_t> SysFsconfig(Task& task, Fd fd, FsconfigCommand command, UserCString key, UserAddr value,
                            int aux) {
  if (fd < 0) return Errno(EINVAL);
  RETURN_IF_ERROR(CheckConfigArguments(command, !key.is_null(), !value.is_null(), aux));
  ASSIGN_OR_RETURN(RefPtr<MountContext> context, GetContext(task, fd));
  if (command == FSCONFIG_CMD_CREATE || command == FSCONFIG_CMD_RECONFIGURE) {
    RETURN_IF_ERROR(CheckMayMount(task));
    RETURN_IF_ERROR(command == FSCONFIG_CMD_CREATE
                        ? context->Create(task.creds())
                        : context->Reconfigure(task.creds(), *task.fs().Get().mounts));
    return 0;
  }
  ASSIGN_OR_RETURN(std::string name, task.memory().ReadString(key.addr, kMaxParameter, EINVAL));
  ASSIGN_OR_RETURN(MountContext::Parameter parameter, ReadParameter(task, command, value, aux));
  parameter.key = std::move(name);
  RETURN_IF_ERROR(context->Set(parameter));
  return 0;
}

Result<int64_t> SysFsmount(Task& task, Fd fd, FsmountFlags flags, MountAttributes attributes) {
  RETURN_IF_ERROR(CheckMayMount(task));
  if ((flags & ~uint32_t{FSMOUNT_CLOEXEC}) != 0) return Errno(EINVAL);
  if ((attributes & ~kAttributes) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(uint64_t atime, AtimeFlags(attributes));
  ASSIGN_OR_RETURN(RefPtr<MountContext> context, GetContext(task, fd));
  // The number first: a context is good for one mount.
  ASSIGN_OR_RETURN(int number, task.fd_table().Reserve(0, task.Limit(RLIMIT_NOFILE)));
  Result<RefPtr<Mount>> mount =
      context->MakeMount(FlagsOfAttributes(attributes) | atime, *task.fs().Get().mounts);
  if (!mount.ok()) {
    task.fd_table().Cancel(number);
    return mount.error();
  }
  auto tree = MakeRef<MountNamespace>(*std::move(mount), true, task.creds().user_ns);
  task.fd_table().Install(number, MakeRef<DetachedTreeFile>(std::move(tree)), (flags & FSMOUNT_CLOEXEC) != 0);
  return number;
}

Result<int64_t> SysMountSetattr(Task& task, DirFd dirfd, UserPath path, AtFlags flags,
                                UserPtr<const struct mount_attr> attributes, size_t size) {
  constexpr int kKnown = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | static_cast<int>(kRecursive);
  if ((flags & ~kKnown) != 0) return Errno(EINVAL);
  if (size > kPageSize) return Errno(E2BIG);
  if (size < sizeof(struct mount_attr)) return Errno(EINVAL);
  RETURN_IF_ERROR(CheckMayMount(task));
  ASSIGN_OR_RETURN(struct mount_attr read, ReadAttributes(task, attributes, size));
  if (read.attr_set == 0 && read.attr_clr == 0 && read.propagation == 0) return 0;
  ASSIGN_OR_RETURN(MountAttributeChange change, ChangeOf(read, (flags & static_cast<int>(kRecursive)) != 0));
  RETURN_IF_ERROR(CheckIdMap(task, read));
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, dirfd, path, WalkOptionsFor(flags)));
  RETURN_IF_ERROR(task.fs().Get().mounts->SetAttributes(found, change));
  return 0;
}

}  // namespace runsc
