// PidNamespace: the numbers that tasks have, as seen from one level of the tree of PID
// namespaces. Guarded by the kernel's task tree lock; the getters take it.
// Linux counterpart: struct pid_namespace; pid_namespaces(7).
#ifndef SENTRY_KERNEL_PID_NAMESPACE_H_
#define SENTRY_KERNEL_PID_NAMESPACE_H_

#include <sys/types.h>

#include <span>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/auth/namespace.h"

namespace runsc {

class Kernel;
class ProcessGroup;
class Session;
class Task;
class ThreadGroup;

class PidNamespace;

// The numbers of one task, process group or session: one in its own namespace and one in each
// namespace above. Linux counterpart: struct pid.
struct PidNumbers {
  RefPtr<PidNamespace> space;  // the deepest
  std::vector<pid_t> ids;      // by level, the root's first

  pid_t root() const { return ids.front(); }
  pid_t own() const { return ids.back(); }
  // 0 if it cannot be seen from there.
  pid_t In(const PidNamespace& view) const;
};

class PidNamespace final : public Namespace {
 public:
  // The first one.
  explicit PidNamespace(Kernel& kernel);
  // One below `parent`. EINVAL: that belongs to a user namespace which is not `user_ns` or above. ENOSPC: too
  // many levels.
  static Result<RefPtr<PidNamespace>> Make(RefPtr<PidNamespace> parent, RefPtr<UserNamespace> user_ns);
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
  // The number here of the process with this number in the root namespace; 0 if it cannot be seen (below the
  // root: or is gone).
  pid_t FromRoot(pid_t root_pid) const;
  // Every process here, by pid (kill(-1), /proc).
  std::vector<RefPtr<ThreadGroup>> ThreadGroups() const;
  size_t task_count() const;
  pid_t last_pid() const;

 private:
  friend class Kernel;
  friend class ProcessGroup;
  friend class Session;
  friend class Task;
  friend class ThreadGroup;
  PidNamespace(Kernel& kernel, RefPtr<PidNamespace> parent, RefPtr<UserNamespace> user_ns);

  // The rest with the task tree lock held.
  // Numbers for a new task of this namespace. ENOMEM once its init is gone, EAGAIN when all are taken.
  // `wanted` (clone3(2), set_tid): those of the innermost namespaces. EEXIST; EINVAL: too many, or out of
  // range.
  Result<PidNumbers> AllocateLocked(std::span<const pid_t> wanted);
  ThreadGroup* FindThreadGroupLocked(pid_t pid) const;
  ProcessGroup* FindProcessGroupLocked(pid_t pgid) const;
  std::vector<RefPtr<ThreadGroup>> ThreadGroupsLocked() const;
  bool IsTakenLocked(pid_t id) const;

  Kernel& kernel_;
  const RefPtr<PidNamespace> parent_;
  const int level_;
  pid_t last_ = 0;
  absl::btree_map<pid_t, Task*> tasks_;
  absl::flat_hash_map<pid_t, ProcessGroup*> groups_;
  absl::flat_hash_map<pid_t, Session*> sessions_;
  ThreadGroup* init_ = nullptr;  // null before and after its life
  bool dead_ = false;            // init is gone: no more tasks
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_PID_NAMESPACE_H_
