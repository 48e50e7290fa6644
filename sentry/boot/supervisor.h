// Supervisor: what the Sentry's first thread does while tasks run on others: it takes
// messages of the caller (signals for the guest), notices when the caller, the Gofer or a
// process of the platform is gone, and waits for the end.
//
// Threading: Run on the first thread; Ended from any thread.
#ifndef SENTRY_BOOT_SUPERVISOR_H_
#define SENTRY_BOOT_SUPERVISOR_H_

#include <functional>

#include "platform/base/unique_fd.h"
#include "sentry/boot/channel.h"
#include "sentry/control/control_server.h"

namespace runsc {

class Supervisor {
 public:
  // `ended` is a descriptor that becomes readable at the end of the guest.
  Supervisor(Kernel& kernel, GuestProcess init, ControlServer* control, int channel, int gofer, int ended,
             std::function<void()> on_gofer_gone)
      : kernel_(kernel),
        init_(std::move(init)),
        control_(control),
        channel_(channel),
        gofer_(gofer),
        ended_(ended),
        on_gofer_gone_(std::move(on_gofer_gone)) {}
  // Returns when the guest has ended, or is to be ended because the caller is gone.
  void Run();

 private:
  void OnMessage(const ChannelMessage& message, UniqueFd descriptor);

  Kernel& kernel_;
  const GuestProcess init_;
  ControlServer* const control_;  // null: none is served
  const int channel_, gofer_, ended_;
  const std::function<void()> on_gofer_gone_;
};

}  // namespace runsc

#endif  // SENTRY_BOOT_SUPERVISOR_H_
