// What an administrator asks of a machine: swap space, quotas, the end of a session, a restart; and the old
// questions about filesystems.
#ifndef SENTRY_SYSCALLS_SYS_ADMIN_H_
#define SENTRY_SYSCALLS_SYS_ADMIN_H_

#include "sentry/syscalls/table.h"

namespace runsc {

struct OldFilesystemStats {  // struct ustat
  int32_t free_blocks;
  int32_t padding;
  uint64_t free_inodes;
  char name[6], pack[6];
  int32_t tail;
};

Result<int64_t> SysSysfs(Task& task, int option, uint64_t argument1, UserAddr argument2);
Result<int64_t> SysAcct(Task& task, UserPath path);
Result<int64_t> SysUstat(Task& task, uint32_t device, UserPtr<OldFilesystemStats> stats);
Result<int64_t> SysVhangup(Task& task);
Result<int64_t> SysSwapon(Task& task, UserPath path, int flags);
Result<int64_t> SysSwapoff(Task& task, UserPath path);
Result<int64_t> SysQuotactl(Task& task, uint32_t command, UserPath special, uint32_t id, UserAddr address);
Result<int64_t> SysReboot(Task& task, uint32_t magic1, uint32_t magic2, uint32_t command, UserAddr argument);
Result<int64_t> SysModifyLdt(Task& task, int function, UserAddr buffer, uint64_t size);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_ADMIN_H_
