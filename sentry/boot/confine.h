// The Sentry's own confinement, before it does anything else.
#ifndef SENTRY_BOOT_CONFINE_H_
#define SENTRY_BOOT_CONFINE_H_

#include <string>

#include "sentry/boot/boot.h"

namespace runsc {

// Takes the root filesystem, the user, the capabilities and every descriptor that is not
// in `options` or `more_fds` away. Empty, or which step failed and why.
std::string ConfineSentry(const BootOptions& options, const std::vector<int>& more_fds);

}  // namespace runsc

#endif  // SENTRY_BOOT_CONFINE_H_
