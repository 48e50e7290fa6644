#include "sentry/boot/supervisor.h"

#include <poll.h>
#include <signal.h>

#include <vector>

#include "sentry/boot/channel.h"

namespace runsc {

void Supervisor::Run() {
  std::vector<pollfd> polls = {{channel_, POLLIN, 0}, {ended_, POLLIN, 0}, {gofer_, POLLRDHUP, 0}};
  for (int fd : kernel_.platform().death_fds()) polls.push_back({fd, POLLIN, 0});
  while (true) {
    if (::poll(polls.data(), polls.size(), -1) < 0) continue;
    if (polls[1].revents != 0) return;
    if (polls[2].revents != 0) {
      polls[2].fd = -1;
      on_gofer_gone_();
    }
    for (size_t i = 3; i < polls.size(); ++i) {
      if (polls[i].revents == 0) continue;
      std::string death = kernel_.platform().TakeDeath(polls[i].fd);
      if (!death.empty()) kernel_.Fail(death);
    }
    if (polls[0].revents != 0) {
      ChannelMessage message;
      if (!ReceiveMessage(channel_, &message)) {
        // Whoever started the sandbox is gone, and so nobody waits for its end.
        kernel_.Kill();
        polls[0].fd = -1;
        continue;
      }
      if (message.kind == ChannelMessage::kSignal) Forward(message.value);
    }
  }
}

void Supervisor::Forward(int signal) {
  if (!IsValidSignal(signal)) return;
  bool from_keyboard = signal == SIGINT || signal == SIGQUIT || signal == SIGTSTP || signal == SIGWINCH;
  if (terminal_ && from_keyboard) {
    terminal_->SignalForeground(signal);
    return;
  }
  // The command is the guest's init, and without a handler would be deaf to signals: to the
  // caller it is a command like any other.
  SignalDefault action = DefaultActionOf(signal);
  bool ends = action == SignalDefault::kTerminate || action == SignalDefault::kCore;
  if (ends && init_->handlers()->Get(signal).IsDefault()) {
    init_->BeginExit(signal);
    return;
  }
  (void)init_->SendSignal(MakeUserSignalInfo(signal, SI_USER, 0, 0), true);
}

}  // namespace runsc
