#include "sentry/kernel/ptrace_access.h"

namespace runsc {

Result<void> CheckPtraceAccess(const Task& caller, const Task& target) {
  if (&target.thread_group() == &caller.thread_group()) return Ok();
  const Credentials& mine = caller.creds();
  return MayLookInto(mine, mine.ruid, mine.rgid, target) ? Ok() : Result<void>(Errno(EPERM));
}

// Linux: __ptrace_may_access(), cap_ptrace_access_check().
bool MayLookInto(const Credentials& mine, Uid uid, Gid gid, const Task& target) {
  RefPtr<const Credentials> theirs = target.GetCreds();
  if (!theirs) return false;
  const bool same = uid == theirs->ruid && uid == theirs->euid && uid == theirs->suid &&
                    gid == theirs->rgid && gid == theirs->egid && gid == theirs->sgid;
  const bool capable = mine.HasCapabilityIn(*theirs->user_ns, CAP_SYS_PTRACE);
  if (!same && !capable) return false;
  // Who came into the namespace from above may hold what nobody in it may see.
  RefPtr<MemoryManager> memory = target.GetMemory();
  if (memory && memory->dumpable() != 1 && !mine.HasCapabilityIn(memory->user_ns(), CAP_SYS_PTRACE))
    return false;
  return capable || (mine.user_ns == theirs->user_ns && theirs->permitted.IsSubsetOf(mine.permitted));
}

}  // namespace runsc
