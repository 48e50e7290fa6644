// Memory policies of a machine that has one NUMA node: numa(7).
#ifndef SENTRY_SYSCALLS_SYS_NUMA_H_
#define SENTRY_SYSCALLS_SYS_NUMA_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysSetMempolicy(Task& task, int mode, UserAddr nodes, uint64_t max_node);
Result<int64_t> SysGetMempolicy(Task& task, UserPtr<int32_t> mode, UserAddr nodes, uint64_t max_node,
                                UserAddr addr, uint64_t flags);
Result<int64_t> SysMbind(Task& task, UserAddr addr, uint64_t length, int mode, UserAddr nodes,
                         uint64_t max_node, uint32_t flags);
Result<int64_t> SysSetMempolicyHomeNode(Task& task, UserAddr addr, uint64_t length, uint64_t node,
                                        uint64_t flags);
Result<int64_t> SysMigratePages(Task& task, pid_t pid, uint64_t max_node, UserAddr from, UserAddr to);
Result<int64_t> SysMovePages(Task& task, pid_t pid, uint64_t count, UserPtr<const uint64_t> pages,
                             UserPtr<const int32_t> nodes, UserPtr<int32_t> status, int flags);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_NUMA_H_
