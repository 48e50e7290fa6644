#include "sentry/syscalls/strace.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include "platform/base/log.h"

namespace runsc {

std::atomic<bool> strace_enabled{false};

namespace {

std::string ResultText(const char* name, const Result<int64_t>& result) {
  if (result.ok()) {
    std::string_view called = name;
    bool address = called == "mmap" || called == "brk" || called == "mremap" || called == "shmat";
    return address ? fmt::format("{:#x}", static_cast<uint64_t>(*result)) : std::to_string(*result);
  }
  switch (result.error().value()) {
    case ERESTARTSYS:
      return "? ERESTARTSYS (To be restarted if SA_RESTART is set)";
    case ERESTARTNOINTR:
      return "? ERESTARTNOINTR (To be restarted)";
    case ERESTARTNOHAND:
      return "? ERESTARTNOHAND (To be restarted if no handler)";
    case ERESTART_RESTARTBLOCK:
      return "? ERESTART_RESTARTBLOCK (Interrupted by signal)";
    default:
      return fmt::format("-1 {} ({})", result.error().name(), result.error().message());
  }
}

}  // namespace

Result<int64_t> TraceSyscall(Task& task, uint64_t number, const SyscallRow* row,
                             const SyscallArguments& arguments) {
  std::string line = fmt::format("[pid {:>4}] {}(", task.tid(),
                                 row != nullptr ? row->name : fmt::format("syscall_{:#x}", number));
  const SyscallImplementation none;
  const SyscallImplementation& implementation = row != nullptr ? row->implementation : none;
  // Filled in place: inputs now, what the call fills afterwards.
  std::string parts[6];
  unsigned count = implementation.handler != nullptr ? implementation.argument_count : 6;
  auto format = [&](unsigned i, const Result<int64_t>* result) {
    uint64_t next = i + 1 < 6 ? arguments.value[i + 1] : 0;
    ArgumentFormat how =
        implementation.handler != nullptr ? implementation.arguments[i] : ArgumentFormat::kHex;
    // A failed call has filled nothing.
    if (result != nullptr && !result->ok()) how = ArgumentFormat::kAddress;
    parts[i] = FormatArgument(task.memory(), how, arguments.value[i], next, result);
  };
  bool is_exec = number == SYS_execve || number == SYS_execveat;
  bool is_exit = number == SYS_exit || number == SYS_exit_group;
  for (unsigned i = 0; i < count; ++i) {
    if ((implementation.outputs >> i & 1) == 0 || is_exec) format(i, nullptr);
  }
  if (is_exec) {
    unsigned vector = number == SYS_execve ? 1 : 2;
    parts[vector] =
        FormatArgument(task.memory(), ArgumentFormat::kStringVector, arguments.value[vector], 0, nullptr);
  }
  Result<int64_t> result = implementation.handler != nullptr ? implementation.handler(task, arguments)
                                                             : Result<int64_t>(Errno(ENOSYS));
  for (unsigned i = 0; i < count; ++i) {
    if ((implementation.outputs >> i & 1) != 0 && !is_exec) format(i, &result);
  }
  for (unsigned i = 0; i < count; ++i) line += (i > 0 ? ", " : "") + parts[i];
  line += is_exit ? ") = ?" : fmt::format(") = {}", ResultText(row != nullptr ? row->name : "", result));
  LogRaw(line);
  return result;
}

}  // namespace runsc
