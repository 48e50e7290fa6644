// How many threads of its own the host lets this process and its children have, as far as
// it tells: the least of kernel.pid_max, kernel.threads-max, RLIMIT_NPROC of an ordinary
// user (getrlimit(2)) and pids.max of the process's cgroups (cgroup v1 and v2).
//
// A guest must meet the limit of its sandbox, where it gets EAGAIN, before it meets the host's.
#ifndef PLATFORM_HOST_TASK_CAPACITY_H_
#define PLATFORM_HOST_TASK_CAPACITY_H_

#include <cstdint>

namespace runsc {

// Reads /proc and /sys: before an empty root is entered.
uint64_t HostTaskCapacity();

}  // namespace runsc

#endif  // PLATFORM_HOST_TASK_CAPACITY_H_
