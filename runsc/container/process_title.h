// SetCommandLine: what ps(1) shows of the calling process, /proc/self/cmdline.
#ifndef RUNSC_CONTAINER_PROCESS_TITLE_H_
#define RUNSC_CONTAINER_PROCESS_TITLE_H_

#include <string>
#include <vector>

namespace runsc {

// Engines list the processes of a container by asking the host's ps(1) about the numbers that `runsc ps`
// gives. So the process that stands for one of the guest shows that one's command line. There is room for as
// much as the process's own arguments took; the rest is cut off. Nobody may look at main()'s argv afterwards.
void SetCommandLine(const std::vector<std::string>& arguments);

}  // namespace runsc

#endif  // RUNSC_CONTAINER_PROCESS_TITLE_H_
