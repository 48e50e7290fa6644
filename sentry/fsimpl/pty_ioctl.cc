// The ioctls of pseudo-terminals: ioctl_tty(2).
#include <asm/termbits.h>
#include <sys/ioctl.h>

#include <cstring>

#include "sentry/fsimpl/pty.h"

namespace runsc {
namespace {

Result<int64_t> WriteInt(UserMemory& memory, uint64_t argument, int value) {
  RETURN_IF_ERROR(memory.Write(UserPtr<int32_t>(argument), int32_t{value}));
  return 0;
}

}  // namespace

Result<int64_t> Pty::SetWindowSize(const winsize& size) {
  {
    MutexLock lock(mu_);
    if (std::memcmp(&window_, &size, sizeof(size)) == 0) return 0;
    window_ = size;
  }
  SignalForeground(SIGWINCH);
  return 0;
}

Result<int64_t> Pty::MasterIoctl(UserMemory& memory, uint32_t request, uint64_t argument, int flags) {
  switch (request) {
    case TIOCGPTN:
      return WriteInt(memory, argument, index_);
    case TIOCSPTLCK: {
      ASSIGN_OR_RETURN(int32_t value, memory.Read(UserPtr<int32_t>(argument)));
      MutexLock lock(mu_);
      locked_ = value != 0;
      return 0;
    }
    case TIOCGPTLCK: {
      bool locked = false;
      {
        MutexLock lock(mu_);
        locked = locked_;
      }
      return WriteInt(memory, argument, locked);
    }
    case TIOCGPTPEER: {
      Task* task = Task::CurrentOrNull();
      if (task == nullptr) return Errno(ENOTTY);
      int open_flags = static_cast<int>(argument);
      ASSIGN_OR_RETURN(RefPtr<FileDescription> file, OpenFile(open_flags & ~O_CLOEXEC));
      MaybeBecomeControlling(*this, open_flags);
      ASSIGN_OR_RETURN(int fd, task->AddFile(std::move(file), (open_flags & O_CLOEXEC) != 0));
      return fd;
    }
    case TIOCPKT: {
      ASSIGN_OR_RETURN(int32_t value, memory.Read(UserPtr<int32_t>(argument)));
      MutexLock lock(mu_);
      packet_mode_ = value != 0;
      packet_status_ = 0;
      return 0;
    }
    case TIOCGPKT: {
      bool on = false;
      {
        MutexLock lock(mu_);
        on = packet_mode_;
      }
      return WriteInt(memory, argument, on);
    }
    case TIOCSIG: {
      int signal = static_cast<int>(argument);
      if (!IsValidSignal(signal)) return Errno(EINVAL);
      SignalForeground(signal);
      return 0;
    }
    case FIONREAD: {
      size_t size = 0;
      {
        MutexLock lock(mu_);
        size = discipline_.pending_output().size();
      }
      return WriteInt(memory, argument, static_cast<int>(size));
    }
    default:
      return Ioctl(memory, request, argument, Side::kMaster);
  }
}

Result<int64_t> Pty::JobControlIoctl(UserMemory& memory, uint32_t request, uint64_t argument, Side side) {
  Task* task = Task::CurrentOrNull();
  if (task == nullptr) return Errno(ENOTTY);
  switch (request) {
    case TIOCGPGRP: {
      Result<pid_t> group = ForegroundGroup(*task);
      // The master may ask about a session that is not its own.
      if (!group.ok() && side == Side::kMaster) group = ForegroundGroupSeenBy(task->pid_namespace());
      if (!group.ok()) return group.error();
      return WriteInt(memory, argument, *group);
    }
    case TIOCSPGRP: {
      ASSIGN_OR_RETURN(int32_t group, memory.Read(UserPtr<int32_t>(argument)));
      RETURN_IF_ERROR(SetForegroundGroup(*task, group));
      return 0;
    }
    case TIOCGSID: {
      ASSIGN_OR_RETURN(pid_t session, SessionId(*task));
      return WriteInt(memory, argument, session);
    }
    case TIOCSCTTY:
      RETURN_IF_ERROR(BecomeControlling(*task, argument == 1));
      return 0;
    default:  // TIOCNOTTY
      if (side == Side::kMaster) return Errno(ENOTTY);
      RETURN_IF_ERROR(GiveUp(*task));
      return 0;
  }
}

Result<int64_t> Pty::Ioctl(UserMemory& memory, uint32_t request, uint64_t argument, Side side) {
  switch (request) {
    case TIOCGPGRP:
    case TIOCSPGRP:
    case TIOCGSID:
    case TIOCSCTTY:
    case TIOCNOTTY:
      return JobControlIoctl(memory, request, argument, side);
    // What changes the terminal is not for a background group.
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
    case TCSBRK:
    case TCSBRKP:
    case TCXONC:
    case TCFLSH:
    case TIOCSWINSZ:
      if (Task* task = Task::CurrentOrNull(); task != nullptr && side == Side::kReplica)
        RETURN_IF_ERROR(CheckBackground(*task, SIGTTOU));
      break;
    default:
      break;
  }
  if (side == Side::kReplica) {
    MutexLock lock(mu_);
    if (master_closed_) return Errno(EIO);
  }
  switch (request) {
    case TCGETS:
    case TCGETS2:
    case TCGETA:
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
    case TIOCGSOFTCAR:
    case TIOCSSOFTCAR:
    case TIOCGLCKTRMIOS:
    case TIOCSLCKTRMIOS:
      return TermiosIoctl(memory, request, argument);
    case TIOCGWINSZ: {
      winsize size;
      {
        MutexLock lock(mu_);
        size = window_;
      }
      RETURN_IF_ERROR(memory.Write(UserPtr<winsize>(argument), size));
      return 0;
    }
    case TIOCSWINSZ: {
      ASSIGN_OR_RETURN(winsize size, memory.Read(UserPtr<winsize>(argument)));
      return SetWindowSize(size);
    }
    case FIONREAD: {
      size_t size = 0;
      {
        MutexLock lock(mu_);
        size = discipline_.BytesQueued();
      }
      return WriteInt(memory, argument, static_cast<int>(size));
    }
    case TIOCOUTQ:
      return WriteInt(memory, argument, 0);
    case TCFLSH: {
      if (argument > TCIOFLUSH) return Errno(EINVAL);
      {
        MutexLock lock(mu_);
        // What one side has queued for output is the other's to read.
        bool master = side == Side::kMaster;
        bool input = argument != TCOFLUSH, output = argument != TCIFLUSH;
        if (master ? output : input) discipline_.FlushInput();
        if (master ? input : output) discipline_.FlushOutput();
        if (packet_mode_ && !master) {
          if (input) packet_status_ |= TIOCPKT_FLUSHREAD;
          if (output) packet_status_ |= TIOCPKT_FLUSHWRITE;
        }
      }
      Settle();
      return 0;
    }
    case TCXONC: {
      if (argument > TCION) return Errno(EINVAL);
      {
        MutexLock lock(mu_);
        if (argument == TCOOFF) discipline_.Stop();
        if (argument == TCOON) discipline_.Start();
        if (packet_mode_ && argument <= TCOON)
          packet_status_ |= argument == TCOOFF ? TIOCPKT_STOP : TIOCPKT_START;
        // TCIOFF and TCION send STOP and START to the other side.
        if (argument == TCIOFF || argument == TCION) {
          char c = static_cast<char>(discipline_.termios().c_cc[argument == TCIOFF ? VSTOP : VSTART]);
          if (c != 0) discipline_.Output(std::string_view(&c, 1));
        }
      }
      Settle();
      return 0;
    }
    case TCSBRK:
    case TCSBRKP:
    case TIOCSBRK:
    case TIOCCBRK:
      return 0;  // output is never on its way, and a pty has no line to break
    case TIOCEXCL:
    case TIOCNXCL: {
      MutexLock lock(mu_);
      exclusive_ = request == TIOCEXCL;
      return 0;
    }
    case TIOCGEXCL: {
      bool exclusive = false;
      {
        MutexLock lock(mu_);
        exclusive = exclusive_;
      }
      return WriteInt(memory, argument, exclusive);
    }
    case TIOCGETD:
      return WriteInt(memory, argument, 0);  // N_TTY
    case TIOCSETD: {
      ASSIGN_OR_RETURN(int32_t discipline, memory.Read(UserPtr<int32_t>(argument)));
      return discipline == 0 ? Result<int64_t>(0) : Errno(EINVAL);
    }
    case TIOCGDEV:
      return WriteInt(memory, argument, static_cast<int>(device()));
    case TIOCSTI:
      return Errno(EIO);  // as with dev.tty.legacy_tiocsti = 0
    default:
      return Errno(ENOTTY);
  }
}

}  // namespace runsc
