#include "runsc/cmd/command.h"

#include <fmt/format.h>
#include <stdio.h>

#include "runsc/cmd/global_flags.h"
#include "runsc/oci/spec.h"
#include "runsc/sandbox/sandbox.h"

namespace runsc {
namespace {

constexpr int kNoSuchCommand = 3;  // runc's exit code for it

constexpr Command kCommands[] = {
    {"completion", "bash|zsh|fish", "print a script of completions for a shell", RunCompletion},
    {"create", "[flags] ID", "make a container from a bundle", RunCreate},
    {"debug", "[flags] ID", "print what the threads of a container are doing", RunDebug},
    {"delete", "[flags] ID...", "take away all that a container had", RunDelete},
    {"do", "[flags] [--] COMMAND [ARGUMENT...]", "run a command in a sandbox of its own", RunDo},
    {"events", "[flags] ID", "print what a container uses", RunEvents},
    {"exec", "[flags] ID [--] COMMAND [ARGUMENT...]", "run a further process in a container", RunExec},
    {"features", "", "print what this runtime can do, as JSON", RunFeatures},
    {"help", "[COMMAND | syscalls]", "say how runsc, or a command of it, is used", RunHelp},
    {"install", "[flags] [--] [ARGUMENT...]", "add runsc to dockerd's configuration", RunInstall},
    {"kill", "[flags] ID [SIGNAL]", "send a signal to a container", RunKill},
    {"list", "[flags]", "list containers", RunList},
    {"pause", "ID", "stop all processes of a container", RunPause},
    {"ps", "[flags] ID", "list the processes of a container", RunPs},
    {"resume", "ID", "let a paused container go on", RunResume},
    {"run", "[flags] ID", "make a container, start it, wait for its end and delete it", RunRun},
    {"spec", "[flags]", "write a config.json to start from", RunSpec},
    {"start", "ID", "let the process of a created container go", RunStart},
    {"state", "ID", "print the state of a container", RunState},
    {"uninstall", "[flags]", "take runsc out of dockerd's configuration", RunUninstall},
    {"update", "[flags] ID", "change the limits of a container", RunUpdate},
    {"version", "", "print the version", RunVersion},
    {"wait", "ID", "wait for a container's end", RunWait},
};

}  // namespace

std::span<const Command> Commands() { return kCommands; }

int UsageError(std::string_view command, const std::string& text) {
  std::string name = command.empty() ? "runsc" : fmt::format("runsc {}", command);
  fmt::print(stderr, "{}: {} (see '{} --help')\n", name, text, name);
  return kExitFailed;
}

int RunVersion(Arguments arguments) {
  if (arguments.size() == 1 && arguments[0] == "--help") {
    fmt::print("runsc version prints the version of runsc.\n\nUsage: runsc version\n");
    return 0;
  }
  if (!arguments.empty()) return UsageError("version", "takes no arguments");
  fmt::print("runsc version {}\nspec: {}\n", kVersion, oci::kVersion);
  return 0;
}

int RunMain(Arguments arguments) {
  GlobalFlags& globals = Globals();
  if (std::string wrong = globals.Set().Parse(arguments); !wrong.empty())
    return Fail(fmt::format("runsc: {} (see 'runsc --help')", wrong));
  if (std::string wrong = globals.Finish(); !wrong.empty()) return Fail(wrong);
  if (globals.version) return RunVersion({});
  if (globals.help || arguments.empty()) return RunHelp({});
  std::string name = arguments[0];
  arguments.erase(arguments.begin());
  for (const Command& command : kCommands) {
    if (command.name == name) return command.run(std::move(arguments));
  }
  (void)Fail(fmt::format("No help topic for '{}': there is no such command (see 'runsc --help')", name));
  return kNoSuchCommand;
}

}  // namespace runsc
