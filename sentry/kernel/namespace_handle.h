// A namespace that can be entered by setns(2), and the open file that stands for it (/proc/<pid>/ns/*).
// Linux counterpart: struct ns_common; namespaces(7).
#ifndef SENTRY_KERNEL_NAMESPACE_HANDLE_H_
#define SENTRY_KERNEL_NAMESPACE_HANDLE_H_

#include <sched.h>

#include "sentry/auth/namespace.h"
#include "sentry/vfs/file_description.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

namespace runsc {

struct NamespaceHandle {
  int type = 0;               // one of CLONE_NEW*
  RefPtr<RefCounted> object;  // of the kind's class; null where there is one namespace only

  // The user namespace that it belongs to; of a user namespace, its parent (null: there is none).
  RefPtr<UserNamespace> Owner() const;
};

class NamespaceFile final : public FileDescription {
 public:
  NamespaceFile(const VfsPath& path, int flags, NamespaceHandle handle)
      : FileDescription(path, flags), handle_(std::move(handle)) {}
  const NamespaceHandle& handle() const { return handle_; }

 private:
  const NamespaceHandle handle_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_NAMESPACE_HANDLE_H_
