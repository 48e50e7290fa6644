// Making the master stub: the one process from which all stub processes are forked.
#ifndef PLATFORM_PTRACE_STUB_MASTER_H_
#define PLATFORM_PTRACE_STUB_MASTER_H_

#include <memory>

#include "platform/base/result.h"
#include "platform/ptrace/ptrace_platform.h"

namespace runsc {

struct StubMaster {
  PtracePlatform::StubCode code;
  std::unique_ptr<StubProcess> process;
};

// Single-threaded callers only. The master is a child of the calling process without
// an exit signal: only a wait with __WALL or __WCLONE sees it and its like.
Result<StubMaster> StartStubMaster();

}  // namespace runsc

#endif  // PLATFORM_PTRACE_STUB_MASTER_H_
