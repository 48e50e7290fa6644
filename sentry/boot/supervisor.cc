#include "sentry/boot/supervisor.h"

#include <poll.h>
#include <signal.h>

#include <vector>

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
      OnMessage(message);
    }
  }
}

void Supervisor::OnMessage(const ChannelMessage& message) {
  switch (message.kind) {
    case ChannelMessage::kSignal:
      if (IsValidSignal(message.value)) Signal(message.value);
      break;
    case ChannelMessage::kTerminalSignal:
      if (IsValidSignal(message.value)) SignalFromTerminal(message.value);
      break;
    case ChannelMessage::kForeground:
      init_.job->OnAnswer(message.value != 0);
      break;
    default:
      break;
  }
}

void Supervisor::Signal(int signal) {
  // What continues a job is sent to all of it, and only the caller is there to get it.
  if (signal == SIGCONT) {
    init_.group->process_group()->SendSignal(signal);
  } else {
    (void)init_.group->SendSignal(MakeUserSignalInfo(signal, SI_USER, 0, 0), true);
  }
}

void Supervisor::SignalFromTerminal(int signal) {
  if (init_.terminal) {
    init_.terminal->SignalForeground(signal);
  } else {
    init_.group->process_group()->SendSignal(signal);
  }
  // A hang-up concerns the session's leader too.
  if (signal == SIGHUP) (void)init_.group->SendSignal(MakeSignalInfo(signal, SI_KERNEL), true);
}

}  // namespace runsc
