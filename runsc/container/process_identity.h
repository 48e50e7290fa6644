// ProcessIdentity: a process of the host in a way that its number alone is not: the number is used again, but
// not with the same start time.
#ifndef RUNSC_CONTAINER_PROCESS_IDENTITY_H_
#define RUNSC_CONTAINER_PROCESS_IDENTITY_H_

#include <sys/types.h>

#include <cstdint>

#include "platform/base/unique_fd.h"

namespace runsc {

struct ProcessIdentity {
  pid_t pid = 0;            // 0: no process
  uint64_t start_time = 0;  // in clock ticks since the machine's start: field 22 of /proc/PID/stat, proc(5)

  // The process with that number now; pid 0 if there is none, or a zombie only.
  static ProcessIdentity Of(pid_t pid);
  // Whether it is there still and not a zombie.
  bool IsAlive() const;
  // A pidfd of it, invalid if it is gone: for signals that cannot hit another one.
  UniqueFd Open() const;

  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

}  // namespace runsc

#endif  // RUNSC_CONTAINER_PROCESS_IDENTITY_H_
