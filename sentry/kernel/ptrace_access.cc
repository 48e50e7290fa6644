#include "sentry/kernel/ptrace_access.h"

namespace runsc {

Result<void> CheckPtraceAccess(const Task& caller, const Task& target) {
  if (&target.thread_group() == &caller.thread_group()) return Ok();
  const Credentials& mine = caller.creds();
  if (mine.HasCapability(CAP_SYS_PTRACE)) return Ok();
  RefPtr<const Credentials> theirs = target.GetCreds();
  if (!theirs) return Errno(EPERM);
  const bool same = mine.ruid == theirs->ruid && mine.ruid == theirs->euid && mine.ruid == theirs->suid &&
                    mine.rgid == theirs->rgid && mine.rgid == theirs->egid && mine.rgid == theirs->sgid;
  if (!same || !theirs->permitted.IsSubsetOf(mine.permitted)) return Errno(EPERM);
  RefPtr<MemoryManager> memory = target.GetMemory();
  if (memory && memory->dumpable() != 1) return Errno(EPERM);
  return Ok();
}

}  // namespace runsc
