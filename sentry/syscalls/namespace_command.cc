#include "sentry/syscalls/namespace_command.h"

#include <linux/nsfs.h>

#include "sentry/fsimpl/proc.h"

namespace runsc {
namespace {

Result<int64_t> Open(Task& task, int type, RefPtr<RefCounted> space) {
  ASSIGN_OR_RETURN(int fd, task.AddFile(OpenNamespace(task.kernel(), {type, std::move(space)}), true));
  return fd;
}

// Linux: ns_get_owner(). Only what is the caller's own namespace or below it is told.
Result<int64_t> OpenOwner(Task& task, const NamespaceHandle& handle) {
  RefPtr<UserNamespace> owner = handle.Owner();
  if (!owner || !owner->IsIn(*task.creds().user_ns)) return Errno(EPERM);
  return Open(task, CLONE_NEWUSER, std::move(owner));
}

// Linux: pidns_get_parent().
Result<int64_t> OpenParentOfPids(Task& task, const PidNamespace& space) {
  const PidNamespace* at = space.parent().get();
  while (at != nullptr && at != &task.pid_namespace()) at = at->parent().get();
  if (at == nullptr) return Errno(EPERM);
  return Open(task, CLONE_NEWPID, space.parent());
}

}  // namespace

Result<int64_t> NamespaceCommand(Task& task, const NamespaceHandle& handle, uint64_t request,
                                 UserAddr argument) {
  switch (request) {
    case NS_GET_USERNS:
      return OpenOwner(task, handle);
    case NS_GET_PARENT:
      if (handle.type == CLONE_NEWUSER) return OpenOwner(task, handle);
      if (handle.type != CLONE_NEWPID) return Errno(EINVAL);
      return OpenParentOfPids(task, static_cast<const PidNamespace&>(*handle.object));
    case NS_GET_NSTYPE:
      return handle.type;
    case NS_GET_OWNER_UID: {
      if (handle.type != CLONE_NEWUSER) return Errno(EINVAL);
      const Uid owner = static_cast<const UserNamespace&>(*handle.object).owner();
      RETURN_IF_ERROR(task.memory().Write(UserPtr<Uid>(argument), task.creds().user_ns->VisibleUid(owner)));
      return 0;
    }
    default:
      return Errno(ENOTTY);
  }
}

}  // namespace runsc
