// The first process of a sandbox: its user, descriptors, directory, and the program that
// its command names.
#ifndef SENTRY_BOOT_INIT_PROCESS_H_
#define SENTRY_BOOT_INIT_PROCESS_H_

#include <string>

#include "sentry/boot/boot.h"
#include "sentry/fsimpl/host_job.h"
#include "sentry/kernel/kernel.h"

namespace runsc {

struct StartedInit {
  RefPtr<ThreadGroup> group;  // null: it could not be started
  RefPtr<Terminal> terminal;  // of its standard streams, or null
  RefPtr<HostJob> job;
  int exit_code = 125;  // when it could not be: runsc's exit code
  std::string wrong;    // and why
};
StartedInit StartInitProcess(Kernel& kernel, const RefPtr<MountNamespace>& mounts, BootOptions& options);

}  // namespace runsc

#endif  // SENTRY_BOOT_INIT_PROCESS_H_
