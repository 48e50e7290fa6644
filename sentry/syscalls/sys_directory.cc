#include "sentry/syscalls/sys_directory.h"

#include <limits.h>
#include <sys/sysmacros.h>

#include <cstring>

#include "sentry/syscalls/path_argument.h"

namespace runsc {

namespace {

// The 32-bit number of mknod(2) (Linux: new_decode_dev()).
uint64_t DecodeDevice(uint32_t device) {
  return makedev((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
}

Result<int64_t> Done(Result<void> result) {
  if (!result.ok()) return result.error();
  return 0;
}

// Collects entries as getdents(2) or getdents64(2) lays them out.
class Collector final : public DirectoryEmitter {
 public:
  Collector(size_t limit, bool old_layout) : limit_(limit), old_(old_layout) { bytes_.reserve(limit); }
  bool Emit(const DirectoryEntry& entry) override {
    constexpr size_t kOldHeader = 18, kHeader = 19;  // before the name
    size_t need = old_ ? kOldHeader + entry.name.size() + 2 : kHeader + entry.name.size() + 1;
    need = (need + 7) & ~size_t{7};
    if (bytes_.size() + need > limit_) {
      full_ = true;
      return false;
    }
    size_t at = bytes_.size();
    bytes_.resize(at + need);
    std::byte* out = &bytes_[at];
    uint16_t length = static_cast<uint16_t>(need);
    std::memcpy(out, &entry.ino, 8);
    std::memcpy(out + 8, &entry.next_offset, 8);
    std::memcpy(out + 16, &length, 2);
    if (old_) {
      std::memcpy(out + kOldHeader, entry.name.data(), entry.name.size());
      out[need - 1] = std::byte{entry.type};
    } else {
      out[18] = std::byte{entry.type};
      std::memcpy(out + kHeader, entry.name.data(), entry.name.size());
    }
    return true;
  }
  bool full() const { return full_; }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  const size_t limit_;
  const bool old_;
  bool full_ = false;
  std::vector<std::byte> bytes_;
};

Result<int64_t> ReadDirectory(Task& task, int fd, UserAddr buffer, uint32_t size, bool old_layout) {
  constexpr size_t kMost = 256 << 10;
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  Collector collector(std::min<size_t>(size, kMost), old_layout);
  RETURN_IF_ERROR(file->GetDents(collector));
  const std::vector<std::byte>& bytes = collector.bytes();
  if (bytes.empty()) return collector.full() ? Result<int64_t>(Errno(EINVAL)) : Result<int64_t>(0);
  RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<std::byte>(buffer), std::span<const std::byte>(bytes)));
  return static_cast<int64_t>(bytes.size());
}

Result<VfsPath> WalkToDirectory(Task& task, UserPath path) {
  WalkOptions options;
  options.must_be_directory = true;
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, AT_FDCWD, path, options));
  RETURN_IF_ERROR(found.inode()->CheckAccess(task.creds(), X_OK));
  return found;
}

}  // namespace

Result<int64_t> SysMkdir(Task& task, UserPath path, FileMode mode) {
  return SysMkdirat(task, DirFd{AT_FDCWD}, path, mode);
}

Result<int64_t> SysMkdirat(Task& task, DirFd dirfd, UserPath path, FileMode mode) {
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, dirfd, path));
  return Done(VfsMkdir(argument.context, argument.start, argument.text, mode));
}

Result<int64_t> SysRmdir(Task& task, UserPath path) {
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, AT_FDCWD, path));
  return Done(VfsRmdir(argument.context, argument.start, argument.text));
}

Result<int64_t> SysMknod(Task& task, UserPath path, FileMode mode, uint32_t device) {
  return SysMknodat(task, DirFd{AT_FDCWD}, path, mode, device);
}

Result<int64_t> SysMknodat(Task& task, DirFd dirfd, UserPath path, FileMode mode, uint32_t device) {
  RETURN_IF_ERROR(CheckMknodMode(mode));
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, dirfd, path));
  return Done(VfsMknod(argument.context, argument.start, argument.text, mode, DecodeDevice(device)));
}

Result<int64_t> SysLink(Task& task, UserPath old_path, UserPath new_path) {
  return SysLinkat(task, DirFd{AT_FDCWD}, old_path, DirFd{AT_FDCWD}, new_path, AtFlags{0});
}

Result<int64_t> SysLinkat(Task& task, DirFd old_dirfd, UserPath old_path, DirFd new_dirfd, UserPath new_path,
                          AtFlags flags) {
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0) return Errno(EINVAL);
  if ((flags & AT_EMPTY_PATH) != 0 && !task.creds().HasCapability(CAP_DAC_READ_SEARCH)) return Errno(ENOENT);
  WalkOptions options;
  options.follow_final = (flags & AT_SYMLINK_FOLLOW) != 0;
  options.allow_empty = (flags & AT_EMPTY_PATH) != 0;
  ASSIGN_OR_RETURN(VfsPath target, WalkArgument(task, old_dirfd, old_path, options));
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, new_dirfd, new_path));
  return Done(VfsLink(argument.context, target, argument.start, argument.text));
}

Result<int64_t> SysSymlink(Task& task, UserPath target, UserPath path) {
  return SysSymlinkat(task, target, DirFd{AT_FDCWD}, path);
}

Result<int64_t> SysSymlinkat(Task& task, UserPath target, DirFd dirfd, UserPath path) {
  ASSIGN_OR_RETURN(std::string text, task.ReadPath(target));
  if (text.empty()) return Errno(ENOENT);
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, dirfd, path));
  return Done(VfsSymlink(argument.context, text, argument.start, argument.text));
}

Result<int64_t> SysUnlink(Task& task, UserPath path) {
  return SysUnlinkat(task, DirFd{AT_FDCWD}, path, AtFlags{0});
}

Result<int64_t> SysUnlinkat(Task& task, DirFd dirfd, UserPath path, AtFlags flags) {
  if ((flags & ~AT_REMOVEDIR) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, dirfd, path));
  bool directory = (flags & AT_REMOVEDIR) != 0;
  return Done(directory ? VfsRmdir(argument.context, argument.start, argument.text)
                        : VfsUnlink(argument.context, argument.start, argument.text));
}

Result<int64_t> SysRename(Task& task, UserPath old_path, UserPath new_path) {
  return SysRenameat2(task, DirFd{AT_FDCWD}, old_path, DirFd{AT_FDCWD}, new_path, 0);
}

Result<int64_t> SysRenameat(Task& task, DirFd old_dirfd, UserPath old_path, DirFd new_dirfd,
                            UserPath new_path) {
  return SysRenameat2(task, old_dirfd, old_path, new_dirfd, new_path, 0);
}

Result<int64_t> SysRenameat2(Task& task, DirFd old_dirfd, UserPath old_path, DirFd new_dirfd,
                             UserPath new_path, uint32_t flags) {
  RETURN_IF_ERROR(CheckRenameFlags(flags));
  ASSIGN_OR_RETURN(PathArgument from, ReadPathArgument(task, old_dirfd, old_path));
  Result<PathArgument> second = ReadPathArgument(task, new_dirfd, new_path);
  if (!second.ok()) {
    // What is wrong with the first path is said before.
    RETURN_IF_ERROR(VfsCheckParent(from.context, from.start, from.text));
    return second.error();
  }
  const PathArgument& to = *second;
  return Done(VfsRename(from.context, from.start, from.text, to.start, to.text, flags));
}

Result<int64_t> SysGetdents(Task& task, Fd fd, UserAddr buffer, uint32_t size) {
  return ReadDirectory(task, fd, buffer, size, true);
}

Result<int64_t> SysGetdents64(Task& task, Fd fd, UserAddr buffer, uint32_t size) {
  return ReadDirectory(task, fd, buffer, size, false);
}

Result<int64_t> SysGetcwd(Task& task, UserAddr buffer, uint64_t size) {
  FsContext::View view = task.fs().Get();
  if (view.cwd.dentry->IsDeleted()) return Errno(ENOENT);
  std::string text = MountNamespace::PathText(view.cwd, view.root);
  if (text.size() + 1 > PATH_MAX) return Errno(ENAMETOOLONG);
  if (text.size() + 1 > size) return Errno(ERANGE);
  RETURN_IF_ERROR(
      task.memory().WriteArray(UserPtr<char>(buffer), std::span<const char>(text.c_str(), text.size() + 1)));
  return static_cast<int64_t>(text.size() + 1);
}

Result<int64_t> SysChdir(Task& task, UserPath path) {
  ASSIGN_OR_RETURN(VfsPath found, WalkToDirectory(task, path));
  task.fs().SetCwd(std::move(found));
  return 0;
}

Result<int64_t> SysFchdir(Task& task, Fd fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFileOrPath(fd));
  if (!file->inode()->IsDirectory()) return Errno(ENOTDIR);
  RETURN_IF_ERROR(file->inode()->CheckAccess(task.creds(), X_OK));
  task.fs().SetCwd(file->path());
  return 0;
}

Result<int64_t> SysChroot(Task& task, UserPath path) {
  ASSIGN_OR_RETURN(VfsPath found, WalkToDirectory(task, path));
  if (!task.creds().HasOwnCapability(CAP_SYS_CHROOT)) return Errno(EPERM);
  task.fs().SetRoot(std::move(found));
  return 0;
}

}  // namespace runsc
