// The commands of runsc: one table, from which the dispatcher and `runsc help` work.
#ifndef RUNSC_CMD_COMMAND_H_
#define RUNSC_CMD_COMMAND_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace runsc {

using Arguments = std::vector<std::string>;

struct Command {
  std::string_view name;
  std::string_view synopsis;        // "[flags] [--] COMMAND [ARGUMENT...]"
  std::string_view summary;         // one line
  int (*run)(Arguments arguments);  // behind the name; the exit code
};

std::span<const Command> Commands();

int RunCompletion(Arguments arguments);
int RunCreate(Arguments arguments);
int RunDebug(Arguments arguments);
int RunDelete(Arguments arguments);
int RunDo(Arguments arguments);
int RunEvents(Arguments arguments);
int RunExec(Arguments arguments);
int RunFeatures(Arguments arguments);
int RunHelp(Arguments arguments);
int RunInstall(Arguments arguments);
int RunKill(Arguments arguments);
int RunList(Arguments arguments);
int RunPause(Arguments arguments);
int RunPs(Arguments arguments);
int RunResume(Arguments arguments);
int RunRun(Arguments arguments);
int RunSpec(Arguments arguments);
int RunStart(Arguments arguments);
int RunState(Arguments arguments);
int RunUninstall(Arguments arguments);
int RunUpdate(Arguments arguments);
int RunVersion(Arguments arguments);
int RunWait(Arguments arguments);

// Writes "runsc NAME: TEXT" and where to read on, as one line, to stderr; returns the exit code for it.
int UsageError(std::string_view command, const std::string& text);

// The whole of runsc: arguments as main() gets them, without the program's name.
int RunMain(Arguments arguments);

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace runsc

#endif  // RUNSC_CMD_COMMAND_H_
