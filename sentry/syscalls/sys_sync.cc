#include "sentry/syscalls/sys_sync.h"

#include <algorithm>

namespace runsc {

namespace {

Result<int64_t> SyncFile(Task& task, int fd, bool data_only) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  uint32_t type = file->inode()->file_type();
  if (type == S_IFIFO || type == S_IFSOCK || type == S_IFCHR) return Errno(EINVAL);
  RETURN_IF_ERROR(file->Sync(data_only));
  return 0;
}

}  // namespace

Result<int64_t> SysSync(Task& task) {
  std::vector<Filesystem*> done;
  std::vector<MountNamespace::Entry> mounts = task.fs().Get().mounts->Mounts();
  for (const MountNamespace::Entry& entry : mounts) {
    Filesystem* filesystem = &entry.mount->filesystem();
    if (std::find(done.begin(), done.end(), filesystem) != done.end()) continue;
    done.push_back(filesystem);
    (void)filesystem->Sync();  // sync(2) has no errors
  }
  return 0;
}

Result<int64_t> SysFsync(Task& task, Fd fd) { return SyncFile(task, fd, false); }
Result<int64_t> SysFdatasync(Task& task, Fd fd) { return SyncFile(task, fd, true); }

Result<int64_t> SysSyncfs(Task& task, Fd fd) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  RETURN_IF_ERROR(file->path().inode()->filesystem().Sync());
  return 0;
}

Result<int64_t> SysSyncFileRange(Task& task, Fd fd, int64_t offset, int64_t length, uint32_t flags) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  constexpr uint32_t kKnown =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  int64_t end = 0;
  if ((flags & ~kKnown) != 0 || offset < 0 || length < 0 || __builtin_add_overflow(offset, length, &end))
    return Errno(EINVAL);
  RefPtr<Inode> inode = file->inode();
  if (!inode->IsRegular() && !inode->IsDirectory() && inode->file_type() != S_IFBLK) return Errno(ESPIPE);
  if (flags == 0) return 0;
  Result<void> synced = file->Sync(true);
  if (!synced.ok() && !synced.is(EINVAL)) return synced.error();  // EINVAL: it has no pages to be written
  return 0;
}

Result<int64_t> SysFadvise64(Task& task, Fd fd, int64_t offset, int64_t length, int advice) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (file->inode()->file_type() == S_IFIFO) return Errno(ESPIPE);
  if (length < 0 || advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE) return Errno(EINVAL);
  return 0;
}

Result<int64_t> SysReadahead(Task& task, Fd fd, int64_t offset, size_t count) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (!file->readable()) return Errno(EBADF);
  if (!file->inode()->IsRegular()) return Errno(EINVAL);
  return 0;
}

}  // namespace runsc
