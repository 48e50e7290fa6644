// Session and ProcessGroup: job control's units. Membership is guarded by the kernel's
// task tree lock (kTaskTree); a group without members cannot be found any more.
// Linux counterpart: struct pid with PIDTYPE_SID and PIDTYPE_PGID.
#ifndef SENTRY_KERNEL_PROCESS_GROUP_H_
#define SENTRY_KERNEL_PROCESS_GROUP_H_

#include <sys/types.h>

#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/kernel/pid_namespace.h"
#include "sentry/kernel/terminal.h"

namespace runsc {

class Kernel;
class ThreadGroup;

class Session final : public RefCounted {
 public:
  Session(Kernel& kernel, ThreadGroup* leader, PidNumbers numbers)
      : kernel_(kernel), leader_(leader), numbers_(std::move(numbers)) {}
  // In the root PID namespace; see PidNamespace for others' views.
  pid_t id() const { return numbers_.root(); }
  const PidNumbers& numbers() const { return numbers_; }
  ThreadGroup* leader() const { return leader_; }  // compare only; under the task tree lock
  RefPtr<Terminal> terminal() const;
  void SetTerminal(RefPtr<Terminal> terminal);
  // The terminal is gone: SIGHUP and SIGCONT to the leader.
  void HangUpLeader();

 private:
  friend class Kernel;
  friend class ProcessGroup;
  friend class Task;
  friend class ThreadGroup;
  Kernel& kernel_;
  ThreadGroup* leader_;  // null once it has exited
  const PidNumbers numbers_;
  int group_count_ = 0;  // process groups with members; task tree lock
  mutable Mutex mu_{LockRank::kLeaf};
  RefPtr<Terminal> terminal_ ABSL_GUARDED_BY(mu_);
};

class ProcessGroup final : public RefCounted {
 public:
  ProcessGroup(Kernel& kernel, RefPtr<Session> session, PidNumbers numbers)
      : kernel_(kernel), session_(std::move(session)), numbers_(std::move(numbers)) {}
  pid_t id() const { return numbers_.root(); }
  const PidNumbers& numbers() const { return numbers_; }
  const RefPtr<Session>& session() const { return session_; }
  // Members now. Takes the task tree lock.
  std::vector<RefPtr<ThreadGroup>> Members() const;
  bool IsOrphaned() const;
  void SendSignal(int signal);  // as the kernel (SI_KERNEL)

 private:
  friend class Kernel;
  friend class Task;
  friend class ThreadGroup;
  // The rest with the task tree lock held.
  void AddMemberLocked(ThreadGroup& group);
  void RemoveMemberLocked(ThreadGroup& group);
  // As if `ignored` were gone.
  bool IsOrphanedLocked(const ThreadGroup* ignored) const;
  bool HasStoppedMemberLocked() const;
  void SendSignalLocked(int signal);
  // SIGHUP and SIGCONT if it is orphaned with stopped members (POSIX _exit).
  void HangUpIfOrphanedLocked(const ThreadGroup* ignored);

  Kernel& kernel_;
  const RefPtr<Session> session_;
  const PidNumbers numbers_;
  std::vector<ThreadGroup*> members_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_PROCESS_GROUP_H_
