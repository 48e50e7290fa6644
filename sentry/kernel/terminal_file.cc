#include "sentry/kernel/pid_namespace.h"
#include "sentry/kernel/process_group.h"
#include "sentry/kernel/terminal.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

Result<RefPtr<FileDescription>> Terminal::OpenFile(int flags) { return Errno(ENXIO); }

pid_t Terminal::ForegroundGroupSeenBy(PidNamespace& pid_namespace) {
  RefPtr<ProcessGroup> group;
  {
    MutexLock lock(mu_);
    group = foreground_;
  }
  return group ? pid_namespace.IdOf(*group) : 0;
}

}  // namespace runsc
