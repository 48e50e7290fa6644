// System calls on user ids, groups and capabilities: credentials(7), capabilities(7).
#ifndef SENTRY_SYSCALLS_SYS_CREDENTIALS_H_
#define SENTRY_SYSCALLS_SYS_CREDENTIALS_H_

#include "sentry/syscalls/table.h"

namespace runsc {

struct CapabilityHeader {  // cap_user_header_t
  uint32_t version;
  int32_t pid;
};
struct CapabilityData {  // cap_user_data_t
  uint32_t effective, permitted, inheritable;
};

Result<int64_t> SysGetuid(Task& task);
Result<int64_t> SysGeteuid(Task& task);
Result<int64_t> SysGetgid(Task& task);
Result<int64_t> SysGetegid(Task& task);
Result<int64_t> SysGetresuid(Task& task, UserPtr<Uid> real, UserPtr<Uid> effective, UserPtr<Uid> saved);
Result<int64_t> SysGetresgid(Task& task, UserPtr<Gid> real, UserPtr<Gid> effective, UserPtr<Gid> saved);
Result<int64_t> SysGetgroups(Task& task, int size, UserPtr<Gid> groups);
Result<int64_t> SysSetuid(Task& task, Uid uid);
Result<int64_t> SysSetgid(Task& task, Gid gid);
Result<int64_t> SysSetreuid(Task& task, Uid real, Uid effective);
Result<int64_t> SysSetregid(Task& task, Gid real, Gid effective);
Result<int64_t> SysSetresuid(Task& task, Uid real, Uid effective, Uid saved);
Result<int64_t> SysSetresgid(Task& task, Gid real, Gid effective, Gid saved);
Result<int64_t> SysSetfsuid(Task& task, Uid uid);
Result<int64_t> SysSetfsgid(Task& task, Gid gid);
Result<int64_t> SysSetgroups(Task& task, uint32_t size, UserPtr<const Gid> groups);
Result<int64_t> SysCapget(Task& task, UserPtr<CapabilityHeader> header, UserPtr<CapabilityData> data);
Result<int64_t> SysCapset(Task& task, UserPtr<CapabilityHeader> header, UserPtr<const CapabilityData> data);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_CREDENTIALS_H_
