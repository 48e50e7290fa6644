#include "sentry/boot/supervisor.h"

#include <poll.h>
#include <signal.h>

#include <vector>

#include "platform/host/resident_code.h"

namespace runsc {

void Supervisor::Run() {
  std::vector<pollfd> polls = {{channel_, POLLIN, 0}, {ended_, POLLIN, 0}, {gofer_, POLLRDHUP, 0}};
  for (int fd : kernel_.platform().death_fds()) polls.push_back({fd, POLLIN, 0});
  // Once when the sandbox is up, and once more: a container may be started long after it was created.
  int releases = 2;
  bool is_quiet = false;
  while (true) {
    const int happened =
        ::poll(polls.data(), polls.size(), is_quiet || releases == 0 ? -1 : kQuietAfterStart);
    if (happened < 0) continue;
    is_quiet = happened == 0;
    if (is_quiet) {
      ReleaseCode();
      --releases;
      continue;
    }
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
      UniqueFd descriptor;
      if (!ReceiveMessage(channel_, &message, &descriptor)) {
        // Whoever started the sandbox is gone, and so nobody waits for its end.
        if (control_ != nullptr) control_->KillHeld();
        kernel_.Kill();
        polls[0].fd = -1;
        continue;
      }
      OnMessage(message, std::move(descriptor));
    }
  }
}

void Supervisor::OnMessage(const ChannelMessage& message, UniqueFd descriptor) {
  switch (message.kind) {
    case ChannelMessage::kSignal:
      if (!IsValidSignal(message.value)) break;
      if (control_ != nullptr) {
        control_->SignalFirst(message.value);
      } else {
        init_.Signal(message.value);
      }
      break;
    case ChannelMessage::kTerminalSignal:
      if (IsValidSignal(message.value)) init_.SignalFromTerminal(message.value);
      break;
    case ChannelMessage::kForeground:
      if (init_.job) init_.job->OnAnswer(message.value != 0);
      break;
    case ChannelMessage::kConnection:
      if (control_ != nullptr && descriptor) control_->Add(std::move(descriptor));
      break;
    default:
      break;
  }
}

}  // namespace runsc
