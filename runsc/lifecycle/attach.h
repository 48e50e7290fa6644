// Attach: a command in the foreground with a process that stands for one in a container (a monitor, or the
// keeper of an exec): its signals go there, and its terminal is the process's.
#ifndef RUNSC_LIFECYCLE_ATTACH_H_
#define RUNSC_LIFECYCLE_ATTACH_H_

#include <sys/types.h>

#include "platform/base/unique_fd.h"

namespace runsc {

// Blocks the signals that Attach passes on, so that none gets lost before; at the start of a command.
void HoldSignals();

// Stays until the child `pid` has ended; its exit code (128+n after signal n). `terminal`: the master of the
// pseudo-terminal to copy from and to, or invalid.
int Attach(pid_t pid, UniqueFd terminal);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_ATTACH_H_
