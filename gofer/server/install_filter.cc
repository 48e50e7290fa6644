#include "gofer/server/seccomp_rules.h"
#include "platform/seccomp/filter.h"
#include "seccomp/gofer_filters.h"

namespace runsc::gofer {

Result<void> InstallGoferFilter(int report_fd, bool allow_connect) {
  ReportSeccompViolations(report_fd, "gofer", nullptr);
  return allow_connect ? InstallSeccompFilter(kGoferConnectFilter) : InstallSeccompFilter(kGoferFilter);
}

}  // namespace runsc::gofer
