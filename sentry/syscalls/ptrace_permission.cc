#include "sentry/syscalls/ptrace_permission.h"

#include "sentry/kernel/ptrace_access.h"

namespace runsc {

Result<RefPtr<MemoryManager>> MemoryToLookAt(Task& task, Task& target) {
  RefPtr<MemoryManager> memory = target.GetMemory();
  if (!memory) return Errno(ESRCH);
  RETURN_IF_ERROR(CheckPtraceAccess(task, target));
  return memory;
}

}  // namespace runsc
