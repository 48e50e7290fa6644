#include "sentry/boot/boot.h"

#include "sentry/boot/channel.h"
#include "sentry/boot/confine.h"

namespace runsc {

int BootSentry(BootOptions options) {
  SetLog(options.log_fd, options.log_level, "sentry");
  std::string wrong = ConfineSentry(options);
  if (wrong.empty()) wrong = "the kernel is not part of this build";
  SendMessage(options.channel.get(), ChannelMessage::Make(ChannelMessage::kFailed, 125, wrong));
  return 125;
}

}  // namespace runsc
