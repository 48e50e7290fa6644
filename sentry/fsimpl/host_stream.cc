#include "sentry/fsimpl/host_stream.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sentry/kernel/kernel.h"
#include "sentry/time/clock.h"

extern "C" int ioctl(int fd, unsigned long request, ...);

namespace runsc {
namespace {

struct WindowSize {  // struct winsize
  uint16_t rows, columns, width, height;
};

template <typename T>
Result<int64_t> HostToGuest(int fd, uint32_t request, UserMemory& memory, uint64_t argument) {
  T value{};
  if (ioctl(fd, request, &value) < 0) return HostErrno();
  RETURN_IF_ERROR(memory.Write(UserPtr<T>(argument), value));
  return 0;
}

template <typename T>
Result<int64_t> GuestToHost(int fd, uint32_t request, UserMemory& memory, uint64_t argument) {
  ASSIGN_OR_RETURN(T value, memory.Read(UserPtr<const T>(argument)));
  if (ioctl(fd, request, &value) < 0) return HostErrno();
  return 0;
}

Result<int64_t> WritePid(Result<pid_t> pid, UserMemory& memory, uint64_t argument) {
  if (!pid.ok()) return pid.error();
  RETURN_IF_ERROR(memory.Write(UserPtr<int32_t>(argument), static_cast<int32_t>(*pid)));
  return 0;
}

}  // namespace

HostStream::HostStream(const VfsPath& path, int flags, RefPtr<HostInode> inode)
    : FileDescription(path, flags), host_(std::move(inode)) {}

Result<size_t> HostStream::Read(IoSequence& to) {
  Task* task = Task::CurrentOrNull();
  if (!host_->terminal() || task == nullptr) return host_->TryRead(to);
  RETURN_IF_ERROR(host_->terminal()->CheckUse(*task, SIGTTIN));
  return TerminalRead(*task, to);
}

// The host calls a terminal with VMIN 0 readable once there is something: that a read of it ends without, at
// once or after VTIME, is to be done here.
Result<size_t> HostStream::TerminalRead(Task& task, IoSequence& to) {
  constexpr int64_t kTenth = 100'000'000;
  // A deadline that is long gone was set by a read that a signal ended.
  constexpr int64_t kForgotten = 1'000'000'000;
  Result<size_t> done = host_->TryRead(to);
  struct termios settings {};
  if (!done.is(EAGAIN)) read_deadline_.store(INT64_MAX);
  if (!done.is(EAGAIN) || non_blocking() || ioctl(host_->fd(), TCGETS, &settings) < 0) return done;
  if ((settings.c_lflag & ICANON) != 0 || settings.c_cc[VMIN] != 0) return done;
  int64_t wait = settings.c_cc[VTIME] * kTenth;
  if (wait == 0) return size_t{0};
  int64_t now = MonotonicNow();
  int64_t deadline = read_deadline_.load();
  if (deadline == INT64_MAX || now - deadline > kForgotten) {
    read_deadline_.store(now + wait);
    NewOrOldTimer(task).Set(Deadline::AtMonotonic(now + wait));
    return done;
  }
  if (now < deadline) return done;
  read_deadline_.store(INT64_MAX);
  return size_t{0};
}

Timer& HostStream::NewOrOldTimer(Task& task) {
  MutexLock lock(timer_mu_);
  if (!timer_) {
    timer_ = std::make_unique<Timer>(task.kernel().timers(),
                                     [host = host_] { host->wait_queue().Notify(EPOLLIN); });
  }
  return *timer_;
}

Result<size_t> HostStream::Write(IoSequence& from) {
  Task* task = Task::CurrentOrNull();
  if (host_->terminal() && task != nullptr) {
    struct termios settings {};
    if (ioctl(host_->fd(), TCGETS, &settings) == 0 && (settings.c_lflag & TOSTOP) != 0)
      RETURN_IF_ERROR(host_->terminal()->CheckUse(*task, SIGTTOU));
  }
  return host_->TryWrite(from);
}

Result<int64_t> HostStream::Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) {
  int fd = host_->fd();
  if (request == FIONREAD) return HostToGuest<int32_t>(fd, request, memory, argument);
  Task* task = Task::CurrentOrNull();
  if (!host_->terminal() || task == nullptr) return Errno(ENOTTY);
  HostTerminal& terminal = *host_->terminal();
  switch (request) {
    case TCGETS:
      return HostToGuest<struct termios>(fd, request, memory, argument);
    case TCGETS2:
      return HostToGuest<struct termios2>(fd, request, memory, argument);
    case TIOCGWINSZ:
      return HostToGuest<WindowSize>(fd, request, memory, argument);
    case TIOCOUTQ:
      return HostToGuest<int32_t>(fd, request, memory, argument);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
      RETURN_IF_ERROR(terminal.CheckUse(*task, SIGTTOU, true));
      return GuestToHost<struct termios>(fd, request, memory, argument);
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
      RETURN_IF_ERROR(terminal.CheckUse(*task, SIGTTOU, true));
      return GuestToHost<struct termios2>(fd, request, memory, argument);
    case TIOCSWINSZ:
      RETURN_IF_ERROR(terminal.CheckUse(*task, SIGTTOU, true));
      return GuestToHost<WindowSize>(fd, request, memory, argument);
    case TCSBRK:
    case TCSBRKP:
    case TCXONC:
    case TCFLSH:
      RETURN_IF_ERROR(terminal.CheckUse(*task, SIGTTOU, true));
      if (ioctl(fd, request, static_cast<unsigned long>(static_cast<uint32_t>(argument))) < 0)
        return HostErrno();
      return 0;
    case TIOCGPGRP: {
      ASSIGN_OR_RETURN(bool background, terminal.IsHostBackground(*task, false));
      Result<pid_t> group = terminal.ForegroundGroup(*task);
      // As for a process group of another PID namespace: none that is known here.
      return WritePid(background && group.ok() ? Result<pid_t>(0) : group, memory, argument);
    }
    case TIOCGSID:
      return WritePid(terminal.SessionId(*task), memory, argument);
    case TIOCSPGRP: {
      RETURN_IF_ERROR(terminal.CheckUse(*task, SIGTTOU, true));
      ASSIGN_OR_RETURN(int32_t group, memory.Read(UserPtr<const int32_t>(argument)));
      RETURN_IF_ERROR(terminal.SetForegroundGroup(*task, group));
      return 0;
    }
    case TIOCSCTTY:
      RETURN_IF_ERROR(terminal.BecomeControlling(*task, argument == 1));
      return 0;
    case TIOCNOTTY:
      RETURN_IF_ERROR(terminal.GiveUp(*task));
      return 0;
    default:
      // TIOCSTI and its like would type on the host's terminal for its user.
      return Errno(ENOTTY);
  }
}

Result<size_t> HostSeekable::Read(IoSequence& to) {
  return TransferBlocks(to, MemoryAccess::kWrite, [&](std::span<const iovec> blocks, uint64_t) {
    return preadv2(host_.fd(), blocks.data(), static_cast<int>(blocks.size()), -1, 0);
  });
}

Result<size_t> HostSeekable::Write(IoSequence& from) {
  bool append = (flags() & O_APPEND) != 0;
  return TransferBlocks(from, MemoryAccess::kRead, [&](std::span<const iovec> blocks, uint64_t) {
    int count = static_cast<int>(blocks.size());
    // With an offset of -1 the shared offset moves too, as after O_APPEND.
    return pwritev2(host_.fd(), blocks.data(), count, -1, append ? RWF_APPEND : 0);
  });
}

Result<int64_t> HostSeekable::Seek(int64_t offset, int whence) {
  off_t at = lseek(host_.fd(), offset, whence);
  if (at < 0) return HostErrno();
  return at;
}

Result<RefPtr<MappedObject>> HostSeekable::ConfigureMMap(int prot, bool shared) {
  if (!host_.IsRegular()) return Errno(ENODEV);
  return RefPtr<MappedObject>(this);
}

}  // namespace runsc
