#include "sentry/syscalls/signal_permission.h"

namespace runsc {

Result<void> CheckSignalPermission(Task& sender, ThreadGroup& target, int signal) {
  if (signal < 0 || signal > kSignalMax) return Errno(EINVAL);
  if (&target == &sender.thread_group()) return Ok();
  RefPtr<Task> leader = target.leader();
  RefPtr<const Credentials> other = leader ? leader->GetCreds() : nullptr;
  if (!other) return Errno(ESRCH);
  const Credentials& own = sender.creds();
  if (own.euid == other->suid || own.euid == other->ruid || own.ruid == other->suid ||
      own.ruid == other->ruid || own.HasCapabilityIn(*other->user_ns, CAP_KILL))
    return Ok();
  if (signal == SIGCONT && sender.thread_group().session() == target.session()) return Ok();
  return Errno(EPERM);
}

siginfo_t SenderInfo(Task& sender, ThreadGroup& target, int signal, int code) {
  return MakeUserSignalInfo(signal, code, target.pid_namespace().IdOf(sender.thread_group()),
                            target.VisibleUid(sender.creds().ruid));
}

Result<void> SendSignalFrom(Task& sender, ThreadGroup& target, const siginfo_t& info) {
  bool outside = target.pid_namespace().IdOf(sender.thread_group()) == 0;
  return target.SendSignal(info, outside);
}

}  // namespace runsc
