// Deferred work: what a notification wants done once its thread holds no lock any more.
//
// A Waiter is told under the locks of whatever became ready; one that has to take outer locks in
// answer (to send a signal) defers itself. The thread that was told runs it at its next point without
// locks, so that a system call's consequences are there when it returns.
//
// Threading: each thread has a list of its own. Those that notify call RunDeferred(): tasks after each
// system call, before they block and when they end; HostPoller; TimerQueue.
// Linux counterpart: none (kill_fasync runs where it stands).
#ifndef SENTRY_WAIT_DEFERRED_H_
#define SENTRY_WAIT_DEFERRED_H_

#include "platform/base/ref.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

class Deferred : public RefCounted {
 public:
  // With the events of its notifications. Called without locks.
  virtual void Run(EventMask events) = 0;
};

namespace deferred_internal {
extern constinit thread_local bool pending;
void Run();
}  // namespace deferred_internal

// From Waiter::Notify: any lock may be held.
void Defer(Deferred& work, EventMask events);
// Hold no lock.
inline void RunDeferred() {
  if (__builtin_expect(deferred_internal::pending, false)) deferred_internal::Run();
}

}  // namespace runsc

#endif  // SENTRY_WAIT_DEFERRED_H_
