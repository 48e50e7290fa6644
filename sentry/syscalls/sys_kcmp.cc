#include "sentry/syscalls/sys_kcmp.h"

#include <linux/kcmp.h>
#include <sys/random.h>

#include "sentry/fsimpl/epoll.h"
#include "sentry/ipc/ipc_namespace.h"
#include "sentry/syscalls/ptrace_permission.h"

namespace runsc {
namespace {

// The order of objects is told, not where they are: addresses are mixed up by numbers of this sandbox.
struct Mixer {
  uint64_t mask = 0, factor = 1;
};
Mixer MakeMixer() {
  Mixer mixer;
  if (getrandom(&mixer, sizeof(mixer), 0) != static_cast<ssize_t>(sizeof(mixer))) return Mixer{};
  mixer.factor |= uint64_t{1} << 63 | 1;  // odd: no two numbers become one
  return mixer;
}

int64_t Compare(const void* a, const void* b) {
  static const Mixer mixer = MakeMixer();
  auto mix = [](const void* p) { return (reinterpret_cast<uintptr_t>(p) ^ mixer.mask) * mixer.factor; };
  const uint64_t x = mix(a), y = mix(b);
  return x == y ? 0 : x < y ? 1 : 2;
}

Result<RefPtr<FileDescription>> FileOf(Task& target, uint64_t fd) {
  RefPtr<FDTable> table = target.GetFDTable();
  if (!table || fd > INT32_MAX) return Errno(EBADF);
  return table->Get(static_cast<int>(fd));
}

RefPtr<RefCounted> ResourceOf(Task& target, int type) {
  switch (type) {
    case KCMP_VM:
      return target.GetMemory();
    case KCMP_FILES:
      return target.GetFDTable();
    case KCMP_FS:
      return target.GetFs();
    case KCMP_SIGHAND:
      return target.thread_group().handlers();
    case KCMP_SYSVSEM:
      return target.GetSemaphoreUndo();
    default:
      return nullptr;  // KCMP_IO: nobody has an I/O context
  }
}

}  // namespace

Result<int64_t> SysKcmp(Task& task, pid_t pid1, pid_t pid2, int type, uint64_t index1, uint64_t index2) {
  RefPtr<Task> first = task.pid_namespace().FindTask(pid1);
  RefPtr<Task> second = task.pid_namespace().FindTask(pid2);
  if (!first || !second) return Errno(ESRCH);
  for (const RefPtr<Task>& target : {first, second}) {
    // (A process that has ended has nothing to hide.)
    if (Result<RefPtr<MemoryManager>> memory = MemoryToLookAt(task, *target); memory.is(EPERM))
      return memory.error();
  }
  if (type < 0 || type >= KCMP_TYPES) return Errno(EINVAL);
  if (type == KCMP_EPOLL_TFD) {
    ASSIGN_OR_RETURN(kcmp_epoll_slot slot, task.memory().Read(UserPtr<const kcmp_epoll_slot>(index2)));
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file, FileOf(*first, index1));
    ASSIGN_OR_RETURN(RefPtr<FileDescription> epoll, FileOf(*second, slot.efd));
    auto* instance = dynamic_cast<EpollFile*>(epoll.get());
    if (instance == nullptr || slot.tfd > INT32_MAX) return Errno(instance == nullptr ? EINVAL : ENOENT);
    ASSIGN_OR_RETURN(RefPtr<FileDescription> target, instance->Target(static_cast<int>(slot.tfd), slot.toff));
    return Compare(file.get(), target.get());
  }
  if (type == KCMP_FILE) {
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file1, FileOf(*first, index1));
    ASSIGN_OR_RETURN(RefPtr<FileDescription> file2, FileOf(*second, index2));
    return Compare(file1.get(), file2.get());
  }
  return Compare(ResourceOf(*first, type).get(), ResourceOf(*second, type).get());
}

}  // namespace runsc
