#include "runsc/cmd/oci_command.h"

#include <fcntl.h>
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
    std::string wanted =
        usage.least_arguments == usage.most_arguments ? fmt::format("exactly {}", usage.least_arguments)
        : count < usage.least_arguments               ? fmt::format("a minimum of {}", usage.least_arguments)
                                                      : fmt::format("a maximum of {}", usage.most_arguments);
    // runc's words: callers look for them.
    return Fail(fmt::format("runsc: \"{0}\" requires {1} argument(s), not {2} (see 'runsc {0} --help')",
                            usage.command, wanted, count));
  }
  return std::nullopt;
}

int Fail(const absl::Status& status) {
  return Fail(std::string_view(status.message().data(), status.message().size()));
}

std::string CheckPreservedFds(uint32_t count) {
  constexpr uint32_t kMost = 60;  // a control message takes four more
  if (count > kMost) return fmt::format("--preserve-fds: at most {}", kMost);
  for (uint32_t i = 0; i < count; ++i) {
    if (::fcntl(static_cast<int>(3 + i), F_GETFD) < 0)
      return fmt::format("unable to stat preserved-fd {} (of {}): descriptor {} is not open", i + 1, count,
                         3 + i);
  }
  return "";
}

StateDirectory Containers() { return StateDirectory(Globals().root); }

}  // namespace runsc
