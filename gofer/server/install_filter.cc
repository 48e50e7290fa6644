#include "gofer/server/seccomp_rules.h"
#include "platform/seccomp/filter.h"
#include "seccomp/gofer_filters.h"

namespace runsc::gofer {

std::span<const sock_filter> GoferFilter(bool allow_connect) {
  if (allow_connect) return kGoferConnectFilter;
  return kGoferFilter;
}

Result<void> InstallGoferFilter(int report_fd, bool allow_connect) {
  ReportSeccompViolations(report_fd, "gofer", nullptr);
  return InstallSeccompFilter(GoferFilter(allow_connect));
}

}  // namespace runsc::gofer
