#include "sentry/syscalls/sys_prctl.h"

#include <asm/prctl.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

#include <cstring>

#include "sentry/kernel/seccomp_state.h"
#include "sentry/syscalls/sys_seccomp.h"

namespace runsc {
namespace {

constexpr size_t kCommSize = 16;

Result<int64_t> SetName(Task& task, UserAddr from) {
  // Up to the NUL or 15 bytes; what lies behind need not be readable.
  char name[kCommSize] = {};
  size_t length = task.memory().CopyIn(from, std::as_writable_bytes(std::span(name, kCommSize - 1)));
  size_t end = strnlen(name, length);
  if (end == length && length < kCommSize - 1) return Errno(EFAULT);
  task.SetName(std::string_view(name, end));
  return 0;
}

Result<int64_t> GetName(Task& task, UserAddr to) {
  char name[kCommSize] = {};
  std::string comm = task.name();
  memcpy(name, comm.data(), std::min(comm.size(), kCommSize - 1));
  RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<char>(to), std::span<const char>(name)));
  return 0;
}

Result<int64_t> SetSecurebits(Task& task, uint64_t bits) {
  const Credentials& old = task.creds();
  uint64_t locked = old.securebits & SECURE_ALL_LOCKS;
  bool changes_locked = ((locked >> 1) & (old.securebits ^ bits)) != 0;
  bool unlocks = (locked & ~bits) != 0;
  bool unknown = (bits & ~uint64_t{SECURE_ALL_LOCKS | SECURE_ALL_BITS}) != 0;
  if (changes_locked || unlocks || unknown || !old.HasCapability(CAP_SETPCAP)) return Errno(EPERM);
  RefPtr<Credentials> creds = old.Clone();
  creds->securebits = static_cast<uint32_t>(bits);
  task.SetCreds(std::move(creds));
  return 0;
}

Result<int64_t> SetKeepCaps(Task& task, uint64_t value) {
  if (value > 1) return Errno(EINVAL);
  if ((task.creds().securebits & SECBIT_KEEP_CAPS_LOCKED) != 0) return Errno(EPERM);
  RefPtr<Credentials> creds = task.creds().Clone();
  creds->securebits &= ~static_cast<uint32_t>(SECBIT_KEEP_CAPS);
  if (value != 0) creds->securebits |= SECBIT_KEEP_CAPS;
  task.SetCreds(std::move(creds));
  return 0;
}

Result<int64_t> DropBounding(Task& task, uint64_t capability) {
  if (!task.creds().HasCapability(CAP_SETPCAP)) return Errno(EPERM);
  if (capability > CAP_LAST_CAP) return Errno(EINVAL);
  RefPtr<Credentials> creds = task.creds().Clone();
  creds->bounding.Remove(static_cast<int>(capability));
  task.SetCreds(std::move(creds));
  return 0;
}

Result<int64_t> Ambient(Task& task, uint64_t operation, uint64_t capability, uint64_t arg4, uint64_t arg5) {
  const Credentials& old = task.creds();
  if (operation == PR_CAP_AMBIENT_CLEAR_ALL) {
    if ((capability | arg4 | arg5) != 0) return Errno(EINVAL);
    RefPtr<Credentials> creds = old.Clone();
    creds->ambient = CapabilitySet();
    task.SetCreds(std::move(creds));
    return 0;
  }
  if (capability > CAP_LAST_CAP || (arg4 | arg5) != 0) return Errno(EINVAL);
  int number = static_cast<int>(capability);
  if (operation == PR_CAP_AMBIENT_IS_SET) return old.ambient.Has(number) ? 1 : 0;
  if (operation != PR_CAP_AMBIENT_RAISE && operation != PR_CAP_AMBIENT_LOWER) return Errno(EINVAL);
  RefPtr<Credentials> creds = old.Clone();
  if (operation == PR_CAP_AMBIENT_RAISE) {
    if (!old.permitted.Has(number) || !old.inheritable.Has(number) ||
        (old.securebits & SECBIT_NO_CAP_AMBIENT_RAISE) != 0)
      return Errno(EPERM);
    creds->ambient.Add(number);
  } else {
    creds->ambient.Remove(number);
  }
  task.SetCreds(std::move(creds));
  return 0;
}

Result<int64_t> WriteInt(Task& task, uint64_t address, int value) {
  RETURN_IF_ERROR(task.memory().Write(UserPtr<int32_t>(address), int32_t{value}));
  return 0;
}

}  // namespace

Result<int64_t> SysPrctl(Task& task, PrctlOption option, uint64_t arg2, uint64_t arg3, uint64_t arg4,
                         uint64_t arg5) {
  constexpr int kMaxDumpable = 1;  // 2 (root only) may not be asked for
  constexpr int64_t kDefaultTimerSlack = 50000;
  constexpr uint64_t kTscEnable = 1;
  bool extra = (arg3 | arg4 | arg5) != 0;
  switch (option) {
    case PR_SET_PDEATHSIG:
      if (arg2 > kSignalMax) return Errno(EINVAL);
      task.parent_death_signal.store(static_cast<int>(arg2));
      return 0;
    case PR_GET_PDEATHSIG:
      return WriteInt(task, arg2, task.parent_death_signal.load());
    case PR_GET_DUMPABLE:
      return task.memory().dumpable();
    case PR_SET_DUMPABLE:
      if (arg2 > kMaxDumpable) return Errno(EINVAL);
      task.memory().SetDumpable(static_cast<int>(arg2));
      return 0;
    case PR_GET_KEEPCAPS:
      return (task.creds().securebits & SECBIT_KEEP_CAPS) != 0 ? 1 : 0;
    case PR_SET_KEEPCAPS:
      return SetKeepCaps(task, arg2);
    case PR_SET_NAME:
      return SetName(task, UserAddr(arg2));
    case PR_GET_NAME:
      return GetName(task, UserAddr(arg2));
    case PR_GET_SECCOMP:
      return task.seccomp().mode();
    case PR_SET_SECCOMP:
      return SetSeccompMode(task, arg2, UserAddr(arg3));
    case PR_CAPBSET_READ:
      if (arg2 > CAP_LAST_CAP) return Errno(EINVAL);
      return task.creds().bounding.Has(static_cast<int>(arg2)) ? 1 : 0;
    case PR_CAPBSET_DROP:
      return DropBounding(task, arg2);
    case PR_GET_TSC:
      return WriteInt(task, arg2, kTscEnable);
    case PR_SET_TSC:
      if (arg2 != kTscEnable) return Errno(EINVAL);
      return 0;
    case PR_GET_SECUREBITS:
      return task.creds().securebits;
    case PR_SET_SECUREBITS:
      return SetSecurebits(task, arg2);
    case PR_GET_TIMERSLACK:
      return static_cast<int64_t>(task.timer_slack.load());
    case PR_SET_TIMERSLACK:
      task.timer_slack.store(static_cast<int64_t>(arg2) <= 0 ? kDefaultTimerSlack : arg2);
      return 0;
    case PR_MCE_KILL:
      return (arg4 | arg5) != 0 ? Result<int64_t>(Errno(EINVAL)) : 0;
    case PR_MCE_KILL_GET:
      if ((arg2 | arg3 | arg4 | arg5) != 0) return Errno(EINVAL);
      return PR_MCE_KILL_DEFAULT;
    case PR_SET_CHILD_SUBREAPER:
      task.thread_group().child_subreaper.store(arg2 != 0);
      return 0;
    case PR_GET_CHILD_SUBREAPER:
      return WriteInt(task, arg2, task.thread_group().child_subreaper.load() ? 1 : 0);
    case PR_SET_NO_NEW_PRIVS: {
      if (arg2 != 1 || extra) return Errno(EINVAL);
      RefPtr<Credentials> creds = task.creds().Clone();
      creds->no_new_privs = true;
      task.SetCreds(std::move(creds));
      return 0;
    }
    case PR_GET_NO_NEW_PRIVS:
      if (arg2 != 0 || extra) return Errno(EINVAL);
      return task.HasNoNewPrivs() ? 1 : 0;
    case PR_GET_TID_ADDRESS: {
      uint64_t address = task.clear_child_tid.addr().value();
      RETURN_IF_ERROR(task.memory().Write(UserPtr<uint64_t>(arg2), address));
      return 0;
    }
    case PR_SET_THP_DISABLE:
      if (extra) return Errno(EINVAL);
      task.thread_group().no_huge_pages.store(arg2 != 0);
      return 0;
    case PR_GET_THP_DISABLE:
      if (arg2 != 0 || extra) return Errno(EINVAL);
      return task.thread_group().no_huge_pages.load() ? 1 : 0;
    case PR_CAP_AMBIENT:
      return Ambient(task, arg2, arg3, arg4, arg5);
    default:
      return Errno(EINVAL);
  }
}

Result<int64_t> SysArchPrctl(Task& task, int code, uint64_t address) {
  constexpr uint64_t kUserEnd = (uint64_t{1} << 47) - 4096;  // Linux: TASK_SIZE_MAX
  Registers& registers = task.registers();
  switch (code) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
      if (address >= kUserEnd) return Errno(EPERM);
      (code == ARCH_SET_FS ? registers.fs_base : registers.gs_base) = address;
      return 0;
    case ARCH_GET_FS:
      RETURN_IF_ERROR(task.memory().Write(UserPtr<uint64_t>(address), registers.fs_base));
      return 0;
    case ARCH_GET_GS:
      RETURN_IF_ERROR(task.memory().Write(UserPtr<uint64_t>(address), registers.gs_base));
      return 0;
    default:
      return Errno(EINVAL);
  }
}

Result<int64_t> SysPersonality(Task& task, uint32_t persona) {
  constexpr uint32_t kAskOnly = 0xffffffff;
  int old = task.personality;
  if (persona != kAskOnly) task.personality = static_cast<int>(persona);
  return old;
}

}  // namespace runsc
