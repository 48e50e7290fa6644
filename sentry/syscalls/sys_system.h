// The machine as a whole: uname(2), sysinfo(2), sethostname(2), getrandom(2).
#ifndef SENTRY_SYSCALLS_SYS_SYSTEM_H_
#define SENTRY_SYSCALLS_SYS_SYSTEM_H_

#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysUname(Task& task, UserPtr<struct utsname> name);
Result<int64_t> SysSethostname(Task& task, UserAddr name, int length);
Result<int64_t> SysSetdomainname(Task& task, UserAddr name, int length);
Result<int64_t> SysSysinfo(Task& task, UserPtr<struct sysinfo> info);
Result<int64_t> SysGetrandom(Task& task, UserBuffer buffer, uint64_t length, uint32_t flags);
Result<int64_t> SysSyslog(Task& task, int type, UserBuffer buffer, int length);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_SYSTEM_H_
