// What the OCI commands have in common: their flags, help and complaints, and the state directory.
#ifndef RUNSC_CMD_OCI_COMMAND_H_
#define RUNSC_CMD_OCI_COMMAND_H_

#include <limits.h>

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "runsc/cmd/command.h"
#include "runsc/cmd/flags.h"
#include "runsc/cmd/global_flags.h"
#include "runsc/container/state_directory.h"

namespace runsc {

struct OciUsage {
  std::string_view command;      // "state"
  std::string_view description;  // what it does, whole lines
  int least_arguments = 0;
  int most_arguments = INT_MAX;
};

// Takes the flags off `arguments` (--help is added to them) and counts the rest. An exit code if that is all
// there is to do: help was printed, or what is wrong was said.
std::optional<int> ParseOciArguments(const OciUsage& usage, FlagSet& flags, Arguments& arguments);

// Fail() with the message of a status that is not ok.
int Fail(const absl::Status& status);

// Whether 3 to 3+count-1 are the caller's to give: asked before a command opens descriptors of its own. What
// is wrong, or "".
std::string CheckPreservedFds(uint32_t count);

// The containers of --root.
StateDirectory Containers();

}  // namespace runsc

#endif  // RUNSC_CMD_OCI_COMMAND_H_
