#include "runsc/sandbox/caller_terminal.h"

#include <string.h>
#include <unistd.h>

namespace runsc {

CallerTerminal::CallerTerminal(const std::array<int, 3>& streams) {
  for (int fd : streams) {
    if (fd < 0 || ::isatty(fd) != 1) continue;
    fd_ = fd;
    break;
  }
}

void CallerTerminal::Save() {
  termios settings;
  if (!saved_ && fd_ >= 0 && ::tcgetattr(fd_, &settings) == 0) saved_ = settings;
}

bool CallerTerminal::IsForeground() const {
  if (fd_ < 0) return true;
  pid_t foreground = ::tcgetpgrp(fd_);
  // Not our controlling terminal, or it has hung up.
  return foreground < 0 || foreground == ::getpgrp();
}

void CallerTerminal::Restore() const {
  termios now;
  if (!saved_ || !IsForeground() || ::tcgetattr(fd_, &now) != 0) return;
  bool same = now.c_iflag == saved_->c_iflag && now.c_oflag == saved_->c_oflag &&
              now.c_cflag == saved_->c_cflag && now.c_lflag == saved_->c_lflag &&
              ::memcmp(now.c_cc, saved_->c_cc, sizeof(now.c_cc)) == 0;
  if (!same) ::tcsetattr(fd_, TCSADRAIN, &*saved_);
}

void TakeDefaultAction(int signal) {
  struct sigaction standard {};
  struct sigaction before {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal, &standard, &before);
  ::raise(signal);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::sigaction(signal, &before, nullptr);
}

}  // namespace runsc
