#include "runsc/cmd/oci_command.h"

#include <fmt/format.h>
#include <stdio.h>

namespace runsc {
namespace {

std::string Synopsis(std::string_view name) {
  for (const Command& command : Commands()) {
    if (command.name == name) return std::string(command.synopsis);
  }
  return "";
}

int UsageFailure(const OciUsage& usage, const std::string& text) {
  return Fail(fmt::format("runsc {0}: {1} (see 'runsc {0} --help')", usage.command, text));
}

}  // namespace

std::optional<int> ParseOciArguments(const OciUsage& usage, FlagSet& flags, Arguments& arguments) {
  bool help = false;
  flags.Bool("help, h", "print this text", &help);
  if (std::string wrong = flags.Parse(arguments); !wrong.empty()) return UsageFailure(usage, wrong);
  if (help) {
    std::string synopsis = Synopsis(usage.command);
    fmt::print("{}\n\nUsage: runsc {}{}{}\n\nFlags:\n{}", usage.description, usage.command,
               synopsis.empty() ? "" : " ", synopsis, flags.Help());
    return 0;
  }
  auto count = static_cast<int>(arguments.size());
  if (count < usage.least_arguments || count > usage.most_arguments) {
    std::string wanted = usage.least_arguments == usage.most_arguments
                             ? fmt::format("exactly {}", usage.least_arguments)
                         : count < usage.least_arguments ? fmt::format("at least {}", usage.least_arguments)
                                                         : fmt::format("at most {}", usage.most_arguments);
    return UsageFailure(usage, fmt::format("takes {} argument(s), not {}", wanted, count));
  }
  return std::nullopt;
}

int Fail(const absl::Status& status) {
  return Fail(std::string_view(status.message().data(), status.message().size()));
}

StateDirectory Containers() { return StateDirectory(Globals().root); }

}  // namespace runsc
