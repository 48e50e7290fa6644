#include "sentry/syscalls/async_command.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <climits>

#include "sentry/kernel/async_io.h"
#include "sentry/kernel/process_group.h"

namespace runsc {
namespace {

struct OwnerEx {  // struct f_owner_ex
  int32_t type;
  int32_t pid;
};

// `pid` 0: nobody. ESRCH: no such number; one that is none of `type` is taken, and nobody is told.
Result<void> SetOwner(Task& task, FileDescription& file, int type, pid_t pid) {
  AsyncIo::Owner owner;
  PidNamespace& space = task.pid_namespace();
  if (pid != 0) {
    RefPtr<Task> thread = space.FindTask(pid);
    RefPtr<ProcessGroup> group = space.FindProcessGroup(pid);
    if (!thread && !group) return Errno(ESRCH);
    if (type == F_OWNER_PID) owner.process = space.FindThreadGroup(pid);
    if (type == F_OWNER_TID) owner.thread = std::move(thread);
    if (type == F_OWNER_PGRP) owner.group = std::move(group);
  }
  AsyncIo::FindOrMake(file)->SetOwner(std::move(owner), task.creds());
  return Ok();
}

OwnerEx GetOwner(Task& task, FileDescription& file) {
  OwnerEx out{F_OWNER_TID, 0};  // the kernel's default type
  RefPtr<AsyncIo> io = AsyncIo::Find(file);
  if (!io) return out;
  AsyncIo::Owner owner = io->owner();
  PidNamespace& space = task.pid_namespace();
  if (owner.thread) {
    pid_t id = space.IdOf(*owner.thread);
    if (id != 0 && space.FindTask(id) == owner.thread) out.pid = id;
  } else if (owner.process) {
    out = {F_OWNER_PID, owner.process->IsZombie() ? 0 : space.IdOf(*owner.process)};
  } else if (owner.group) {
    out = {F_OWNER_PGRP, space.IdOf(*owner.group)};
  }
  return out;
}

// F_SETOWN: a process, or a process group's number negated.
Result<void> SetOwnerByNumber(Task& task, FileDescription& file, int32_t who) {
  if (who == INT_MIN) return Errno(EINVAL);
  return SetOwner(task, file, who < 0 ? F_OWNER_PGRP : F_OWNER_PID, who < 0 ? -who : who);
}

// The events of inotify that a directory notification's are.
uint32_t InotifyMaskOf(uint64_t flags) {
  struct {
    uint64_t flag;
    uint32_t mask;
  } constexpr kEvents[] = {{DN_ACCESS, IN_ACCESS},
                           {DN_MODIFY, IN_MODIFY},
                           {DN_CREATE, IN_CREATE | IN_MOVED_TO},
                           {DN_DELETE, IN_DELETE | IN_MOVED_FROM},
                           {DN_RENAME, IN_MOVED_FROM},
                           {DN_ATTRIB, IN_ATTRIB}};
  uint32_t mask = 0;
  for (const auto& event : kEvents) {
    if ((flags & event.flag) != 0) mask |= event.mask;
  }
  return mask;
}

Result<int64_t> NotifyOfDirectory(Task& task, int fd, FileDescription& file, uint64_t flags) {
  bool once = (flags & DN_MULTISHOT) == 0;
  flags &= static_cast<uint32_t>(~DN_MULTISHOT);
  if (flags == 0) {
    if (RefPtr<AsyncIo> io = AsyncIo::Find(file)) io->Unwatch();
    return 0;
  }
  if (!file.inode()->IsDirectory()) return Errno(ENOTDIR);
  uint32_t mask = InotifyMaskOf(flags);
  if (mask == 0) return 0;
  RefPtr<AsyncIo> io = AsyncIo::FindOrMake(file);
  RETURN_IF_ERROR(io->Watch(file, fd, mask, once, task.creds().ruid));
  // Who asks is told, unless somebody was named (Linux: fcntl_dirnotify).
  io->SetOwnerIfNone({.process = RefPtr<ThreadGroup>(&task.thread_group())}, task.creds());
  return 0;
}

}  // namespace

Result<int64_t> AsyncCommand(Task& task, int fd, FileDescription& file, int command, uint64_t argument) {
  switch (command) {
    case F_GETOWN: {
      OwnerEx owner = GetOwner(task, file);
      return owner.type == F_OWNER_PGRP ? -owner.pid : owner.pid;
    }
    case F_SETOWN:
      RETURN_IF_ERROR(SetOwnerByNumber(task, file, static_cast<int32_t>(argument)));
      return 0;
    case F_GETOWN_EX:
      RETURN_IF_ERROR(task.memory().Write(UserPtr<OwnerEx>(argument), GetOwner(task, file)));
      return 0;
    case F_SETOWN_EX: {
      ASSIGN_OR_RETURN(OwnerEx owner, task.memory().Read(UserPtr<const OwnerEx>(argument)));
      if (owner.type < F_OWNER_TID || owner.type > F_OWNER_PGRP) return Errno(EINVAL);
      RETURN_IF_ERROR(SetOwner(task, file, owner.type, owner.pid));
      return 0;
    }
    case F_GETSIG: {
      RefPtr<AsyncIo> io = AsyncIo::Find(file);
      return io ? io->signal() : 0;
    }
    case F_SETSIG:
      if (argument > static_cast<uint64_t>(kSignalMax)) return Errno(EINVAL);
      AsyncIo::FindOrMake(file)->SetSignal(static_cast<int>(argument));
      return 0;
    case F_NOTIFY:
      return NotifyOfDirectory(task, fd, file, argument);
    default:
      return Errno(EINVAL);
  }
}

bool CanSignalReadiness(FileDescription& file) {
  if (file.wait_queue() == nullptr) return false;
  uint32_t type = file.inode()->file_type();
  return type == S_IFIFO || type == S_IFSOCK || type == S_IFCHR ||
         dynamic_cast<InotifyFile*>(&file) != nullptr;
}

void SetAsync(Task& task, int fd, FileDescription& file, bool on) {
  if (!on) {
    if (RefPtr<AsyncIo> io = AsyncIo::Find(file)) io->Stop(file);
    return;
  }
  RefPtr<AsyncIo> io = AsyncIo::FindOrMake(file);
  EventMask events = EPOLLHUP | EPOLLERR;
  if (file.readable()) events |= EPOLLIN | EPOLLPRI | EPOLLRDHUP;
  if (file.writable()) events |= EPOLLOUT;
  io->Start(file, fd, events);
  // A terminal tells the processes that use it, unless somebody was named (Linux: __tty_fasync).
  if (file.inode()->file_type() == S_IFCHR)
    io->SetOwnerIfNone({.group = task.thread_group().process_group()}, task.creds());
}

}  // namespace runsc
