// Session and ProcessGroup: job control's units. Membership is guarded by the kernel's
// task tree lock (kTaskTree). Linux counterpart: struct pid with PIDTYPE_SID and PIDTYPE_PGID.
#ifndef SENTRY_KERNEL_PROCESS_GROUP_H_
#define SENTRY_KERNEL_PROCESS_GROUP_H_

#include <sys/types.h>

#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/kernel/terminal.h"

namespace runsc {

class Kernel;
class ThreadGroup;

class Session final : public RefCounted {
 public:
  Session(Kernel& kernel, ThreadGroup* leader, pid_t id) : kernel_(kernel), leader_(leader), id_(id) {}
  // In the root PID namespace; see PidNamespace for others' views.
  pid_t id() const { return id_; }
  ThreadGroup* leader() const { return leader_; }  // compare only; under the task tree lock
  RefPtr<Terminal> terminal() const;
  void SetTerminal(RefPtr<Terminal> terminal);

 private:
  friend class Kernel;
  Kernel& kernel_;
  ThreadGroup* leader_;
  const pid_t id_;
  mutable Mutex mu_{LockRank::kLeaf};
  RefPtr<Terminal> terminal_ ABSL_GUARDED_BY(mu_);
};

class ProcessGroup final : public RefCounted {
 public:
  ProcessGroup(Kernel& kernel, RefPtr<Session> session, pid_t id)
      : kernel_(kernel), session_(std::move(session)), id_(id) {}
  pid_t id() const { return id_; }
  const RefPtr<Session>& session() const { return session_; }
  // Members now. Takes the task tree lock.
  std::vector<RefPtr<ThreadGroup>> Members() const;
  bool IsOrphaned() const;
  void SendSignal(int signal);  // as the kernel (SI_KERNEL)

 private:
  Kernel& kernel_;
  const RefPtr<Session> session_;
  const pid_t id_;
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_PROCESS_GROUP_H_
