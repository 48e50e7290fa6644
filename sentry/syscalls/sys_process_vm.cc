// process_vm_readv(2) and process_vm_writev(2).
#include <limits.h>
#include <sys/uio.h>

#include <algorithm>
#include <vector>

#include "sentry/syscalls/ptrace_permission.h"
#include "sentry/syscalls/sys_mmap.h"

namespace runsc {
namespace {

constexpr size_t kMaxTransfer = 0x7ffff000;  // MAX_RW_COUNT
constexpr size_t kChunk = 64 << 10;

Result<std::vector<UserIovec>> ReadIovecs(MemoryManager& memory, UserAddr addr, uint64_t count) {
  if (count > IOV_MAX) return Errno(EINVAL);
  std::vector<iovec> raw(count);
  RETURN_IF_ERROR(memory.ReadArray(UserPtr<const iovec>(addr), std::span(raw)));
  std::vector<UserIovec> iovecs;
  size_t total = 0;
  for (const iovec& entry : raw) {
    if (static_cast<ssize_t>(entry.iov_len) < 0) return Errno(EINVAL);
    size_t length = std::min(entry.iov_len, kMaxTransfer - total);
    total += length;
    iovecs.push_back({UserAddr(reinterpret_cast<uint64_t>(entry.iov_base)), length});
  }
  return iovecs;
}

Result<RefPtr<MemoryManager>> TargetMemory(Task& task, pid_t pid) {
  RefPtr<Task> target = task.pid_namespace().FindTask(pid);
  if (!target) return Errno(ESRCH);
  return MemoryToLookAt(task, *target);
}

Result<int64_t> Transfer(Task& task, int pid, UserAddr local, uint64_t local_count, UserAddr remote,
                         uint64_t remote_count, uint64_t flags, bool write) {
  if (flags != 0) return Errno(EINVAL);
  ASSIGN_OR_RETURN(std::vector<UserIovec> local_iovecs, ReadIovecs(task.memory(), local, local_count));
  ASSIGN_OR_RETURN(std::vector<UserIovec> remote_iovecs, ReadIovecs(task.memory(), remote, remote_count));
  IoSequence here(task.memory(), local_iovecs);
  if (here.empty()) return 0;
  ASSIGN_OR_RETURN(RefPtr<MemoryManager> memory, TargetMemory(task, pid));
  IoSequence there(*memory, remote_iovecs);

  IoSequence& from = write ? here : there;
  IoSequence& to = write ? there : here;
  std::vector<std::byte> buffer(std::min({kChunk, from.size(), to.size()}));
  int64_t moved = 0;
  while (!from.empty() && !to.empty()) {
    size_t want = std::min({buffer.size(), from.size(), to.size()});
    Result<size_t> got = from.CopyIn(std::span(buffer).first(want));
    if (!got.ok()) return moved > 0 ? Result<int64_t>(moved) : got.error();
    Result<size_t> put = to.CopyOut(std::span(buffer).first(*got));
    if (!put.ok()) return moved > 0 ? Result<int64_t>(moved) : put.error();
    moved += static_cast<int64_t>(*put);
    if (*put < want) break;
  }
  return moved;
}

}  // namespace

Result<int64_t> SysProcessVmReadv(Task& task, int pid, UserAddr local, uint64_t local_count, UserAddr remote,
                                  uint64_t remote_count, uint64_t flags) {
  return Transfer(task, pid, local, local_count, remote, remote_count, flags, false);
}

Result<int64_t> SysProcessVmWritev(Task& task, int pid, UserAddr local, uint64_t local_count, UserAddr remote,
                                   uint64_t remote_count, uint64_t flags) {
  return Transfer(task, pid, local, local_count, remote, remote_count, flags, true);
}

}  // namespace runsc
