#include "sentry/syscalls/file_io.h"

#include "sentry/syscalls/blocking_io.h"
#include "sentry/vfs/inotify.h"

namespace runsc {

namespace {

// A write to these goes on until all is written; others decide themselves how much they take.
bool WritesAll(FileDescription& file) {
  uint32_t type = file.inode()->file_type();
  return type == S_IFIFO || type == S_IFSOCK || type == S_IFCHR || type == S_IFREG;
}

// Calls `operation` until it can be done, or the file's own time is over.
template <typename Operation>
Result<size_t> Wait(Task& task, FileDescription& file, bool write, Operation operation) {
  EventMask events = write ? kEventsWrite : kEventsRead;
  int64_t timeout = file.io_timeout(write);
  if (timeout == 0) return BlockOnFile(task, file, events, Deadline::Never(), operation);
  Result<size_t> done = BlockOnFile(task, file, events, Deadline::After(timeout), operation);
  if (done.is(ETIMEDOUT)) return Errno(EAGAIN);
  if (done.is(ERESTARTSYS)) return Errno(EINTR);
  return done;
}

void SendOwnSignal(Task& task, int signal) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = SI_USER;
  info.si_pid = task.thread_group().pid();
  info.si_uid = task.VisibleUid(task.creds().ruid);
  (void)task.SendSignal(info);  // a pending one of the same number is enough
}

// Cuts the write at RLIMIT_FSIZE.
Result<void> ApplySizeLimit(Task& task, FileDescription& file, IoSequence& from,
                            std::optional<uint64_t> offset, bool append) {
  uint64_t limit = task.Limit(RLIMIT_FSIZE);
  if (limit == RLIM_INFINITY || from.empty() || !file.inode()->IsRegular()) return Ok();
  uint64_t start = 0;
  if (append || (file.flags() & O_APPEND) != 0) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, file.Attributes());
    start = attributes.size;
  } else if (offset) {
    start = *offset;
  } else {
    ASSIGN_OR_RETURN(int64_t position, file.Seek(0, SEEK_CUR));
    start = static_cast<uint64_t>(position);
  }
  if (start >= limit) return FileTooLarge(task);
  from.Truncate(limit - start);
  return Ok();
}

// RWF_APPEND: what O_APPEND does, for one write.
Result<size_t> AppendOnce(FileDescription& file, IoSequence& from, bool moves_offset) {
  uint64_t end = 0;
  size_t done = 0;
  {
    RefPtr<Inode> inode = file.inode();
    MutexLock lock(inode->write_lock());
    ASSIGN_OR_RETURN(InodeAttributes attributes, file.Attributes());
    ASSIGN_OR_RETURN(done, file.PWrite(from, attributes.size));
    end = attributes.size + done;
  }
  if (moves_offset) RETURN_IF_ERROR(file.Seek(static_cast<int64_t>(end), SEEK_SET));
  return done;
}

// A write by somebody without CAP_FSETID takes the set-user-ID and set-group-ID bits away.
void ClearSetIds(Task& task, FileDescription& file) {
  if (task.creds().HasCapability(CAP_FSETID) || !file.inode()->IsRegular()) return;
  Result<InodeAttributes> attributes = file.Attributes();
  if (!attributes.ok() || (attributes->mode & (S_ISUID | S_ISGID)) == 0) return;
  uint32_t mode = attributes->mode & 07777 & ~static_cast<uint32_t>(S_ISUID);
  if ((mode & S_IXGRP) != 0) mode &= ~static_cast<uint32_t>(S_ISGID);
  AttributeChange change;
  change.mode = mode;
  (void)file.SetAttributes(change);  // the write itself succeeded
}

}  // namespace

Errno FileTooLarge(Task& task) {
  SendOwnSignal(task, SIGXFSZ);
  return Errno(EFBIG);
}

Result<size_t> ReadFile(Task& task, FileDescription& file, IoSequence& to, std::optional<uint64_t> offset,
                        bool non_blocking) {
  if (!file.readable()) return Errno(EBADF);
  auto operation = [&] { return offset ? file.PRead(to, *offset) : file.Read(to); };
  bool may_block = !non_blocking && !to.empty();
  Result<size_t> done = may_block ? Wait(task, file, false, operation) : operation();
  if (to.empty() && done.is(EAGAIN) && !non_blocking) return 0;
  if (done.ok() && *done > 0) InotifyNotify(*file.dentry(), IN_ACCESS);
  return done;
}

Result<size_t> WriteFile(Task& task, FileDescription& file, IoSequence& from, std::optional<uint64_t> offset,
                         bool non_blocking, bool append) {
  if (!file.writable()) return Errno(EBADF);
  append = append && file.inode()->IsRegular() && (file.flags() & O_APPEND) == 0;
  RETURN_IF_ERROR(ApplySizeLimit(task, file, from, offset, append));
  size_t total = 0;
  auto operation = [&]() -> Result<size_t> {
    if (append) return AppendOnce(file, from, !offset);
    return offset ? file.PWrite(from, *offset + total) : file.Write(from);
  };
  bool may_block = !non_blocking && !from.empty();
  do {
    Result<size_t> done = may_block ? Wait(task, file, true, operation) : operation();
    if (!done.ok()) {
      if (total > 0) break;
      if (done.is(EPIPE)) SendOwnSignal(task, SIGPIPE);
      return done;
    }
    total += *done;
    if (*done == 0) break;
  } while (!from.empty() && WritesAll(file));
  if (total > 0) {
    ClearSetIds(task, file);
    InotifyNotify(*file.dentry(), IN_MODIFY);
  }
  return total;
}

}  // namespace runsc
