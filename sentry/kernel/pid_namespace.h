// PidNamespace: the numbers that tasks have, as seen from one level of the tree of PID
// namespaces. Guarded by the kernel's task tree lock; the getters take it.
// Linux counterpart: struct pid_namespace; pid_namespaces(7).
#ifndef SENTRY_KERNEL_PID_NAMESPACE_H_
#define SENTRY_KERNEL_PID_NAMESPACE_H_

#include <sys/types.h>

#include <vector>

#include "absl/container/btree_map.h"
#include "platform/base/ref.h"

namespace runsc {

class Kernel;
class ProcessGroup;
class Session;
class Task;
class ThreadGroup;

class PidNamespace final : public RefCounted {
 public:
  PidNamespace(Kernel& kernel, RefPtr<PidNamespace> parent);
  ~PidNamespace() override;
  const RefPtr<PidNamespace>& parent() const { return parent_; }
  int level() const { return level_; }

  // Null if there is no such task or process here.
  RefPtr<Task> FindTask(pid_t tid) const;
  RefPtr<ThreadGroup> FindThreadGroup(pid_t pid) const;
  RefPtr<ProcessGroup> FindProcessGroup(pid_t pgid) const;
  // 0 if it cannot be seen from here.
  pid_t IdOf(const Task& task) const;
  pid_t IdOf(const ThreadGroup& group) const;
  pid_t IdOf(const ProcessGroup& group) const;
  pid_t IdOf(const Session& session) const;
  // Every process here, by pid (kill(-1), /proc).
  std::vector<RefPtr<ThreadGroup>> ThreadGroups() const;
  size_t task_count() const;
  pid_t last_pid() const;

 private:
  friend class Kernel;
  Kernel& kernel_;
  const RefPtr<PidNamespace> parent_;
  const int level_;
  pid_t next_ = 1;
  absl::btree_map<pid_t, Task*> tasks_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_PID_NAMESPACE_H_
