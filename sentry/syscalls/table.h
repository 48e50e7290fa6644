// The system call table: the one place that knows a call's number, name, handler and
// how far it is supported. Dispatch, strace, `runsc help syscalls` and the coverage page come from it.
//
// A handler is a plain function, declared in its family's sys_<family>.h:
//     Result<int64_t> SysOpenat(Task& task, DirFd dirfd, UserPath path, OpenFlags flags, FileMode mode);
// and a row names it: {"openat", Full<SysOpenat>()}.
#ifndef SENTRY_SYSCALLS_TABLE_H_
#define SENTRY_SYSCALLS_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "sentry/kernel/task.h"
#include "sentry/syscalls/arguments.h"

namespace runsc {

enum class SyscallSupport : uint8_t {
  kNone,     // ENOSYS, named once in the debug log
  kRefused,  // answers the errno that Linux gives where the feature is not built or not allowed
  kPartial,  // see the note
  kFull,
};

using SyscallHandler = Result<int64_t> (*)(Task& task, const SyscallArguments& arguments);

struct SyscallImplementation {
  SyscallHandler handler = nullptr;
  SyscallSupport support = SyscallSupport::kNone;
  const char* note = "";
  uint8_t argument_count = 0;
  std::array<ArgumentFormat, 6> arguments{};
  uint8_t outputs = 0;  // bit n: argument n is shown as the call left it
};

struct SyscallRow {
  const char* name = nullptr;  // null: no such number
  SyscallImplementation implementation{};
};

namespace syscall_internal {

template <auto function>
struct Thunk;
template <typename... Args, Result<int64_t> (*function)(Task&, Args...)>
struct Thunk<function> {
  static_assert(sizeof...(Args) <= 6);
  template <size_t... index>
  static Result<int64_t> Call(Task& task, const SyscallArguments& arguments, std::index_sequence<index...>) {
    return function(task, ArgumentTraits<Args>::Decode(arguments.value[index])...);
  }
  static Result<int64_t> Handle(Task& task, const SyscallArguments& arguments) {
    return Call(task, arguments, std::index_sequence_for<Args...>());
  }
  static constexpr SyscallImplementation Make(SyscallSupport support, const char* note) {
    uint8_t outputs = 0;
    unsigned index = 0;
    ((outputs |= static_cast<uint8_t>(kIsOutput<Args> << index++)), ...);
    return {&Handle, support, note, sizeof...(Args), {ArgumentTraits<Args>::kFormat...}, outputs};
  }
};

}  // namespace syscall_internal

template <auto function>
constexpr SyscallImplementation Full() {
  return syscall_internal::Thunk<function>::Make(SyscallSupport::kFull, "");
}
template <auto function>
constexpr SyscallImplementation Partial(const char* note) {
  return syscall_internal::Thunk<function>::Make(SyscallSupport::kPartial, note);
}
// Always answers `error`, for the reason given.
template <int error>
constexpr SyscallImplementation Refused(const char* reason) {
  return {[](Task&, const SyscallArguments&) -> Result<int64_t> { return Errno(error); },
          SyscallSupport::kRefused,
          reason,
          0,
          {}};
}
constexpr SyscallImplementation Missing(const char* note = "") {
  return {nullptr, SyscallSupport::kNone, note, 0, {}};
}

inline constexpr size_t kSyscallLimit = 453;
extern const std::array<SyscallRow, kSyscallLimit> kSyscallTable;

// Null for a number that Linux does not have.
const SyscallRow* FindSyscall(uint64_t number);

// The kernel's dispatcher: strace, the handler, ENOSYS.
Result<int64_t> DispatchSyscall(Task& task, uint64_t number, const SyscallArguments& arguments);

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_TABLE_H_
