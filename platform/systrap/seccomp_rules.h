// The host system calls that the systrap platform makes after lock-down, for the Sentry's
// policy, beside StubPlatformRules.
#ifndef PLATFORM_SYSTRAP_SECCOMP_RULES_H_
#define PLATFORM_SYSTRAP_SECCOMP_RULES_H_

#include <sys/epoll.h>

#include <vector>

#include "platform/seccomp/rules.h"

namespace runsc {

inline std::vector<SyscallRule> SystrapPlatformRules() {
  return {
      {SYS_pidfd_open, "notice the death of a stub process"},
      {SYS_epoll_ctl, "the same", {IntArgIs(1, EPOLL_CTL_ADD)}},
  };
}

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_SECCOMP_RULES_H_
