// System calls on the address space: mmap(2) and its family, brk(2), mlock(2) and its family, and
// process_vm_readv(2).
#ifndef SENTRY_SYSCALLS_SYS_MMAP_H_
#define SENTRY_SYSCALLS_SYS_MMAP_H_

#include "sentry/syscalls/table.h"

namespace runsc {

Result<int64_t> SysMmap(Task& task, UserAddr addr, uint64_t length, Protection prot, MapFlags flags, Fd fd,
                        uint64_t offset);
Result<int64_t> SysMunmap(Task& task, UserAddr addr, uint64_t length);
Result<int64_t> SysMprotect(Task& task, UserAddr addr, uint64_t length, Protection prot);
Result<int64_t> SysPkeyMprotect(Task& task, UserAddr addr, uint64_t length, Protection prot, int pkey);
Result<int64_t> SysMremap(Task& task, UserAddr old_addr, uint64_t old_length, uint64_t new_length, int flags,
                          UserAddr new_addr);
Result<int64_t> SysRemapFilePages(Task& task, UserAddr addr, uint64_t length, uint64_t prot, uint64_t page,
                                  MapFlags flags);
Result<int64_t> SysMadvise(Task& task, UserAddr addr, uint64_t length, MadviseAdvice advice);
Result<int64_t> SysMsync(Task& task, UserAddr addr, uint64_t length, int flags);
Result<int64_t> SysMincore(Task& task, UserAddr addr, uint64_t length, UserAddr vec);
Result<int64_t> SysBrk(Task& task, UserAddr addr);
Result<int64_t> SysMlock(Task& task, UserAddr addr, uint64_t length);
Result<int64_t> SysMlock2(Task& task, UserAddr addr, uint64_t length, int flags);
Result<int64_t> SysMunlock(Task& task, UserAddr addr, uint64_t length);
Result<int64_t> SysMlockall(Task& task, int flags);
Result<int64_t> SysMunlockall(Task& task);
Result<int64_t> SysProcessVmReadv(Task& task, int pid, UserAddr local, uint64_t local_count, UserAddr remote,
                                  uint64_t remote_count, uint64_t flags);
Result<int64_t> SysProcessVmWritev(Task& task, int pid, UserAddr local, uint64_t local_count, UserAddr remote,
                                   uint64_t remote_count, uint64_t flags);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_SYS_MMAP_H_
