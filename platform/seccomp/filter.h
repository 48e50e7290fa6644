// Installs a filter that was generated at build time, and reports a violation: the
// process that made a call outside its policy writes one line that names the call, and
// dies. There is no way back into the program.
//
// Linux counterpart: seccomp(2) with SECCOMP_FILTER_FLAG_TSYNC, SIGSYS.
#ifndef PLATFORM_SECCOMP_FILTER_H_
#define PLATFORM_SECCOMP_FILTER_H_

#include <linux/filter.h>

#include <span>

#include "platform/base/result.h"

namespace runsc {

inline constexpr int kSeccompViolationExitCode = 159;  // as a shell shows SIGSYS

// Puts the filter in force for every thread of the process, for good. Sets
// no_new_privs. ESRCH: a thread could not be brought along.
Result<void> InstallSeccompFilter(std::span<const sock_filter> filter);

// Makes violations report themselves on `fd` (write(2) to it must be allowed) as of the
// process `who`, a string that lives for ever. `name_of` may be null.
void ReportSeccompViolations(int fd, const char* who, const char* (*name_of)(long number));

}  // namespace runsc

#endif  // PLATFORM_SECCOMP_FILTER_H_
