// RootTrees: clones of the mounts of a Gofer's roots that are to be other than they are on the host: without
// what is mounted below them, or id-mapped (mount_setattr(2)). Made before the Gofer enters a user namespace,
// where it may no longer do either.
//
// What the Gofer makes is its own until it gives it to whom the guest said. So an id-mapped mount has to know
// the Gofer's id too, and where it does not, it gets one more mapping, from an id that it has no use for.
// Nothing may be given to that id: it is the Gofer that refuses, as Linux would.
#ifndef RUNSC_SANDBOX_ROOT_TREES_H_
#define RUNSC_SANDBOX_ROOT_TREES_H_

#include <string>
#include <vector>

#include "gofer/server/gofer.h"
#include "runsc/sandbox/sandbox.h"

namespace runsc {

// By index, invalid for the roots that are served as they are; on failure `why`.
Result<std::vector<UniqueFd>> CloneRootTrees(const SandboxOptions& options, std::string* why);

// Which ids the root's files may have, as the Gofer and the guest number them.
gofer::OwnerIds OwnerIdsOf(const SandboxOptions& options, const SandboxOptions::Root& root);

}  // namespace runsc

#endif  // RUNSC_SANDBOX_ROOT_TREES_H_
