#include "runsc/lifecycle/attach.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "runsc/lifecycle/console.h"

namespace runsc {
namespace {

// All but those that are about this process itself.
sigset_t PassedOn() {
  sigset_t set;
  sigfillset(&set);
  for (int own : {SIGCHLD, SIGPIPE, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGURG})
    sigdelset(&set, own);
  return set;
}

}  // namespace

void HoldSignals() {
  sigset_t set = PassedOn();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

int Attach(pid_t pid, UniqueFd terminal) {
  HoldSignals();
  sigset_t set = PassedOn();
  UniqueFd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  std::optional<TerminalCopier> copier;
  if (terminal) copier.emplace(std::move(terminal));
  while (true) {
    bool signalled;
    if (copier) {
      signalled = copier->Run(process.get(), signals.get());
    } else {
      pollfd polls[2] = {{process.get(), POLLIN, 0}, {signals.get(), POLLIN, 0}};
      if (::poll(polls, 2, -1) < 0) continue;
      signalled = polls[1].revents != 0;
      if (polls[0].revents != 0) signalled = false;
    }
    if (!signalled) break;
    signalfd_siginfo info;
    if (::read(signals.get(), &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) continue;
    int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGWINCH && copier) {
      copier->Resize();
    } else if (signal != SIGWINCH) {
      ::kill(pid, signal);
    }
  }
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return 255;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace runsc
