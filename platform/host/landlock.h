// Landlock: a process of ours gives up, for good, every file that it has no reason to open, and what it could
// do to processes outside. The namespaces, the empty root and the seccomp filter already take all of that
// away; this fence stands without them, should one have a hole.
//
// Linux counterpart: landlock(7), Linux 5.13 and later; newer kernels take more away.
#ifndef PLATFORM_HOST_LANDLOCK_H_
#define PLATFORM_HOST_LANDLOCK_H_

#include <span>

#include "platform/base/result.h"

namespace runsc {

struct LandlockRoot {
  int fd = -1;  // O_PATH, of a directory or a file; what is beneath it can be opened, too
  bool read_only = true;
};

struct LandlockOptions {
  std::span<const LandlockRoot> roots = {};  // all else in the filesystem is out of reach
  bool may_use_network = false;              // else no TCP port can be bound or connected to (Linux 6.7)
  bool may_connect_unix = false;             // else no abstract unix socket outside (Linux 6.12)
};

// For the calling thread and what it makes from now on. Signals then reach only processes that were made
// after this (Linux 6.12). Descriptors that are open stay as they are. False: this kernel has no
// Landlock, or it is off. Needs no_new_privs.
Result<bool> RestrictByLandlock(const LandlockOptions& options);

}  // namespace runsc

#endif  // PLATFORM_HOST_LANDLOCK_H_
