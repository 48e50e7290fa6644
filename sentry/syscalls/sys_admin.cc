#include "sentry/syscalls/sys_admin.h"

#include <linux/quota.h>
#include <linux/reboot.h>

#include <algorithm>
#include <climits>
#include <vector>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process_accounting.h"
#include "sentry/kernel/terminal.h"
#include "sentry/syscalls/path_argument.h"

namespace runsc {

// sysfs(2): 1: the index of a type's name, 2: the name of an index, 3: how many there are.
Result<int64_t> SysSysfs(Task& task, int option, uint64_t argument1, UserAddr argument2) {
  const std::vector<const FilesystemType*> types = task.kernel().Filesystems();
  if (option == 3) return static_cast<int64_t>(types.size());
  if (option == 1) {
    ASSIGN_OR_RETURN(std::string name, task.memory().ReadString(UserAddr(argument1), PATH_MAX, ENAMETOOLONG));
    auto found = std::find_if(types.begin(), types.end(),
                              [&](const FilesystemType* type) { return type->name() == name; });
    if (found == types.end()) return Errno(EINVAL);
    return found - types.begin();
  }
  if (option != 2) return Errno(EINVAL);
  const uint32_t index = static_cast<uint32_t>(argument1);
  if (index >= types.size()) return Errno(EINVAL);
  const std::string name(types[index]->name());
  RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<char>(argument2),
                                           std::span<const char>(name.c_str(), name.size() + 1)));
  return 0;
}

// acct(2). Linux: acct_on().
Result<int64_t> SysAcct(Task& task, UserPath path) {
  if (!task.creds().HasCapability(CAP_SYS_PACCT)) return Errno(EPERM);
  if (path.is_null()) {
    SetAccountingFile(task.pid_namespace(), nullptr);
    return 0;
  }
  ASSIGN_OR_RETURN(PathArgument argument, ReadPathArgument(task, AT_FDCWD, path));
  OpenHow how;
  how.flags = O_WRONLY | O_APPEND;
  ASSIGN_OR_RETURN(RefPtr<FileDescription> file,
                   VfsOpen(argument.context, argument.start, argument.text, how));
  if (!file->inode()->IsRegular()) return Errno(EACCES);
  SetAccountingFile(task.pid_namespace(), std::move(file));
  return 0;
}

Result<int64_t> SysUstat(Task& task, uint32_t device, UserPtr<OldFilesystemStats> user_stats) {
  for (const MountNamespace::Entry& entry : task.fs().Get().mounts->Mounts()) {
    Filesystem& filesystem = entry.mount->filesystem();
    if (static_cast<uint32_t>(filesystem.device()) != device) continue;
    ASSIGN_OR_RETURN(FilesystemStats stats, filesystem.Stats());
    OldFilesystemStats old{};
    old.free_blocks = static_cast<int32_t>(stats.blocks_free);
    old.free_inodes = stats.files_free;
    RETURN_IF_ERROR(task.memory().Write(user_stats, old));
    return 0;
  }
  return Errno(EINVAL);
}

Result<int64_t> SysVhangup(Task& task) {
  if (!task.creds().HasCapability(CAP_SYS_TTY_CONFIG)) return Errno(EPERM);
  RefPtr<Session> session = task.thread_group().session();
  RefPtr<Terminal> terminal = session ? session->terminal() : nullptr;
  if (terminal) terminal->Hangup();
  return 0;
}

// No file is swap space here.
Result<int64_t> SysSwapon(Task& task, UserPath path, int flags) {
  constexpr int kKnownFlags = 0x7ffff;  // SWAP_FLAGS_VALID
  if ((flags & ~kKnownFlags) != 0) return Errno(EINVAL);
  if (!task.creds().HasCapability(CAP_SYS_ADMIN)) return Errno(EPERM);
  RETURN_IF_ERROR(WalkArgument(task, AT_FDCWD, path));
  return Errno(EINVAL);
}

Result<int64_t> SysSwapoff(Task& task, UserPath path) {
  if (!task.creds().HasCapability(CAP_SYS_ADMIN)) return Errno(EPERM);
  RETURN_IF_ERROR(WalkArgument(task, AT_FDCWD, path));
  return Errno(EINVAL);
}

// There are no block devices, and so no quotas.
Result<int64_t> SysQuotactl(Task& task, uint32_t command, UserPath special, uint32_t id, UserAddr address) {
  constexpr uint32_t kMaxType = 2;  // PRJQUOTA
  if ((command & SUBCMDMASK) > kMaxType) return Errno(EINVAL);
  if (special.is_null()) {
    if (command >> SUBCMDSHIFT != Q_SYNC) return Errno(ENODEV);
    return 0;
  }
  RETURN_IF_ERROR(WalkArgument(task, AT_FDCWD, special));
  return Errno(ENOTBLK);
}

// reboot(2) in a PID namespace ends its init, as by a signal that says how.
Result<int64_t> SysReboot(Task& task, uint32_t magic1, uint32_t magic2, uint32_t command, UserAddr argument) {
  if (!task.creds().HasCapabilityIn(*task.pid_namespace().user_ns(), CAP_SYS_BOOT)) return Errno(EPERM);
  if (magic1 != LINUX_REBOOT_MAGIC1 || (magic2 != LINUX_REBOOT_MAGIC2 && magic2 != LINUX_REBOOT_MAGIC2A &&
                                        magic2 != LINUX_REBOOT_MAGIC2B && magic2 != LINUX_REBOOT_MAGIC2C))
    return Errno(EINVAL);
  int signal;
  switch (command) {
    case LINUX_REBOOT_CMD_RESTART:
    case LINUX_REBOOT_CMD_RESTART2:
      signal = SIGHUP;
      break;
    case LINUX_REBOOT_CMD_HALT:
    case LINUX_REBOOT_CMD_POWER_OFF:
      signal = SIGINT;
      break;
    default:
      return Errno(EINVAL);
  }
  if (RefPtr<ThreadGroup> init = task.pid_namespace().FindThreadGroup(1)) init->BeginExit(signal);
  task.PrepareGroupExit(0);
  return 0;
}

// modify_ldt(2): there is no local descriptor table, and none can be made.
Result<int64_t> SysModifyLdt(Task& task, int function, UserAddr buffer, uint64_t size) {
  constexpr int kRead = 0, kReadDefault = 2;
  constexpr uint64_t kDefaultSize = 128;
  if (function == kRead) return 0;
  if (function != kReadDefault) return Errno(ENOSYS);
  size = std::min(size, kDefaultSize);
  if (task.memory().ZeroOut(buffer, size) != size) return Errno(EFAULT);
  return static_cast<int64_t>(size);
}

}  // namespace runsc
