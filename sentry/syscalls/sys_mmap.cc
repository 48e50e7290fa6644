#include "sentry/syscalls/sys_mmap.h"

#include <sys/mman.h>
#include <sys/personality.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

namespace runsc {
namespace {

constexpr int kProtMask = PROT_READ | PROT_WRITE | PROT_EXEC;
constexpr int kProtSem = 8;
constexpr int kMapTypeMask = 0x0f;
// LEGACY_MAP_MASK of include/linux/mman.h: what MAP_SHARED_VALIDATE knows.
constexpr int kLegacyMapFlags = MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE |
                                MAP_EXECUTABLE | MAP_GROWSDOWN | MAP_HUGETLB | MAP_LOCKED | MAP_NONBLOCK |
                                MAP_NORESERVE | MAP_POPULATE | MAP_STACK | MAP_32BIT | 0x3 |
                                (0x1f << MAP_HUGE_SHIFT);

MemoryManager& MemoryWithLimits(Task& task) {
  task.memory().SetLimits(task.memory_limits());
  return task.memory();
}

int WithReadImpliesExec(const Task& task, int prot) {
  return (prot & PROT_READ) != 0 && (task.personality & READ_IMPLIES_EXEC) != 0 ? prot | PROT_EXEC : prot;
}

// can_do_mlock()
bool MayLock(const Task& task) {
  return task.Limit(RLIMIT_MEMLOCK) != 0 || task.creds().HasCapability(CAP_IPC_LOCK);
}

Result<int64_t> Done(Result<void> result) {
  RETURN_IF_ERROR(result);
  return 0;
}

// What do_mmap() checks of an open file.
Result<void> ConfigureFile(Task& task, FileDescription& file, MMapOptions& options) {
  const bool write_shared = options.shared && (options.prot & PROT_WRITE) != 0;
  if (write_shared && !file.writable()) return Errno(EACCES);
  if (!file.readable()) return Errno(EACCES);
  if (options.shared && !file.writable()) options.max_prot &= ~PROT_WRITE;
  if (file.path().mount && file.path().mount->no_exec()) {
    if ((options.prot & PROT_EXEC) != 0) return Errno(EPERM);
    options.max_prot &= ~PROT_EXEC;
  }
  if (options.grows_down) return Errno(EINVAL);
  ASSIGN_OR_RETURN(options.object, file.ConfigureMMap(options.prot, options.shared));
  // What is sealed against writes cannot be made writable later (Linux: memfd_check_seals_mmap()).
  Result<int64_t> seals = options.shared ? file.FileCommand(F_GET_SEALS, 0) : Result<int64_t>(0);
  if (seals.ok() && (*seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0) options.max_prot &= ~PROT_WRITE;
  return Ok();
}

}  // namespace

Result<int64_t> SysMmap(Task& task, UserAddr addr, uint64_t length, Protection prot, MapFlags flags, Fd fd,
                        uint64_t offset) {
  if ((offset & kPageMask) != 0) return Errno(EINVAL);
  const bool anonymous = (flags & MAP_ANONYMOUS) != 0;
  RefPtr<FileDescription> file;
  if (!anonymous) {
    ASSIGN_OR_RETURN(file, task.GetFile(fd));
    if ((flags & MAP_HUGETLB) != 0) return Errno(EINVAL);
  } else if ((flags & MAP_HUGETLB) != 0) {
    return Errno(ENOMEM);  // as with no huge pages reserved
  }
  const int type = flags & kMapTypeMask;
  const bool shared = type != MAP_PRIVATE;
  MMapOptions options{
      .addr = addr,
      .length = length,
      .prot = WithReadImpliesExec(task, prot & kProtMask),
      .fixed = (flags & MAP_FIXED) != 0 && (flags & MAP_FIXED_NOREPLACE) == 0,
      .no_replace = (flags & MAP_FIXED_NOREPLACE) != 0,
      .shared = shared,
      .grows_down = (flags & MAP_GROWSDOWN) != 0,
      .locked = (flags & MAP_LOCKED) != 0,
      .populate = (flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE,
      .no_reserve = (flags & MAP_NORESERVE) != 0,
      .below_4g = (flags & MAP_32BIT) != 0,
      .offset = offset,
  };
  // The order of do_mmap(): the place first, the kind of mapping last.
  RETURN_IF_ERROR(task.memory().CheckPlacement(options));
  if ((flags & MAP_LOCKED) != 0 && !MayLock(task)) return Errno(EPERM);
  if (file && file->inode()->IsRegular() && offset > INT64_MAX - std::min<uint64_t>(length, INT64_MAX))
    return Errno(EOVERFLOW);
  if (type == MAP_SHARED_VALIDATE) {
    if (anonymous) return Errno(EINVAL);
    if ((static_cast<uint32_t>(flags.value) & ~kLegacyMapFlags) != 0) return Errno(EOPNOTSUPP);
  } else if (type != MAP_SHARED && type != MAP_PRIVATE) {
    return Errno(EINVAL);
  }
  if (anonymous && shared && options.grows_down) return Errno(EINVAL);
  if (file) RETURN_IF_ERROR(ConfigureFile(task, *file, options));
  ASSIGN_OR_RETURN(UserAddr mapped, MemoryWithLimits(task).MMap(options));
  return static_cast<int64_t>(mapped.value());
}

Result<int64_t> SysMunmap(Task& task, UserAddr addr, uint64_t length) {
  return Done(task.memory().MUnmap(addr, length));
}

Result<int64_t> SysMprotect(Task& task, UserAddr addr, uint64_t length, Protection prot) {
  const int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
  int rest = prot & ~(PROT_GROWSDOWN | PROT_GROWSUP);
  if (grows == (PROT_GROWSDOWN | PROT_GROWSUP)) return Errno(EINVAL);
  if (!addr.IsPageAligned()) return Errno(EINVAL);
  if (length == 0) return 0;
  if (!PageRoundUp(length) || !addr.Add(*PageRoundUp(length))) return Errno(ENOMEM);
  if ((rest & ~(kProtMask | kProtSem)) != 0) return Errno(EINVAL);
  if (grows == PROT_GROWSUP) return Errno(EINVAL);  // no VMA grows up on x86
  rest = WithReadImpliesExec(task, rest & kProtMask);
  return Done(MemoryWithLimits(task).MProtect(addr, length, rest, grows == PROT_GROWSDOWN));
}

// Without protection keys in the CPU -1 is the only key there is.
Result<int64_t> SysPkeyMprotect(Task& task, UserAddr addr, uint64_t length, Protection prot, int pkey) {
  if (pkey != -1) return Errno(EINVAL);
  return SysMprotect(task, addr, length, prot);
}

Result<int64_t> SysMremap(Task& task, UserAddr old_addr, uint64_t old_length, uint64_t new_length, int flags,
                          UserAddr new_addr) {
  ASSIGN_OR_RETURN(UserAddr addr,
                   MemoryWithLimits(task).MRemap(old_addr, old_length, new_length, flags, new_addr));
  return static_cast<int64_t>(addr.value());
}

Result<int64_t> SysRemapFilePages(Task& task, UserAddr addr, uint64_t length, uint64_t prot, uint64_t page,
                                  MapFlags flags) {
  if (prot != 0) return Errno(EINVAL);
  return Done(MemoryWithLimits(task).RemapFilePages(addr, length, page));
}

Result<int64_t> SysMadvise(Task& task, UserAddr addr, uint64_t length, MadviseAdvice advice) {
  return Done(task.memory().MAdvise(addr, length, advice));
}

Result<int64_t> SysMsync(Task& task, UserAddr addr, uint64_t length, int flags) {
  return Done(task.memory().MSync(addr, length, flags));
}

Result<int64_t> SysMincore(Task& task, UserAddr addr, uint64_t length, UserAddr vec) {
  return Done(task.memory().MinCore(addr, length, vec));
}

Result<int64_t> SysBrk(Task& task, UserAddr addr) {
  ASSIGN_OR_RETURN(UserAddr brk, MemoryWithLimits(task).Brk(addr));
  return static_cast<int64_t>(brk.value());
}

Result<int64_t> SysMlock(Task& task, UserAddr addr, uint64_t length) {
  if (!MayLock(task)) return Errno(EPERM);
  return Done(MemoryWithLimits(task).MLock(addr, length, true));
}

Result<int64_t> SysMlock2(Task& task, UserAddr addr, uint64_t length, int flags) {
  if ((flags & ~MLOCK_ONFAULT) != 0) return Errno(EINVAL);
  if (!MayLock(task)) return Errno(EPERM);
  return Done(MemoryWithLimits(task).MLock(addr, length, true, (flags & MLOCK_ONFAULT) != 0));
}

Result<int64_t> SysMunlock(Task& task, UserAddr addr, uint64_t length) {
  return Done(task.memory().MLock(addr, length, false));
}

Result<int64_t> SysMlockall(Task& task, int flags) {
  if (flags == 0 || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) != 0 || flags == MCL_ONFAULT)
    return Errno(EINVAL);
  if (!MayLock(task)) return Errno(EPERM);
  return Done(MemoryWithLimits(task).MLockAll(flags));
}

Result<int64_t> SysMunlockall(Task& task) { return Done(task.memory().MLockAll(0)); }

}  // namespace runsc
