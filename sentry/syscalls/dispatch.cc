#include <atomic>

#include "platform/base/log.h"
#include "sentry/syscalls/strace.h"
#include "sentry/syscalls/table.h"
#include "sentry/vfs/operation.h"

namespace runsc {
namespace {

// Names a call that is missing, once a number, so that the log tells why a program gave up.
void ReportMissing(uint64_t number, const SyscallRow* row) {
  static std::atomic<bool> reported[kSyscallLimit];
  if (number >= kSyscallLimit) return;
  if (reported[number].exchange(true, std::memory_order_relaxed)) return;
  LOG_WARNING("system call {} ({}) is not implemented: ENOSYS", number,
              row != nullptr ? row->name : "no such call");
}

}  // namespace

Result<int64_t> DispatchSyscall(Task& task, uint64_t number, const SyscallArguments& arguments) {
  const SyscallRow* row = FindSyscall(number);
  bool missing = row == nullptr || row->implementation.handler == nullptr;
  if (missing) ReportMissing(number, row);
  OperationScope operation;
  if (__builtin_expect(strace_enabled.load(std::memory_order_relaxed), false))
    return TraceSyscall(task, number, row, arguments);
  if (missing) return Errno(ENOSYS);
  return row->implementation.handler(task, arguments);
}

}  // namespace runsc
