#include "sentry/syscalls/ptrace_permission.h"

namespace runsc {

Result<RefPtr<MemoryManager>> MemoryToLookAt(Task& task, Task& target) {
  RefPtr<MemoryManager> memory = target.GetMemory();
  if (!memory) return Errno(ESRCH);
  if (&target.thread_group() == &task.thread_group()) return memory;
  const Credentials& mine = task.creds();
  if (mine.HasCapability(CAP_SYS_PTRACE)) return memory;
  RefPtr<const Credentials> theirs = target.GetCreds();
  if (!theirs) return Errno(ESRCH);
  const bool same = mine.ruid == theirs->ruid && mine.ruid == theirs->euid && mine.ruid == theirs->suid &&
                    mine.rgid == theirs->rgid && mine.rgid == theirs->egid && mine.rgid == theirs->sgid;
  if (!same || memory->dumpable() != 1 || !theirs->permitted.IsSubsetOf(mine.permitted)) return Errno(EPERM);
  return memory;
}

}  // namespace runsc
