// ThreadSignalMask: while it lives, this thread (and a thread made by it, for good) blocks every
// signal but those that its own code raises: a fault in a copy of guest memory and a
// system call that the filter refuses have to reach their handlers on any thread.
#ifndef PLATFORM_BASE_SIGNAL_MASK_H_
#define PLATFORM_BASE_SIGNAL_MASK_H_

#include <signal.h>

namespace runsc {

class ThreadSignalMask {
 public:
  ThreadSignalMask() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (int signal : {SIGSEGV, SIGBUS, SIGSYS, SIGILL, SIGFPE, SIGTRAP, SIGABRT})
      sigdelset(&blocked, signal);
    pthread_sigmask(SIG_SETMASK, &blocked, &old_);
  }
  ~ThreadSignalMask() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  ThreadSignalMask(const ThreadSignalMask&) = delete;
  ThreadSignalMask& operator=(const ThreadSignalMask&) = delete;

 private:
  sigset_t old_;
};

}  // namespace runsc

#endif  // PLATFORM_BASE_SIGNAL_MASK_H_
