#include "sentry/syscalls/sys_process_memory.h"

#include <limits.h>
#include <sys/mman.h>

#include <vector>

#include "sentry/fsimpl/pidfd.h"
#include "sentry/syscalls/ptrace_permission.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace runsc {

Result<int64_t> SysProcessMadvise(Task& task, Fd pidfd, UserPtr<const iovec> user_vectors, uint64_t count,
                                  MadviseAdvice advice, uint32_t flags) {
  if (flags != 0 || count > IOV_MAX) return Errno(EINVAL);
  std::vector<iovec> vectors(count);
  RETURN_IF_ERROR(task.memory().ReadArray(user_vectors, std::span(vectors)));
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(pidfd));
  ASSIGN_OR_RETURN(RefPtr<ThreadGroup> process, ProcessOfPidfd(*file));
  // Since Linux 6.13 all advice may be given to oneself.
  if (process.get() != &task.thread_group() && advice != MADV_COLD && advice != MADV_PAGEOUT &&
      advice != MADV_WILLNEED && advice != MADV_COLLAPSE)
    return Errno(EINVAL);
  RefPtr<Task> leader = process->leader();
  if (!leader) return Errno(ESRCH);
  ASSIGN_OR_RETURN(RefPtr<MemoryManager> memory, MemoryToLookAt(task, *leader));
  if (memory.get() != &task.memory() && !task.creds().HasCapability(CAP_SYS_NICE)) return Errno(EPERM);
  int64_t advised = 0;
  for (const iovec& vector : vectors) {
    Result<void> done =
        memory->MAdvise(UserAddr(reinterpret_cast<uint64_t>(vector.iov_base)), vector.iov_len, advice);
    if (!done.ok()) {
      if (advised > 0) break;
      return done.error();
    }
    int64_t sum;
    if (__builtin_add_overflow(advised, static_cast<int64_t>(vector.iov_len), &sum)) return Errno(EINVAL);
    advised = sum;
  }
  return advised;
}

// A process that ends here lets go of its memory by itself, and soon.
Result<int64_t> SysProcessMrelease(Task& task, Fd pidfd, uint32_t flags) {
  if (flags != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file, task.GetFile(pidfd));
  ASSIGN_OR_RETURN(RefPtr<ThreadGroup> process, ProcessOfPidfd(*file));
  if (process->IsZombie()) return Errno(ESRCH);
  if (!process->IsExiting()) return Errno(EINVAL);
  return 0;
}

}  // namespace runsc
