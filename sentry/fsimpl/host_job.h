// HostJob: the place of the sandbox among the jobs of the host's shell.
//
// Nothing of a sandbox is in the session that a host terminal controls, and so the host does not keep it from
// reading what is typed for others while its job is in the background. Whoever started the sandbox is in that
// session: it is asked before each use of the terminal that job control restrains.
// Threading: any thread. Linux counterpart: __tty_check_change().
#ifndef SENTRY_FSIMPL_HOST_JOB_H_
#define SENTRY_FSIMPL_HOST_JOB_H_

#include <functional>

#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/kernel/task.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

class HostJob final : public RefCounted {
 public:
  // `ask` sends a question, whose answer comes through OnAnswer. One is on its way at a time, so that a
  // guest of many threads cannot fill the caller's mailbox.
  explicit HostJob(std::function<void(bool to_change)> ask) : ask_(std::move(ask)) {}

  // Whether the job is in the foreground, as far as it has a terminal. `to_change`: the task is about to
  // change the terminal's mode, and the caller has to set it back in the end. ERESTARTSYS: interrupted.
  Result<bool> IsInForeground(Task& task, bool to_change);
  void OnAnswer(bool foreground);

 private:
  void AskLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::function<void(bool to_change)> ask_;
  WaitQueue queue_;
  Mutex mu_{LockRank::kLeaf};
  uint64_t asked_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t answered_ ABSL_GUARDED_BY(mu_) = 0;
  bool ask_again_ ABSL_GUARDED_BY(mu_) = false;  // somebody came after the question that is on its way
  bool to_change_ ABSL_GUARDED_BY(mu_) = false;  // in the next question
  bool foreground_ ABSL_GUARDED_BY(mu_) = true;
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_HOST_JOB_H_
