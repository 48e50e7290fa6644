// The settings of a pseudo-terminal: termios(3), and the older termio of System V.
#include <asm/termbits.h>
#include <linux/capability.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "sentry/fsimpl/pty.h"

namespace runsc {
namespace {

Result<void> WriteTermios(UserMemory& memory, uint64_t argument, const KernelTermios& termios, size_t size) {
  auto bytes = std::as_bytes(std::span(&termios, 1)).first(size);
  if (memory.CopyOut(UserAddr(argument), bytes) != size) return Errno(EFAULT);
  return Ok();
}
Result<void> ReadTermios(UserMemory& memory, uint64_t argument, size_t size, KernelTermios* termios) {
  auto bytes = std::as_writable_bytes(std::span(termios, 1)).first(size);
  if (memory.CopyIn(UserAddr(argument), bytes) != size) return Errno(EFAULT);
  return Ok();
}

// Speeds of the Bnnn codes that have a number of their own.
uint32_t SpeedOf(uint32_t code, uint32_t other) {
  static constexpr struct {
    uint32_t code, speed;
  } kSpeeds[] = {{B0, 0},           {B50, 50},         {B75, 75},           {B110, 110},
                 {B134, 134},       {B150, 150},       {B200, 200},         {B300, 300},
                 {B600, 600},       {B1200, 1200},     {B1800, 1800},       {B2400, 2400},
                 {B4800, 4800},     {B9600, 9600},     {B19200, 19200},     {B38400, 38400},
                 {B57600, 57600},   {B115200, 115200}, {B230400, 230400},   {B460800, 460800},
                 {B500000, 500000}, {B921600, 921600}, {B1000000, 1000000}, {B4000000, 4000000}};
  for (const auto& entry : kSpeeds) {
    if (entry.code == code) return entry.speed;
  }
  return other;
}

// struct termio: the lower halves of the flags and the first characters.
struct KernelTermio {
  uint16_t c_iflag, c_oflag, c_cflag, c_lflag;
  uint8_t c_line;
  uint8_t c_cc[NCC];
  uint8_t padding;
};
static_assert(sizeof(KernelTermio) == sizeof(termio));

KernelTermio ToTermio(const KernelTermios& termios) {
  KernelTermio old{};
  old.c_iflag = static_cast<uint16_t>(termios.c_iflag);
  old.c_oflag = static_cast<uint16_t>(termios.c_oflag);
  old.c_cflag = static_cast<uint16_t>(termios.c_cflag);
  old.c_lflag = static_cast<uint16_t>(termios.c_lflag);
  old.c_line = termios.c_line;
  std::copy_n(termios.c_cc, NCC, old.c_cc);
  return old;
}
void TakeTermio(const KernelTermio& old, KernelTermios* termios) {
  auto replace = [](uint32_t* flags, uint16_t lower) { *flags = (*flags & 0xffff0000u) | lower; };
  replace(&termios->c_iflag, old.c_iflag);
  replace(&termios->c_oflag, old.c_oflag);
  replace(&termios->c_cflag, old.c_cflag);
  replace(&termios->c_lflag, old.c_lflag);
  termios->c_line = old.c_line;
  std::copy_n(old.c_cc, NCC, termios->c_cc);
}

// What TIOCSLCKTRMIOS has locked stays as it was. Linux: unset_locked_termios().
void KeepLocked(const KernelTermios& locked, const KernelTermios& old, KernelTermios* termios) {
  auto keep = [&](uint32_t KernelTermios::*flags) {
    termios->*flags = (termios->*flags & ~(locked.*flags)) | (old.*flags & locked.*flags);
  };
  keep(&KernelTermios::c_iflag);
  keep(&KernelTermios::c_oflag);
  keep(&KernelTermios::c_cflag);
  keep(&KernelTermios::c_lflag);
  if (locked.c_line != 0) termios->c_line = old.c_line;
  for (size_t i = 0; i < std::size(locked.c_cc); ++i) {
    if (locked.c_cc[i] != 0) termios->c_cc[i] = old.c_cc[i];
  }
}

}  // namespace

void Pty::SetTermios(KernelTermios termios, bool flush_input) {
  // A pty carries whole bytes and always receives (pty_set_termios).
  termios.c_cflag &= ~static_cast<uint32_t>(CSIZE | PARENB);
  termios.c_cflag |= CS8 | CREAD;
  {
    MutexLock lock(mu_);
    if (flush_input) discipline_.FlushInput();
    const KernelTermios& old = discipline_.termios();
    KeepLocked(locked_termios_, old, &termios);
    auto flow = [](const KernelTermios& t) {
      return (t.c_iflag & IXON) != 0 && t.c_cc[VSTART] == 'Q' - '@' && t.c_cc[VSTOP] == 'S' - '@';
    };
    if (packet_mode_ && flow(old) != flow(termios)) {
      packet_status_ &= static_cast<uint8_t>(~(TIOCPKT_DOSTOP | TIOCPKT_NOSTOP));
      packet_status_ |= flow(termios) ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP;
    }
    if (packet_mode_ && ((old.c_lflag | termios.c_lflag) & EXTPROC) != 0) packet_status_ |= TIOCPKT_IOCTL;
    discipline_.SetTermios(termios);
  }
  Settle();
}

KernelTermios Pty::termios() {
  MutexLock lock(mu_);
  return discipline_.termios();
}

Result<int64_t> Pty::SetTermiosIoctl(UserMemory& memory, uint32_t request, uint64_t argument) {
  KernelTermios termios = this->termios();
  bool sets_speed = false, flushes = false;
  switch (request) {
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
      RETURN_IF_ERROR(ReadTermios(memory, argument, sizeof(termios), &termios));
      sets_speed = true;
      flushes = request == TCSETSF2;
      break;
    case TCSETA:
    case TCSETAW:
    case TCSETAF: {
      ASSIGN_OR_RETURN(KernelTermio old, memory.Read(UserPtr<const KernelTermio>(argument)));
      TakeTermio(old, &termios);
      flushes = request == TCSETAF;
      break;
    }
    default:
      RETURN_IF_ERROR(ReadTermios(memory, argument, kOldTermiosSize, &termios));
      flushes = request == TCSETSF;
      break;
  }
  if (!sets_speed) {
    termios.c_ospeed = SpeedOf(termios.c_cflag & CBAUD, termios.c_ospeed);
    termios.c_ispeed = termios.c_ospeed;
  }
  SetTermios(termios, flushes);
  return 0;
}

Result<int64_t> Pty::TermiosIoctl(UserMemory& memory, uint32_t request, uint64_t argument) {
  KernelTermios now = termios();
  switch (request) {
    case TCGETS:
      RETURN_IF_ERROR(WriteTermios(memory, argument, now, kOldTermiosSize));
      return 0;
    case TCGETS2:
      RETURN_IF_ERROR(WriteTermios(memory, argument, now, sizeof(now)));
      return 0;
    case TCGETA:
      RETURN_IF_ERROR(memory.Write(UserPtr<KernelTermio>(argument), ToTermio(now)));
      return 0;
    case TIOCGSOFTCAR:
      RETURN_IF_ERROR(memory.Write(UserPtr<int32_t>(argument), int32_t{(now.c_cflag & CLOCAL) != 0}));
      return 0;
    case TIOCSSOFTCAR: {
      ASSIGN_OR_RETURN(int32_t local, memory.Read(UserPtr<const int32_t>(argument)));
      now.c_cflag = local != 0 ? now.c_cflag | CLOCAL : now.c_cflag & ~static_cast<uint32_t>(CLOCAL);
      SetTermios(now, false);
      return 0;
    }
    case TIOCGLCKTRMIOS: {
      KernelTermios locked;
      {
        MutexLock lock(mu_);
        locked = locked_termios_;
      }
      RETURN_IF_ERROR(WriteTermios(memory, argument, locked, kOldTermiosSize));
      return 0;
    }
    case TIOCSLCKTRMIOS: {
      Task* task = Task::CurrentOrNull();
      if (task == nullptr || !task->creds().HasCapability(CAP_SYS_ADMIN)) return Errno(EPERM);
      KernelTermios locked{};
      RETURN_IF_ERROR(ReadTermios(memory, argument, kOldTermiosSize, &locked));
      MutexLock lock(mu_);
      locked_termios_ = locked;
      return 0;
    }
    default:
      return SetTermiosIoctl(memory, request, argument);
  }
}

}  // namespace runsc
