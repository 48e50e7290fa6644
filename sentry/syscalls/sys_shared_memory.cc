// System V shared memory.
#include <sys/mman.h>

#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/sys_ipc.h"

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif
#ifndef SHM_EXEC
#define SHM_EXEC 0100000
#endif

namespace runsc {
namespace {

// Where and how a segment is to be mapped. EINVAL.
Result<MMapOptions> AttachOptions(UserAddr addr, int flags) {
  MMapOptions options{.prot = PROT_READ, .shared = true};
  const bool remap = (flags & SHM_REMAP) != 0;
  if (!addr.is_null()) {
    if (!addr.IsPageAligned()) {
      if ((flags & SHM_RND) == 0) return Errno(EINVAL);
      addr = addr.PageRoundDown();
      if (addr.is_null() && remap) return Errno(EINVAL);
    }
  } else if (remap) {
    return Errno(EINVAL);
  }
  options.addr = addr;
  options.fixed = remap;
  options.no_replace = !addr.is_null() && !remap;
  if ((flags & SHM_RDONLY) != 0) {
    options.max_prot &= ~PROT_WRITE;
  } else {
    options.prot |= PROT_WRITE;
  }
  if ((flags & SHM_EXEC) != 0) options.prot |= PROT_EXEC;
  return options;
}

shmid_ds WithVisibleIds(Task& task, shmid_ds status) {
  status.shm_cpid = task.pid_namespace().FromRoot(status.shm_cpid);
  status.shm_perm = VisibleIpcPerm(status.shm_perm, *task.creds().user_ns);
  status.shm_lpid = task.pid_namespace().FromRoot(status.shm_lpid);
  return status;
}

}  // namespace

Result<int64_t> SysShmget(Task& task, int key, uint64_t size, int flags) {
  ASSIGN_OR_RETURN(int id, task.ipc()->shared_memory().Get(key, size, flags, IpcCallerOf(task)));
  return id;
}

Result<int64_t> SysShmat(Task& task, int id, UserAddr addr, int flags) {
  if (id < 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(MMapOptions options, AttachOptions(addr, flags));
  int access = (flags & SHM_RDONLY) != 0 ? 0444 : 0666;
  if ((flags & SHM_EXEC) != 0) access |= 0111;
  RefPtr<IpcNamespace> ipc = task.ipc();
  ASSIGN_OR_RETURN(RefPtr<SharedSegment> segment,
                   ipc->shared_memory().BeginAttach(id, access, IpcCallerOf(task)));
  options.length = segment->size();
  options.object = segment;
  task.memory().SetLimits(task.memory_limits());
  Result<UserAddr> mapped = task.memory().MMap(options);
  ipc->shared_memory().EndAttach(*segment);
  if (mapped.is(EEXIST)) return Errno(EINVAL);
  RETURN_IF_ERROR(mapped);
  return static_cast<int64_t>(mapped->value());
}

Result<int64_t> SysShmdt(Task& task, UserAddr addr) {
  auto size_of = [](MappedObject& object) -> uint64_t {
    auto* segment = dynamic_cast<SharedSegment*>(&object);
    return segment != nullptr ? segment->size() : 0;
  };
  RETURN_IF_ERROR(task.memory().Detach(addr, size_of));
  return 0;
}

Result<int64_t> SysShmctl(Task& task, int id, int command, UserAddr argument) {
  if (id < 0 || command < 0) return Errno(EINVAL);
  RefPtr<IpcNamespace> ipc = task.ipc();
  SharedMemory& segments = ipc->shared_memory();
  const IpcCaller caller = IpcCallerOf(task);
  MemoryManager& memory = task.memory();
  switch (command) {
    case IPC_INFO: {
      auto [info, highest] = segments.Limits();
      RETURN_IF_ERROR(memory.Write(UserPtr<shminfo>(argument), info));
      return highest;
    }
    case SHM_INFO: {
      auto [info, highest] = segments.Usage();
      RETURN_IF_ERROR(memory.Write(UserPtr<shm_info>(argument), info));
      return highest;
    }
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY: {
      ASSIGN_OR_RETURN(auto status, segments.Stat(id, IpcLookupOf(command, SHM_STAT, SHM_STAT_ANY), caller));
      RETURN_IF_ERROR(memory.Write(UserPtr<shmid_ds>(argument), WithVisibleIds(task, status.description)));
      return command == IPC_STAT ? 0 : status.id;
    }
    case IPC_SET: {
      ASSIGN_OR_RETURN(shmid_ds wanted, memory.Read(UserPtr<const shmid_ds>(argument)));
      RETURN_IF_ERROR(segments.Set(id, wanted.shm_perm, caller));
      return 0;
    }
    case IPC_RMID:
      RETURN_IF_ERROR(segments.Remove(id, caller));
      return 0;
    case SHM_LOCK:
    case SHM_UNLOCK:
      RETURN_IF_ERROR(segments.Lock(id, command == SHM_LOCK, task.Limit(RLIMIT_MEMLOCK) != 0, caller));
      return 0;
    default:
      return Errno(EINVAL);
  }
}

}  // namespace runsc
