#include "sentry/syscalls/sys_memfd.h"

#include <linux/memfd.h>

#include "sentry/fsimpl/tmpfs.h"
#include "sentry/kernel/kernel.h"

namespace runsc {

Result<int64_t> SysMemfdCreate(Task& task, UserCString name, uint32_t flags) {
  constexpr uint32_t kNoexecSeal = 0x8, kExec = 0x10;
  if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoexecSeal | kExec)) != 0) return Errno(EINVAL);
  constexpr size_t kNameLimit = 250;  // with the NUL; memfd_create(2)
  ASSIGN_OR_RETURN(std::string text, task.memory().ReadString(name.addr, kNameLimit, EINVAL));
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file,
                   CreateMemfd(task.kernel().memory_file(), text, flags, task.GetCreds()));
  ASSIGN_OR_RETURN(int fd, task.AddFile(std::move(file), (flags & MFD_CLOEXEC) != 0));
  return fd;
}

}  // namespace runsc
