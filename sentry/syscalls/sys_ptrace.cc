#include "sentry/syscalls/sys_ptrace.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ptrace.h>

#include <cstring>

#include "sentry/kernel/seccomp_state.h"
#include "sentry/kernel/tracee.h"
#include "sentry/syscalls/ptrace_registers.h"

namespace runsc {
namespace {

constexpr int kPeekText = 1, kPeekData = 2, kPeekUser = 3, kPokeText = 4, kPokeData = 5, kPokeUser = 6;
constexpr int kSystemEmulation = 31, kSystemEmulationStep = 32;
constexpr uint64_t kKernelSignalSetSize = 8;
constexpr int kMaxErrno = 4095;

struct PeekArguments {  // struct ptrace_peeksiginfo_args
  uint64_t offset;
  uint32_t flags;
  int32_t count;
};

Result<int64_t> Done(const Result<void>& result) {
  RETURN_IF_ERROR(result);
  return 0;
}

Result<int64_t> PeekMemory(Task& task, Task& target, UserAddr address, UserPtr<uint64_t> to) {
  RETURN_IF_ERROR(target.tracee().WhileStopped(task, []() -> Result<void> { return Ok(); }));
  RefPtr<MemoryManager> memory = target.GetMemory();
  uint64_t word = 0;
  auto bytes = std::as_writable_bytes(std::span(&word, 1));
  if (!memory || memory->CopyInForced(address, bytes) != sizeof(word)) return Errno(EIO);
  return Done(task.memory().Write(to, word));
}

Result<int64_t> PokeMemory(Task& task, Task& target, UserAddr address, uint64_t word) {
  RETURN_IF_ERROR(target.tracee().WhileStopped(task, []() -> Result<void> { return Ok(); }));
  RefPtr<MemoryManager> memory = target.GetMemory();
  auto bytes = std::as_bytes(std::span(&word, 1));
  if (!memory || memory->CopyOutForced(address, bytes) != sizeof(word)) return Errno(EIO);
  return 0;
}

Result<int64_t> GetSignalInfo(Task& task, Task& target, UserPtr<siginfo_t> to) {
  siginfo_t info;
  RETURN_IF_ERROR(target.tracee().WhileStopped(task, [&]() -> Result<void> {
    const siginfo_t* last = target.tracee().info();
    if (last == nullptr) return Errno(EINVAL);  // a group stop
    info = *last;
    return Ok();
  }));
  return Done(task.memory().Write(to, info));
}

Result<int64_t> SetSignalInfo(Task& task, Task& target, UserPtr<const siginfo_t> from) {
  ASSIGN_OR_RETURN(siginfo_t info, task.memory().Read(from));
  return Done(target.tracee().WhileStopped(task, [&]() -> Result<void> {
    if (target.tracee().info() == nullptr) return Errno(EINVAL);
    target.tracee().SetInfo(info);
    return Ok();
  }));
}

Result<int64_t> PeekSignalInfo(Task& task, Task& target, UserPtr<const PeekArguments> from,
                               UserPtr<siginfo_t> to) {
  ASSIGN_OR_RETURN(PeekArguments arguments, task.memory().Read(from));
  if ((arguments.flags & ~uint32_t{PTRACE_PEEKSIGINFO_SHARED}) != 0 || arguments.count < 0)
    return Errno(EINVAL);
  std::vector<siginfo_t> pending;
  RETURN_IF_ERROR(target.tracee().WhileStopped(task, [&]() -> Result<void> {
    pending = target.tracee().Pending((arguments.flags & PTRACE_PEEKSIGINFO_SHARED) != 0);
    return Ok();
  }));
  int64_t copied = 0;
  for (uint64_t i = arguments.offset; i < pending.size() && copied < arguments.count; ++i, ++copied) {
    if (!task.memory().Write(to.At(static_cast<uint64_t>(copied)), pending[i]).ok())
      return copied > 0 ? Result<int64_t>(copied) : Result<int64_t>(Errno(EFAULT));
  }
  return copied;
}

Result<int64_t> SignalMask(Task& task, Task& target, uint64_t size, UserPtr<uint64_t> mask, bool set) {
  if (size != kKernelSignalSetSize) return Errno(EINVAL);
  uint64_t bits = 0;
  if (set) {
    ASSIGN_OR_RETURN(bits, task.memory().Read(mask));
  }
  RETURN_IF_ERROR(target.tracee().WhileStopped(task, [&]() -> Result<void> {
    if (set) {
      target.tracee().SetBlocked(SignalSet(bits));
    } else {
      bits = target.tracee().blocked().bits();
    }
    return Ok();
  }));
  return set ? Result<int64_t>(0) : Done(task.memory().Write(mask, bits));
}

Result<int64_t> GetEventMessage(Task& task, Task& target, UserPtr<uint64_t> to) {
  uint64_t message = 0;
  RETURN_IF_ERROR(target.tracee().WhileStopped(task, [&]() -> Result<void> {
    message = target.tracee().message();
    return Ok();
  }));
  return Done(task.memory().Write(to, message));
}

// What the stop tells of a system call; returns how much of `info` counts.
size_t DescribeSyscall(Tracee& tracee, __ptrace_syscall_info& info) {
  const Registers& r = tracee.registers();
  memset(&info, 0, sizeof(info));
  info.arch = AUDIT_ARCH_X86_64;
  info.instruction_pointer = r.rip;
  info.stack_pointer = r.rsp;
  const int code = tracee.info() != nullptr ? tracee.info()->si_code : 0;
  const uint64_t arguments[6] = {r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9};
  if (code == (SIGTRAP | 0x80) && tracee.message() == 1) {
    info.op = PTRACE_SYSCALL_INFO_ENTRY;
    info.entry.nr = r.orig_rax;
    memcpy(info.entry.args, arguments, sizeof(arguments));
    return offsetof(__ptrace_syscall_info, entry) + sizeof(info.entry);
  }
  if (code == (SIGTRAP | 0x80) && tracee.message() == 2) {
    info.op = PTRACE_SYSCALL_INFO_EXIT;
    info.exit.rval = static_cast<int64_t>(r.rax);
    info.exit.is_error = info.exit.rval < 0 && info.exit.rval >= -kMaxErrno;
    return offsetof(__ptrace_syscall_info, exit.is_error) + sizeof(info.exit.is_error);
  }
  if (code == (PTRACE_EVENT_SECCOMP << 8 | SIGTRAP)) {
    info.op = PTRACE_SYSCALL_INFO_SECCOMP;
    info.seccomp.nr = r.orig_rax;
    memcpy(info.seccomp.args, arguments, sizeof(arguments));
    info.seccomp.ret_data = static_cast<uint32_t>(tracee.message());
    return offsetof(__ptrace_syscall_info, seccomp.ret_data) + sizeof(info.seccomp.ret_data);
  }
  info.op = PTRACE_SYSCALL_INFO_NONE;
  return offsetof(__ptrace_syscall_info, entry);
}

Result<int64_t> GetSyscallInfo(Task& task, Task& target, uint64_t size, UserAddr to) {
  __ptrace_syscall_info info;
  size_t actual = 0;
  RETURN_IF_ERROR(target.tracee().WhileStopped(task, [&]() -> Result<void> {
    actual = DescribeSyscall(target.tracee(), info);
    return Ok();
  }));
  auto bytes = std::as_bytes(std::span(&info, 1)).first(std::min<uint64_t>(actual, size));
  RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<std::byte>(to), bytes));
  return static_cast<int64_t>(actual);
}

// The oldest filter is number 0.
Result<int64_t> GetFilter(Task& task, Task& target, uint64_t index, UserPtr<sock_filter> to) {
  if (!task.creds().HasCapability(CAP_SYS_ADMIN) || task.seccomp().mode() != 0) return Errno(EACCES);
  RETURN_IF_ERROR(target.tracee().WhileStopped(task, []() -> Result<void> { return Ok(); }));
  RefPtr<SeccompFilter> chain = target.seccomp().GetFilter();
  if (!chain) return Errno(EINVAL);
  if (index >= static_cast<uint64_t>(chain->depth())) return Errno(ENOENT);
  const SeccompFilter* filter = chain.get();
  while (static_cast<uint64_t>(filter->depth()) != index + 1) filter = filter->previous();
  auto instructions = filter->program().instructions();
  if (to) RETURN_IF_ERROR(task.memory().WriteArray(to, instructions));
  return static_cast<int64_t>(instructions.size());
}

Result<int64_t> Resume(Task& task, Task& target, int request, uint64_t signal) {
  ResumeMode mode = request == PTRACE_CONT         ? ResumeMode::kContinue
                    : request == PTRACE_SYSCALL    ? ResumeMode::kSyscall
                    : request == PTRACE_SINGLESTEP ? ResumeMode::kStep
                    : request == kSystemEmulation  ? ResumeMode::kEmulate
                                                   : ResumeMode::kEmulateStep;
  RETURN_IF_ERROR(target.tracee().WhileStopped(task, []() -> Result<void> { return Ok(); }));
  if (signal > static_cast<uint64_t>(kSignalMax)) return Errno(EIO);
  return Done(target.tracee().Resume(task, mode, static_cast<int>(signal)));
}

Result<int64_t> Detach(Task& task, Task& target, uint64_t signal) {
  if (signal > static_cast<uint64_t>(kSignalMax)) return Errno(EIO);
  return Done(target.tracee().Detach(task, static_cast<int>(signal)));
}

Result<int64_t> Attach(Task& task, Task& target, bool seize, UserAddr address, uint64_t options) {
  if (seize && (!address.is_null() || (options & ~uint64_t{Tracee::kKnownOptions}) != 0)) return Errno(EIO);
  return Done(Tracee::Attach(task, target, seize, seize ? static_cast<uint32_t>(options) : 0));
}

Result<int64_t> SetOptions(Task& task, Task& target, uint64_t options) {
  if ((options & ~uint64_t{Tracee::kKnownOptions}) != 0) return Errno(EINVAL);
  return Done(target.tracee().SetOptions(task, static_cast<uint32_t>(options)));
}

Result<int64_t> Request(Task& task, Task& target, int request, UserAddr address, uint64_t data) {
  const UserAddr at(data);
  switch (request) {
    case kPeekText:
    case kPeekData:
      return PeekMemory(task, target, address, UserPtr<uint64_t>(at));
    case kPokeText:
    case kPokeData:
      return PokeMemory(task, target, address, data);
    case kPeekUser: {
      ASSIGN_OR_RETURN(uint64_t value, PeekUser(task, target, address.value()));
      return Done(task.memory().Write(UserPtr<uint64_t>(at), value));
    }
    case kPokeUser:
      return Done(PokeUser(task, target, address.value(), data));
    case PTRACE_CONT:
    case PTRACE_SYSCALL:
    case PTRACE_SINGLESTEP:
    case kSystemEmulation:
    case kSystemEmulationStep:
      return Resume(task, target, request, data);
    case PTRACE_GETREGS:
      return Done(GetRegisters(task, target, at));
    case PTRACE_SETREGS:
      return Done(SetRegisters(task, target, at));
    case PTRACE_GETFPREGS:
      return Done(GetFpRegisters(task, target, at));
    case PTRACE_SETFPREGS:
      return Done(SetFpRegisters(task, target, at));
    case PTRACE_GETREGSET:
    case PTRACE_SETREGSET:
      return Done(RegisterSet(task, target, address.value(), at, request == PTRACE_SETREGSET));
    case PTRACE_DETACH:
      return Detach(task, target, data);
    case PTRACE_SETOPTIONS:
      return SetOptions(task, target, data);
    case PTRACE_GETEVENTMSG:
      return GetEventMessage(task, target, UserPtr<uint64_t>(at));
    case PTRACE_GETSIGINFO:
      return GetSignalInfo(task, target, UserPtr<siginfo_t>(at));
    case PTRACE_SETSIGINFO:
      return SetSignalInfo(task, target, UserPtr<const siginfo_t>(at));
    case PTRACE_PEEKSIGINFO:
      return PeekSignalInfo(task, target, UserPtr<const PeekArguments>(address), UserPtr<siginfo_t>(at));
    case PTRACE_GETSIGMASK:
    case PTRACE_SETSIGMASK:
      return SignalMask(task, target, address.value(), UserPtr<uint64_t>(at), request == PTRACE_SETSIGMASK);
    case PTRACE_LISTEN:
      return Done(target.tracee().Listen(task));
    case PTRACE_SECCOMP_GET_FILTER:
      return GetFilter(task, target, address.value(), UserPtr<sock_filter>(at));
    case PTRACE_GET_SYSCALL_INFO:
      return GetSyscallInfo(task, target, address.value(), at);
    default:
      RETURN_IF_ERROR(target.tracee().WhileStopped(task, []() -> Result<void> { return Ok(); }));
      return Errno(EIO);
  }
}

}  // namespace

Result<int64_t> SysPtrace(Task& task, int64_t request, int64_t pid, UserAddr address, uint64_t data) {
  if (request == PTRACE_TRACEME) return Done(Tracee::TraceMe(task));
  RefPtr<Task> target = task.pid_namespace().FindTask(static_cast<pid_t>(pid));
  if (!target) return Errno(ESRCH);
  switch (request) {
    case PTRACE_ATTACH:
    case PTRACE_SEIZE:
      return Attach(task, *target, request == PTRACE_SEIZE, address, data);
    case PTRACE_KILL:
      return Done(target->tracee().Kill(task));
    case PTRACE_INTERRUPT:
      return Done(target->tracee().Interrupt(task));
    default:
      if (request < 0 || request > INT32_MAX) return Errno(EIO);
      return Request(task, *target, static_cast<int>(request), address, data);
  }
}

}  // namespace runsc
