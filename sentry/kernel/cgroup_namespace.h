// CgroupNamespace: from where on a task is shown the names of cgroups. A sandbox is in one cgroup, which is
// its root (sentry/fsimpl/cgroup.h): so that is the root of every such namespace, and they differ in their
// owner alone. Threading: immutable. Linux counterpart: struct cgroup_namespace; cgroup_namespaces(7).
#ifndef SENTRY_KERNEL_CGROUP_NAMESPACE_H_
#define SENTRY_KERNEL_CGROUP_NAMESPACE_H_

#include "sentry/auth/namespace.h"

namespace runsc {

class CgroupNamespace final : public Namespace {
 public:
  explicit CgroupNamespace(RefPtr<UserNamespace> user_ns) : Namespace(std::move(user_ns)) {}
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_CGROUP_NAMESPACE_H_
