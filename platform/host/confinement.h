// What a process of ours takes away from itself before it touches hostile input. All of
// it runs while the process has one thread; a seccomp filter comes after it.
//
// Linux counterpart: namespaces(7), capabilities(7), pivot_root(2), close_range(2).
#ifndef PLATFORM_HOST_CONFINEMENT_H_
#define PLATFORM_HOST_CONFINEMENT_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "platform/base/result.h"

namespace runsc {

// Makes an empty read-only tmpfs the root and working directory of this process and lets
// go of every mount it had. The process is in a mount namespace of its own, over which
// it has CAP_SYS_ADMIN.
Result<void> EnterEmptyRoot();
// What to tell a user of a refused unshare(2) or mount(2): begins with a space, or is empty.
const char* AdviceOnMounts(Errno error);

// Closes every descriptor that is not in `keep` (negative ones are ignored there).
void CloseAllFdsBut(std::span<const int> keep);

// Drops every capability that is not in the bit set `keep` from all five sets, and keeps
// the securebits from giving any back.
Result<void> KeepCapabilities(uint64_t keep);
// prctl(2), PR_SET_NO_NEW_PRIVS.
Result<void> SetNoNewPrivileges();

// Raises the soft limit of open files to the hard one; the new limit.
uint64_t RaiseFileLimit();

// Names the process as ps(1) and top(1) show it; at most 15 bytes count.
void SetProcessName(const char* name);

}  // namespace runsc

#endif  // PLATFORM_HOST_CONFINEMENT_H_
