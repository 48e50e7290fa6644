#include "sentry/syscalls/strace.h"

#include <fmt/format.h>
#include <sys/mount.h>
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

// What an argument is may be another one's to say: fsconfig(2).
ArgumentFormat FormatOf(uint64_t number, const SyscallImplementation& implementation, unsigned i,
                        const SyscallArguments& arguments) {
  constexpr unsigned kValue = 3, kAux = 4;
  if (implementation.handler == nullptr) return ArgumentFormat::kHex;
  if (number == SYS_fsconfig && (i == kValue || i == kAux)) {
    switch (static_cast<uint32_t>(arguments.value[1])) {
      case FSCONFIG_SET_STRING:
        if (i == kValue) return ArgumentFormat::kString;
        break;
      case FSCONFIG_SET_BINARY:
        if (i == kValue) return ArgumentFormat::kBuffer;
        break;
      case FSCONFIG_SET_PATH:
      case FSCONFIG_SET_PATH_EMPTY:
        return i == kValue ? ArgumentFormat::kPath : ArgumentFormat::kDirFd;
    }
  }
  return implementation.arguments[i];
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
    ArgumentFormat how = FormatOf(number, implementation, i, arguments);
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
