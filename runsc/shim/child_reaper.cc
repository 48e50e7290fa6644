#include "runsc/shim/child_reaper.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

namespace runsc::shim {

ChildReaper::ChildReaper(EventLoop& loop) : loop_(loop) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, nullptr);
  signals_.reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  loop_.Watch(signals_.get(), POLLIN, [this](short) { Reap(); });
}

ChildReaper::~ChildReaper() { loop_.Forget(signals_.get()); }

void ChildReaper::Expect(pid_t pid, Ended ended) {
  auto found = unclaimed_.find(pid);
  if (found == unclaimed_.end()) {
    expected_[pid] = std::move(ended);
    return;
  }
  loop_.Post([ended = std::move(ended), status = found->second] { ended(status); });
  unclaimed_.erase(found);
}

void ChildReaper::EndCommand() {
  if (--commands_ == 0) unclaimed_.clear();
}

void ChildReaper::Reap() {
  // One signal may stand for several ends.
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof(info)) > 0) {
  }
  int status = 0;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    auto found = expected_.find(pid);
    if (found != expected_.end()) {
      Ended ended = std::move(found->second);
      expected_.erase(found);
      ended(status);
    } else if (commands_ > 0) {
      unclaimed_[pid] = status;
    }
  }
}

}  // namespace runsc::shim
