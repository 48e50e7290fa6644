// strace: one line of the log a system call, in strace(1)'s own words. What a line shows
// comes from the argument types of the handler (arguments.h); there is no second table.
//
// Threading: TraceSyscall on the task's thread; the switch is set before the first task runs.
// Linux counterpart: none; strace(1).
#ifndef SENTRY_SYSCALLS_STRACE_H_
#define SENTRY_SYSCALLS_STRACE_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/table.h"

namespace runsc {

extern std::atomic<bool> strace_enabled;

// Serves the call through its handler (or answers ENOSYS) and logs it.
Result<int64_t> TraceSyscall(Task& task, uint64_t number, const SyscallRow* row,
                             const SyscallArguments& arguments);

// One argument as strace shows it. `result` is null before the call; `next` is the argument
// behind it (a buffer's length).
std::string FormatArgument(UserMemory& memory, ArgumentFormat format, uint64_t value, uint64_t next,
                           const Result<int64_t>* result);

// Names of flag words and enumerations: "O_RDONLY|O_CLOEXEC". Empty: no names for this format.
std::string FormatNames(ArgumentFormat format, uint64_t value);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_STRACE_H_
