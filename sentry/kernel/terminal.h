// Terminal: what the kernel knows of a tty: which session it controls and which of
// its process groups is in the foreground. The line discipline is in fsimpl, which
// derives from this.
// Linux counterpart: the job-control half of struct tty_struct; credentials(7), tty_ioctl(4).
#ifndef SENTRY_KERNEL_TERMINAL_H_
#define SENTRY_KERNEL_TERMINAL_H_

#include <sys/types.h>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"

namespace runsc {

class FileDescription;
class PidNamespace;
class ProcessGroup;
class Session;
class Task;

class Terminal : public RefCounted {
 public:
  // st_rdev, for /proc/pid/stat's tty_nr.
  virtual uint64_t device() const = 0;
  // A new open file on it (/dev/tty). ENXIO: not possible.
  virtual Result<RefPtr<FileDescription>> OpenFile(int flags);

  // TIOCSCTTY, and open(2) of a tty without O_NOCTTY by a session leader without one. EPERM.
  Result<void> BecomeControlling(Task& task, bool steal);
  // TIOCNOTTY: a leader's also sends SIGHUP and SIGCONT to the foreground group. ENOTTY.
  Result<void> GiveUp(Task& task);
  // TIOCGPGRP, TIOCSPGRP, TIOCGSID as seen by `task`. ENOTTY, EPERM, ESRCH, EINVAL.
  Result<pid_t> ForegroundGroup(Task& task);
  Result<void> SetForegroundGroup(Task& task, pid_t group);
  Result<pid_t> SessionId(Task& task);
  // The foreground group, whoever asks (TIOCGPGRP of a pty's master). 0: none.
  pid_t ForegroundGroupSeenBy(PidNamespace& pid_namespace);
  // For ^C, ^\, ^Z and SIGWINCH: to every process of the foreground group.
  void SignalForeground(int signal);
  // The session leader has exited, or the master side was closed: SIGHUP, SIGCONT.
  void Hangup();
  // A read, or with `write` a write under TOSTOP or an ioctl that changes the tty, from `task`:
  // a background group gets SIGTTIN/SIGTTOU and this returns ERESTARTSYS; EIO if orphaned or the
  // signal is ignored (reads); Ok if it may go on.
  Result<void> CheckBackground(Task& task, int signal);

 protected:
  // What CheckBackground does once the task is known to be in the background.
  Result<void> StopInBackground(Task& task, int signal);

 private:
  friend class Session;
  void Disconnect(bool signal_leader);

  Mutex mu_{LockRank::kTty};
  RefPtr<Session> session_ ABSL_GUARDED_BY(mu_);
  RefPtr<ProcessGroup> foreground_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_TERMINAL_H_
