#include <fmt/format.h>
#include <stdio.h>

#include <string>

#include "runsc/cmd/command.h"
#include "runsc/cmd/global_flags.h"
#include "sentry/syscalls/table.h"

namespace runsc {
namespace {

void PrintSyscalls() {
  constexpr const char* kNames[] = {"none", "refused", "partial", "full"};
  size_t counts[4] = {};
  for (size_t number = 0; number < kSyscallTable.size(); ++number) {
    const SyscallRow& row = kSyscallTable[number];
    if (row.name == nullptr) continue;
    auto support = static_cast<size_t>(row.implementation.support);
    ++counts[support];
    std::string line =
        fmt::format("{:>3}  {:<24} {:<8} {}", number, row.name, kNames[support], row.implementation.note);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
  fmt::print("\n{} full, {} partial, {} refused as a kernel without the feature would, {} none (ENOSYS)\n",
             counts[3], counts[2], counts[1], counts[0]);
}

}  // namespace

int RunHelp(Arguments arguments) {
  if (!arguments.empty() && arguments[0] == "syscalls") {
    PrintSyscalls();
    return 0;
  }
  if (!arguments.empty() && arguments[0] != "help" && arguments[0] != "--help") {
    for (const Command& command : Commands()) {
      if (command.name == arguments[0]) return command.run({"--help"});
    }
    return UsageError("help", fmt::format("there is no command '{}'", arguments[0]));
  }
  fmt::print(
      "runsc runs Linux programs on a kernel of its own, in user space.\n\n"
      "Usage: runsc [flags] COMMAND [ARGUMENT...]\n\nCommands:\n");
  for (const Command& command : Commands()) fmt::print("  {:<12}{}\n", command.name, command.summary);
  fmt::print("\nFlags:\n{}", GlobalFlags().Set().Help());
  fmt::print(
      "\n'runsc COMMAND --help' tells about one command, 'runsc help syscalls' which system calls\n"
      "programs may use.\n");
  return 0;
}

}  // namespace runsc
