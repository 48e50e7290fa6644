#include "sentry/syscalls/sys_inotify.h"

#include "sentry/syscalls/path_argument.h"
#include "sentry/vfs/inotify.h"

namespace runsc {

namespace {

struct InotifyFd {
  RefPtr<FileDescription> file;
  InotifyFile* inotify;
};

Result<InotifyFd> GetInotify(Task& task, int fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  auto* inotify = dynamic_cast<InotifyFile*>(file.get());
  if (inotify == nullptr) return Errno(EINVAL);
  return InotifyFd{std::move(file), inotify};
}

}  // namespace

Result<int64_t> SysInotifyInit(Task& task) { return SysInotifyInit1(task, OpenFlags{0}); }

Result<int64_t> SysInotifyInit1(Task& task, OpenFlags flags) {
  if ((flags & ~(IN_CLOEXEC | IN_NONBLOCK)) != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(auto instance, InotifyFile::Create(flags & IN_NONBLOCK, task.creds().ruid));
  ASSIGN_OR_RETURN(int fd, task.AddFile(std::move(instance), (flags & IN_CLOEXEC) != 0));
  return fd;
}

Result<int64_t> SysInotifyAddWatch(Task& task, Fd fd, UserPath path, uint32_t mask) {
  // Any of these will do, also one that asks for no event (Linux: ALL_INOTIFY_BITS).
  constexpr uint32_t kKnown = IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR |
                              IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ISDIR |
                              IN_ONESHOT;
  if ((mask & ~kKnown) != 0 || (mask & kKnown) == 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(InotifyFd instance, GetInotify(task, fd));
  if ((mask & IN_MASK_ADD) != 0 && (mask & IN_MASK_CREATE) != 0) return Errno(EINVAL);
  WalkOptions options;
  options.follow_final = (mask & IN_DONT_FOLLOW) == 0;
  options.must_be_directory = (mask & IN_ONLYDIR) != 0;
  ASSIGN_OR_RETURN(VfsPath found, WalkArgument(task, AT_FDCWD, path, options));
  RETURN_IF_ERROR(found.inode()->CheckAccess(task.creds(), R_OK));
  ASSIGN_OR_RETURN(int descriptor, instance.inotify->AddWatch(found.inode(), mask));
  return descriptor;
}

Result<int64_t> SysInotifyRmWatch(Task& task, Fd fd, int descriptor) {
  ASSIGN_OR_RETURN(InotifyFd instance, GetInotify(task, fd));
  RETURN_IF_ERROR(instance.inotify->RemoveWatch(descriptor));
  return 0;
}

}  // namespace runsc
