#include "sentry/kernel/signal.h"

#include <algorithm>
#include <cstring>

namespace runsc {
namespace {

constexpr SignalSet kSynchronousSignals = SignalSet::Of(SIGSEGV) | SignalSet::Of(SIGBUS) |
                                          SignalSet::Of(SIGILL) | SignalSet::Of(SIGTRAP) |
                                          SignalSet::Of(SIGFPE) | SignalSet::Of(SIGSYS);

}  // namespace

SignalDefault DefaultActionOf(int signal) {
  switch (signal) {
    case SIGCHLD:
    case SIGURG:
    case SIGWINCH:
      return SignalDefault::kIgnore;
    case SIGCONT:
      return SignalDefault::kContinue;
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
      return SignalDefault::kStop;
    case SIGQUIT:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGSEGV:
    case SIGXCPU:
    case SIGXFSZ:
    case SIGSYS:
      return SignalDefault::kCore;
    default:
      return SignalDefault::kTerminate;
  }
}

siginfo_t MakeSignalInfo(int signal, int code) {
  siginfo_t info;
  memset(&info, 0, sizeof(info));
  info.si_signo = signal;
  info.si_code = code;
  return info;
}

siginfo_t MakeUserSignalInfo(int signal, int code, pid_t pid, uint32_t uid) {
  siginfo_t info = MakeSignalInfo(signal, code);
  info.si_pid = pid;
  info.si_uid = uid;
  return info;
}

bool SignalQueue::Push(const siginfo_t& info) {
  if (info.si_signo < kSignalRtMin && pending_.Has(info.si_signo)) return false;
  queue_.push_back(info);
  pending_.Add(info.si_signo);
  return true;
}

std::optional<siginfo_t> SignalQueue::Pop(SignalSet blocked) {
  SignalSet candidates = pending_ & ~blocked;
  if (candidates.empty()) return std::nullopt;
  SignalSet synchronous = candidates & kSynchronousSignals;
  int signal = __builtin_ctzll((synchronous.empty() ? candidates : synchronous).bits()) + 1;

  auto is_it = [signal](const siginfo_t& info) { return info.si_signo == signal; };
  auto first = std::find_if(queue_.begin(), queue_.end(), is_it);
  CHECK(first != queue_.end());
  siginfo_t info = *first;
  first = queue_.erase(first);
  if (std::find_if(first, queue_.end(), is_it) == queue_.end()) pending_.Remove(signal);
  return info;
}

void SignalQueue::Discard(SignalSet signals) {
  if ((pending_ & signals).empty()) return;
  std::erase_if(queue_, [signals](const siginfo_t& info) { return signals.Has(info.si_signo); });
  pending_ = pending_ & ~signals;
}

SignalAction SignalHandlers::Get(int signal) const {
  MutexLock lock(mu_);
  return actions_[signal - 1];
}

SignalAction SignalHandlers::Exchange(int signal, const SignalAction& action) {
  MutexLock lock(mu_);
  return std::exchange(actions_[signal - 1], action);
}

RefPtr<SignalHandlers> SignalHandlers::Copy() const {
  auto copy = MakeRef<SignalHandlers>();
  copy->mu_.AssertHeld();  // nobody else knows it yet
  MutexLock lock(mu_);
  for (int i = 0; i < kSignalMax; ++i) copy->actions_[i] = actions_[i];
  return copy;
}

void SignalHandlers::ResetForExec() {
  MutexLock lock(mu_);
  for (SignalAction& action : actions_) {
    bool ignored = action.IsIgnored();
    action = SignalAction{};
    if (ignored) action.handler = 1;
  }
}

}  // namespace runsc
