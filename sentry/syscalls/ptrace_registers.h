// The registers of a stopped tracee, as ptrace(2) shows and takes them: struct user, user_regs_struct, the
// sets of notes (NT_*).
#ifndef SENTRY_SYSCALLS_PTRACE_REGISTERS_H_
#define SENTRY_SYSCALLS_PTRACE_REGISTERS_H_

#include "sentry/kernel/tracee.h"

namespace runsc {

// PTRACE_PEEKUSER, PTRACE_POKEUSER at an offset in struct user. EIO; ESRCH.
Result<uint64_t> PeekUser(Task& tracer, Task& target, uint64_t offset);
Result<void> PokeUser(Task& tracer, Task& target, uint64_t offset, uint64_t value);

// PTRACE_GETREGS, PTRACE_SETREGS. EFAULT, EIO, ESRCH.
Result<void> GetRegisters(Task& tracer, Task& target, UserAddr to);
Result<void> SetRegisters(Task& tracer, Task& target, UserAddr from);
// PTRACE_GETFPREGS, PTRACE_SETFPREGS.
Result<void> GetFpRegisters(Task& tracer, Task& target, UserAddr to);
Result<void> SetFpRegisters(Task& tracer, Task& target, UserAddr from);
// PTRACE_GETREGSET, PTRACE_SETREGSET: NT_PRSTATUS, NT_FPREGSET, NT_X86_XSTATE. EINVAL: no such set.
Result<void> RegisterSet(Task& tracer, Task& target, uint64_t type, UserAddr iovec, bool set);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_PTRACE_REGISTERS_H_
