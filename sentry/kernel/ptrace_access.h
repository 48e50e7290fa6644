// Who may look into another task: ptrace(2), process_vm_readv(2).
#ifndef SENTRY_KERNEL_PTRACE_ACCESS_H_
#define SENTRY_KERNEL_PTRACE_ACCESS_H_

#include "sentry/kernel/task.h"

namespace runsc {

// PTRACE_MODE_ATTACH_REALCREDS of ptrace(2) ("Ptrace access mode checking"), without Yama: the same user and
// groups in every respect, a target that may be dumped and has no capability that the caller has not; or
// CAP_SYS_PTRACE; or the same process. EPERM.
Result<void> CheckPtraceAccess(const Task& caller, const Task& target);
// The rule for somebody who acts as `uid` and `gid` with the capabilities of `creds`, and is not the process
// itself.
bool MayLookInto(const Credentials& creds, Uid uid, Gid gid, const Task& target);

}  // namespace runsc

#endif  // SENTRY_KERNEL_PTRACE_ACCESS_H_
