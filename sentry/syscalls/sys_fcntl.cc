#include "sentry/syscalls/sys_fcntl.h"

#include <sys/file.h>

#include "sentry/fsimpl/pipe.h"
#include "sentry/kernel/thread_group.h"
#include "sentry/syscalls/async_command.h"
#include "sentry/syscalls/blocking_io.h"
#include "sentry/syscalls/lease_command.h"
#include "sentry/syscalls/record_lock_wait.h"
#include "sentry/vfs/file_locks.h"

namespace runsc {

namespace {

// --- record locks ---

// The range that a struct flock means (fcntl(2)). EINVAL, EOVERFLOW.
Result<FileLockRange> DecodeRange(FileDescription& file, const struct flock& raw) {
  int64_t base = 0;
  if (raw.l_whence == SEEK_CUR) {
    ASSIGN_OR_RETURN(base, file.Seek(0, SEEK_CUR));
  } else if (raw.l_whence == SEEK_END) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, file.Attributes());
    base = static_cast<int64_t>(attributes.size);
  } else if (raw.l_whence != SEEK_SET) {
    return Errno(EINVAL);
  }
  int64_t start = 0, end = 0;
  if (__builtin_add_overflow(base, raw.l_start, &start)) return Errno(EOVERFLOW);
  if (start < 0) return Errno(EINVAL);
  if (raw.l_len == 0) return FileLockRange{static_cast<uint64_t>(start), UINT64_MAX};
  if (raw.l_len > 0) {
    if (__builtin_add_overflow(start, raw.l_len - 1, &end)) return Errno(EOVERFLOW);
    return FileLockRange{static_cast<uint64_t>(start), static_cast<uint64_t>(end) + 1};
  }
  if (__builtin_add_overflow(start, raw.l_len, &end) || end < 0) return Errno(EINVAL);
  return FileLockRange{static_cast<uint64_t>(end), static_cast<uint64_t>(start)};
}

Result<FileLockType> DecodeType(int type) {
  switch (type) {
    case F_RDLCK:
      return FileLockType::kShared;
    case F_WRLCK:
      return FileLockType::kExclusive;
    case F_UNLCK:
      return FileLockType::kUnlock;
    default:
      return Errno(EINVAL);
  }
}

Result<RecordLock> DecodeLock(Task& task, FileDescription& file, const struct flock& raw,
                              bool of_description) {
  RecordLock lock;
  ASSIGN_OR_RETURN(lock.range, DecodeRange(file, raw));
  ASSIGN_OR_RETURN(lock.type, DecodeType(raw.l_type));
  if (of_description && raw.l_pid != 0) return Errno(EINVAL);
  lock.owner = of_description ? file.lock_owner() : static_cast<const void*>(&task.fd_table());
  lock.pid = of_description ? -1 : task.thread_group().pid();
  return lock;
}

Result<int64_t> GetLock(Task& task, FileDescription& file, UserPtr<struct flock> address,
                        bool of_description) {
  ASSIGN_OR_RETURN(struct flock raw, task.memory().Read(address));
  ASSIGN_OR_RETURN(RecordLock lock, DecodeLock(task, file, raw, of_description));
  if (lock.type == FileLockType::kUnlock) return Errno(EINVAL);
  std::optional<RecordLock> conflict = file.inode()->locks().Test(lock);
  if (!conflict) {
    raw.l_type = F_UNLCK;
  } else {
    raw.l_type = conflict->type == FileLockType::kShared ? F_RDLCK : F_WRLCK;
    raw.l_whence = SEEK_SET;
    raw.l_start = static_cast<off_t>(conflict->range.start);
    raw.l_len = conflict->range.end == UINT64_MAX
                    ? 0
                    : static_cast<off_t>(conflict->range.end - conflict->range.start);
    raw.l_pid = conflict->pid;
  }
  RETURN_IF_ERROR(task.memory().Write(address, raw));
  return 0;
}

Result<int64_t> SetLock(Task& task, FileDescription& file, UserPtr<struct flock> address, bool of_description,
                        bool wait) {
  ASSIGN_OR_RETURN(struct flock raw, task.memory().Read(address));
  ASSIGN_OR_RETURN(RecordLock lock, DecodeLock(task, file, raw, of_description));
  if (lock.type == FileLockType::kShared && !file.readable()) return Errno(EBADF);
  if (lock.type == FileLockType::kExclusive && !file.writable()) return Errno(EBADF);
  FileLocks& locks = file.inode()->locks();
  if (!wait || lock.type == FileLockType::kUnlock) {
    RETURN_IF_ERROR(locks.SetRecordLock(lock));
  } else {
    RETURN_IF_ERROR(WaitForRecordLock(task, locks, lock, !of_description));
  }
  return 0;
}

Result<int64_t> PipeSize(Task& task, FileDescription& file, int command, uint64_t argument) {
  Pipe* pipe = AsPipe(file);
  if (pipe == nullptr) return Errno(EBADF);
  if (command == F_GETPIPE_SZ) return static_cast<int64_t>(pipe->capacity());
  bool privileged = task.creds().HasCapability(CAP_SYS_RESOURCE);
  ASSIGN_OR_RETURN(size_t capacity, pipe->SetCapacity(static_cast<uint32_t>(argument), privileged));
  return static_cast<int64_t>(capacity);
}

// --- the rest ---

// Linux: inode_owner_or_capable().
bool IsOwnerOf(Task& task, const InodeAttributes& attributes) {
  const Credentials& creds = task.creds();
  return creds.fsuid == attributes.uid || creds.HasCapabilityOverOwner(attributes.uid, CAP_FOWNER);
}

// F_GET_RW_HINT, F_SET_RW_HINT: how long what is written is expected to live. Kept for those who ask.
Result<int64_t> WriteHint(Task& task, FileDescription& file, bool set, UserPtr<uint64_t> address) {
  RefPtr<Inode> inode = file.inode();
  if (!set) {
    uint64_t hint = inode->write_hint.load(std::memory_order_relaxed);
    RETURN_IF_ERROR(task.memory().Write(address, hint));
    return 0;
  }
  ASSIGN_OR_RETURN(InodeAttributes attributes, file.Attributes());
  if (!IsOwnerOf(task, attributes)) return Errno(EPERM);
  ASSIGN_OR_RETURN(uint64_t hint, task.memory().Read(address));
  if (hint > RWH_WRITE_LIFE_EXTREME) return Errno(EINVAL);
  inode->write_hint.store(static_cast<uint8_t>(hint), std::memory_order_relaxed);
  return 0;
}

Result<int64_t> Duplicate(Task& task, RefPtr<FileDescription> file, uint64_t minimum, bool close_on_exec) {
  if (minimum >= task.Limit(RLIMIT_NOFILE) || minimum > INT32_MAX) return Errno(EINVAL);
  ASSIGN_OR_RETURN(int fd, task.AddFile(std::move(file), close_on_exec, static_cast<int>(minimum)));
  return fd;
}

constexpr int kDupfdQuery = 1027;  // F_DUPFD_QUERY of Linux 6.10

// The commands that O_PATH descriptors serve too; nullopt: another one.
std::optional<Result<int64_t>> DescriptorCommand(Task& task, int fd, const RefPtr<FileDescription>& file,
                                                 int command, uint64_t argument) {
  switch (command) {
    case F_DUPFD:
      return Duplicate(task, file, argument, false);
    case F_DUPFD_CLOEXEC:
      return Duplicate(task, file, argument, true);
    case F_GETFD: {
      Result<bool> value = task.fd_table().GetCloseOnExec(fd);
      if (!value.ok()) return Result<int64_t>(value.error());
      return Result<int64_t>(*value ? FD_CLOEXEC : 0);
    }
    case F_SETFD: {
      Result<void> set = task.fd_table().SetCloseOnExec(fd, (argument & FD_CLOEXEC) != 0);
      return set.ok() ? Result<int64_t>(0) : Result<int64_t>(set.error());
    }
    case F_GETFL:
      return Result<int64_t>(file->flags());
    case kDupfdQuery: {
      Result<RefPtr<FileDescription>> other = task.GetFileOrPath(static_cast<int>(argument));
      return other.ok() ? Result<int64_t>(other->get() == file.get() ? 1 : 0)
                        : Result<int64_t>(other.error());
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<int64_t> SetStatusFlags(Task& task, int fd, FileDescription& file, int flags) {
  int old = file.flags();
  if ((flags & ~old & O_NOATIME) != 0) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, file.Attributes());
    if (!IsOwnerOf(task, attributes)) return Errno(EPERM);
  }
  if ((flags & O_DIRECT) != 0 && !file.may_be_direct()) return Errno(EINVAL);
  if (!CanSignalReadiness(file)) flags &= ~O_ASYNC;
  RETURN_IF_ERROR(file.SetStatusFlags(flags));
  if (((flags ^ old) & O_ASYNC) != 0) SetAsync(task, fd, file, (flags & O_ASYNC) != 0);
  return 0;
}

Result<int64_t> SysFcntl(Task& task, Fd fd, FcntlCommand command, uint64_t argument) {
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFileOrPath(fd));
  if (std::optional<Result<int64_t>> done = DescriptorCommand(task, fd, file, command, argument))
    return *done;
  if (file->IsPathOnly()) return Errno(EBADF);
  UserPtr<struct flock> lock(argument);
  switch (command) {
    case F_SETFL:
      return SetStatusFlags(task, fd, *file, static_cast<int>(argument));
    case F_GETLK:
      return GetLock(task, *file, lock, false);
    case F_SETLK:
      return SetLock(task, *file, lock, false, false);
    case F_SETLKW:
      return SetLock(task, *file, lock, false, true);
    case F_OFD_GETLK:
      return GetLock(task, *file, lock, true);
    case F_OFD_SETLK:
      return SetLock(task, *file, lock, true, false);
    case F_OFD_SETLKW:
      return SetLock(task, *file, lock, true, true);
    case F_GETOWN:
    case F_SETOWN:
    case F_GETOWN_EX:
    case F_SETOWN_EX:
    case F_GETSIG:
    case F_SETSIG:
    case F_NOTIFY:
      return AsyncCommand(task, fd, *file, command, argument);
    case F_GETLEASE:
      return GetLease(*file);
    case F_SETLEASE:
      return SetLease(task, fd, *file, static_cast<int>(argument));
    case F_SETPIPE_SZ:
    case F_GETPIPE_SZ:
      return PipeSize(task, *file, command, argument);
    case F_GET_RW_HINT:
    case F_SET_RW_HINT:
      return WriteHint(task, *file, command == F_SET_RW_HINT, UserPtr<uint64_t>(argument));
    case F_ADD_SEALS:
      if (!file->writable()) return Errno(EPERM);
      return file->FileCommand(command, argument);
    default:
      // Seals, and what the file knows itself.
      return file->FileCommand(command, argument);
  }
}

constexpr int kLockMand = 32;  // LOCK_MAND of <asm-generic/fcntl.h>

Result<int64_t> SysFlock(Task& task, Fd fd, int operation) {
  // Mandatory locks are gone; since Linux 5.17 what asks for one is told that it has it.
  if ((operation & kLockMand) != 0) return 0;
  FileLockType type;
  switch (operation & ~LOCK_NB) {
    case LOCK_SH:
      type = FileLockType::kShared;
      break;
    case LOCK_EX:
      type = FileLockType::kExclusive;
      break;
    case LOCK_UN:
      type = FileLockType::kUnlock;
      break;
    default:
      return Errno(EINVAL);
  }
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(fd));
  RefPtr<Inode> inode = file->inode();
  FileLocks& locks = inode->locks();
  auto attempt = [&] { return locks.Flock(type, file->lock_owner(), task.thread_group().pid()); };
  bool wait = (operation & LOCK_NB) == 0;
  RETURN_IF_ERROR(wait ? BlockOnQueue(task, locks.wait_queue(), EPOLLIN, Deadline::Never(), attempt)
                       : attempt());
  return 0;
}

}  // namespace runsc
