// CloneProcess: fork(2) into new namespaces at once, and the id mappings that give
// the child's user namespace its meaning.
//
// Called while the process has one thread. Linux counterpart: clone(2),
// user_namespaces(7).
#ifndef PLATFORM_HOST_CLONE_PROCESS_H_
#define PLATFORM_HOST_CLONE_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "platform/base/result.h"
#include "platform/base/unique_fd.h"

namespace runsc {

// Like fork(2), with CLONE_NEW* flags: 0 in the child.
Result<pid_t> CloneProcess(uint64_t namespace_flags);

struct IdMapping {
  uint32_t inside = 0;
  uint32_t outside = 0;
  uint32_t count = 1;
};
// Writes the child's /proc/<pid>/{setgroups,uid_map,gid_map}: one user and one group. A
// caller without privilege can map only itself, and then setgroups(2) is denied there.
Result<void> WriteIdMappings(pid_t child, IdMapping user, IdMapping group);
// Ranges of them, as a caller with privilege may map.
Result<void> WriteIdMappings(pid_t child, std::span<const IdMapping> users,
                             std::span<const IdMapping> groups);
// A new user namespace with these mappings, for mount_setattr(2). Leaves a SIGCHLD of a child that has ended.
Result<UniqueFd> MakeUserNamespace(std::span<const IdMapping> users, std::span<const IdMapping> groups);
// Maps every id that exists here to itself, for a child that works with files of all owners.
Result<void> WriteIdentityMappings(pid_t child);

}  // namespace runsc

#endif  // PLATFORM_HOST_CLONE_PROCESS_H_
