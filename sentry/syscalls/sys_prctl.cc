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
  if (changes_locked || unlocks || unknown || !old.HasOwnCapability(CAP_SETPCAP)) return Errno(EPERM);
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
  if (!task.creds().HasOwnCapability(CAP_SETPCAP)) return Errno(EPERM);
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

// PR_MCE_KILL. That nothing but a known policy may be set is said after the process has one of its own, as by
// Linux.
Result<int64_t> SetMcePolicy(Task& task, uint64_t operation, uint64_t policy, bool extra) {
  if (extra) return Errno(EINVAL);
  switch (operation) {
    case PR_MCE_KILL_CLEAR:
      if (policy != 0) return Errno(EINVAL);
      task.mce_policy.store(PR_MCE_KILL_DEFAULT);
      return 0;
    case PR_MCE_KILL_SET:
      if (policy > PR_MCE_KILL_DEFAULT) {
        if (task.mce_policy.load() == PR_MCE_KILL_DEFAULT) task.mce_policy.store(PR_MCE_KILL_LATE);
        return Errno(EINVAL);
      }
      task.mce_policy.store(static_cast<int>(policy));
      return 0;
    default:
      return Errno(EINVAL);
  }
}

// PR_SET_VMA_ANON_NAME.
Result<int64_t> NameMapping(Task& task, uint64_t what, uint64_t start, uint64_t length, UserAddr name) {
  constexpr uint64_t kAnonymousName = 0;
  constexpr size_t kNameMax = 80;  // with the NUL
  if (what != kAnonymousName) return Errno(EINVAL);
  std::string text;
  if (!name.is_null()) {
    ASSIGN_OR_RETURN(text, task.memory().ReadString(name, kNameMax, EINVAL));
    for (char c : text) {
      if (c < ' ' || c > '~' || std::string_view("\\`$[]").find(c) != std::string_view::npos)
        return Errno(EINVAL);
    }
  }
  RETURN_IF_ERROR(task.memory().NameAnonymous(UserAddr(start), length, text));
  return 0;
}

// PR_GET_AUXV: how much there is, of which as much as fits is written.
Result<int64_t> GetAuxv(Task& task, UserAddr to, uint64_t size) {
  std::vector<uint64_t> auxv = task.memory().GetLayout().auxv;
  auto bytes = std::as_bytes(std::span(std::as_const(auxv)));
  RETURN_IF_ERROR(
      task.memory().WriteArray(UserPtr<std::byte>(to), bytes.first(std::min<uint64_t>(size, bytes.size()))));
  return static_cast<int64_t>(bytes.size());
}

// PR_SET_MM: what /proc/pid shows of the address space's layout.
Result<int64_t> SetLayoutField(Task& task, uint64_t field, uint64_t address, uint64_t arg4, uint64_t arg5) {
  const bool is_map = field == PR_SET_MM_MAP || field == PR_SET_MM_MAP_SIZE;
  if (arg5 != 0 || (arg4 != 0 && field != PR_SET_MM_AUXV && !is_map)) return Errno(EINVAL);
  if (field == PR_SET_MM_MAP_SIZE) {
    RETURN_IF_ERROR(task.memory().Write(UserPtr<uint32_t>(address), uint32_t{sizeof(prctl_mm_map)}));
    return 0;
  }
  if (!task.creds().HasCapability(CAP_SYS_RESOURCE)) return Errno(EPERM);
  if (field == PR_SET_MM_MAP || field == PR_SET_MM_EXE_FILE || field == PR_SET_MM_AUXV) return Errno(EINVAL);
  constexpr uint64_t kUserEnd = (uint64_t{1} << 47) - kPageSize;
  if (address >= kUserEnd || address < kPageSize) return Errno(EINVAL);
  MemoryLayout layout = task.memory().GetLayout();
  UserAddr* place = nullptr;
  switch (field) {
    case PR_SET_MM_START_CODE:
      place = &layout.code_start;
      break;
    case PR_SET_MM_END_CODE:
      place = &layout.code_end;
      break;
    case PR_SET_MM_START_DATA:
      place = &layout.data_start;
      break;
    case PR_SET_MM_END_DATA:
      place = &layout.data_end;
      break;
    case PR_SET_MM_START_STACK:
      place = &layout.stack_start;
      break;
    case PR_SET_MM_ARG_START:
      place = &layout.args_start;
      break;
    case PR_SET_MM_ARG_END:
      place = &layout.args_end;
      break;
    case PR_SET_MM_ENV_START:
      place = &layout.env_start;
      break;
    case PR_SET_MM_ENV_END:
      place = &layout.env_end;
      break;
    default:
      return Errno(EINVAL);  // the break is where it is
  }
  // Arguments and environment have to be somewhere (Linux: the VMA is looked for).
  const bool is_text = place == &layout.args_start || place == &layout.args_end ||
                       place == &layout.env_start || place == &layout.env_end;
  if (is_text) RETURN_IF_ERROR(task.memory().Read(UserPtr<const uint8_t>(address)));
  *place = UserAddr(address);
  task.memory().SetLayout(layout);
  return 0;
}

// PR_SET_MDWE.
Result<int64_t> SetRefusedExec(Task& task, uint64_t bits) {
  constexpr uint64_t kRefuse = 1, kNoInherit = 2;
  if ((bits & ~(kRefuse | kNoInherit)) != 0 || bits == kNoInherit) return Errno(EINVAL);
  const uint32_t old = task.memory().refused_exec();
  if (old != 0 && old != bits) return Errno(EPERM);
  task.memory().SetRefusedExec(static_cast<uint32_t>(bits));
  return 0;
}

// PR_SET_IO_FLUSHER, PR_GET_IO_FLUSHER.
Result<int64_t> IoFlusher(Task& task, bool set, uint64_t value, bool extra) {
  if (!task.creds().HasCapability(CAP_SYS_RESOURCE)) return Errno(EPERM);
  if (extra || (set ? value > 1 : value != 0)) return Errno(EINVAL);
  if (!set) return task.io_flusher.load() ? 1 : 0;
  task.io_flusher.store(value != 0);
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
  // Of Linux 5.17 to 6.4.
  constexpr int kSetVma = 0x53564d41, kGetAuxv = 0x41555856, kSetMdwe = 65, kGetMdwe = 66;
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
      return SetMcePolicy(task, arg2, arg3, (arg4 | arg5) != 0);
    case PR_MCE_KILL_GET:
      if ((arg2 | arg3 | arg4 | arg5) != 0) return Errno(EINVAL);
      return task.mce_policy.load();
    case PR_GET_TIMING:
      return PR_TIMING_STATISTICAL;
    case PR_SET_TIMING:
      if (arg2 != PR_TIMING_STATISTICAL) return Errno(EINVAL);
      return 0;
    case PR_TASK_PERF_EVENTS_DISABLE:
    case PR_TASK_PERF_EVENTS_ENABLE:
      return 0;  // there are none
    case PR_SET_MM:
      return SetLayoutField(task, arg2, arg3, arg4, arg5);
    case kSetVma:
      return NameMapping(task, arg2, arg3, arg4, UserAddr(arg5));
    case kGetAuxv:
      if ((arg4 | arg5) != 0) return Errno(EINVAL);
      return GetAuxv(task, UserAddr(arg2), arg3);
    case kSetMdwe:
      if (extra) return Errno(EINVAL);
      return SetRefusedExec(task, arg2);
    case kGetMdwe:
      if (arg2 != 0 || extra) return Errno(EINVAL);
      return task.memory().refused_exec();
    case PR_SET_IO_FLUSHER:
    case PR_GET_IO_FLUSHER:
      return IoFlusher(task, option == PR_SET_IO_FLUSHER, arg2, extra);
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
    case ARCH_GET_CPUID:
      return 1;  // it does not fault
    case ARCH_SET_CPUID:
      return Errno(ENODEV);
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
