// containerd-shim-runsc-v1: runsc by another name.
#ifndef RUNSC_CMD_SHIM_COMMAND_H_
#define RUNSC_CMD_SHIM_COMMAND_H_

#include <string_view>

#include "runsc/cmd/command.h"

namespace runsc {

// containerd runs it for the runtime io.containerd.runsc.v1.
inline constexpr std::string_view kShimName = "containerd-shim-runsc-v1";

// Arguments as main() gets them, without the program's name.
int RunShim(Arguments arguments);

}  // namespace runsc

#endif  // RUNSC_CMD_SHIM_COMMAND_H_
