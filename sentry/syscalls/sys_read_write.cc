#include "sentry/syscalls/sys_read_write.h"

#include <linux/fs.h>

#include "sentry/syscalls/file_io.h"
#include "sentry/syscalls/io_vectors.h"

namespace runsc {

namespace {

Result<int64_t> AsCount(Result<size_t> done) {
  if (!done.ok()) return done.error();
  return static_cast<int64_t>(*done);
}

// A negative offset is EINVAL before the descriptor is looked at.
Result<uint64_t> CheckOffset(int64_t offset) {
  if (offset < 0) return Errno(EINVAL);
  return static_cast<uint64_t>(offset);
}

Result<int64_t> ReadAt(Task& task, int fd, IoSequence to, int64_t offset, bool non_blocking = false) {
  ASSIGN_OR_RETURN(uint64_t at, CheckOffset(offset));
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (!file->has_offset()) return Errno(ESPIPE);
  return AsCount(ReadFile(task, *file, to, at, non_blocking));
}

Result<int64_t> WriteAt(Task& task, int fd, IoSequence from, int64_t offset, bool non_blocking = false) {
  ASSIGN_OR_RETURN(uint64_t at, CheckOffset(offset));
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (!file->has_offset()) return Errno(ESPIPE);
  return AsCount(WriteFile(task, *file, from, at, non_blocking));
}

enum class Transfer : uint8_t { kRead, kWrite };

// The order of Linux: the descriptor, whether it has offsets, what it was opened for, then the vectors.
Result<IoSequence> ReadVectorsFor(Task& task, int fd, Transfer transfer, UserPtr<const iovec> vectors,
                                  uint64_t count, bool at_offset = false) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (at_offset && !file->has_offset()) return Errno(ESPIPE);
  if (!(transfer == Transfer::kRead ? file->readable() : file->writable())) return Errno(EBADF);
  return ReadIoVectors(task, vectors, count);
}

}  // namespace

Result<int64_t> SysRead(Task& task, Fd fd, UserBuffer buffer, size_t count) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  IoSequence to = MakeIoSequence(task, buffer.addr, count);
  return AsCount(ReadFile(task, *file, to));
}

Result<int64_t> SysWrite(Task& task, Fd fd, ConstUserBuffer buffer, size_t count) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  IoSequence from = MakeIoSequence(task, buffer.addr, count);
  return AsCount(WriteFile(task, *file, from));
}

Result<int64_t> SysPread64(Task& task, Fd fd, UserBuffer buffer, size_t count, int64_t offset) {
  return ReadAt(task, fd, MakeIoSequence(task, buffer.addr, count), offset);
}

Result<int64_t> SysPwrite64(Task& task, Fd fd, ConstUserBuffer buffer, size_t count, int64_t offset) {
  return WriteAt(task, fd, MakeIoSequence(task, buffer.addr, count), offset);
}

Result<int64_t> SysReadv(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  ASSIGN_OR_RETURN(IoSequence to, ReadVectorsFor(task, fd, Transfer::kRead, vectors, count));
  if (to.empty()) return 0;  // even of a directory
  return AsCount(ReadFile(task, *file, to));
}

Result<int64_t> SysWritev(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  ASSIGN_OR_RETURN(IoSequence from, ReadVectorsFor(task, fd, Transfer::kWrite, vectors, count));
  if (from.empty()) return 0;  // even of a directory
  return AsCount(WriteFile(task, *file, from));
}

Result<int64_t> SysPreadv(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count, int64_t offset) {
  if (offset < 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(IoSequence to, ReadVectorsFor(task, fd, Transfer::kRead, vectors, count, true));
  if (to.empty()) return 0;
  return ReadAt(task, fd, std::move(to), offset);
}

Result<int64_t> SysPwritev(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count, int64_t offset) {
  if (offset < 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(IoSequence from, ReadVectorsFor(task, fd, Transfer::kWrite, vectors, count, true));
  if (from.empty()) return 0;
  return WriteAt(task, fd, std::move(from), offset);
}

Result<int64_t> SysPreadv2(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count, int64_t offset,
                           uint64_t high, int flags) {
  // What is said of writes changes nothing here.
  constexpr int kKnownFlags = RWF_HIPRI | RWF_NOWAIT | RWF_DSYNC | RWF_SYNC | RWF_APPEND;
  if (offset < -1) return Errno(EINVAL);
  ASSIGN_OR_RETURN(IoSequence to, ReadVectorsFor(task, fd, Transfer::kRead, vectors, count, offset != -1));
  if ((flags & ~kKnownFlags) != 0) return Errno(EOPNOTSUPP);
  bool no_wait = (flags & RWF_NOWAIT) != 0;
  if (offset != -1) return ReadAt(task, fd, std::move(to), offset, no_wait);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  return AsCount(ReadFile(task, *file, to, std::nullopt, no_wait));
}

Result<int64_t> SysPwritev2(Task& task, Fd fd, UserPtr<const iovec> vectors, uint64_t count, int64_t offset,
                            uint64_t high, int flags) {
  constexpr int kKnownFlags = RWF_HIPRI | RWF_NOWAIT | RWF_DSYNC | RWF_SYNC | RWF_APPEND;
  if (offset < -1) return Errno(EINVAL);
  ASSIGN_OR_RETURN(IoSequence from, ReadVectorsFor(task, fd, Transfer::kWrite, vectors, count, offset != -1));
  if ((flags & ~kKnownFlags) != 0) return Errno(EOPNOTSUPP);
  bool no_wait = (flags & RWF_NOWAIT) != 0;
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  std::optional<uint64_t> at;
  if (offset != -1) {
    ASSIGN_OR_RETURN(at, CheckOffset(offset));
  }
  ASSIGN_OR_RETURN(size_t done, WriteFile(task, *file, from, at, no_wait, (flags & RWF_APPEND) != 0));
  if ((flags & (RWF_DSYNC | RWF_SYNC)) != 0) {
    Result<void> synced = file->Sync((flags & RWF_SYNC) == 0);
    if (!synced.ok() && !synced.is(EINVAL)) return synced.error();  // EINVAL: it is no file to be synced
  }
  return static_cast<int64_t>(done);
}

Result<int64_t> SysLseek(Task& task, Fd fd, int64_t offset, Whence whence) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  if (whence < SEEK_SET || whence > SEEK_HOLE) return Errno(EINVAL);
  return file->Seek(offset, whence);
}

}  // namespace runsc
