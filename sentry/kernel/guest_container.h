// GuestContainer: to which of a sandbox's containers a process belongs, and with it all that come of it. What
// concerns a container as a whole goes by this: its PID namespace may be another one's too.
// Linux counterpart: the control group that a runtime gives each container, with its freezer, and its network
// namespace.
#ifndef SENTRY_KERNEL_GUEST_CONTAINER_H_
#define SENTRY_KERNEL_GUEST_CONTAINER_H_

#include <atomic>

#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"

namespace runsc {

// Threading: any thread.
class GuestContainer : public RefCounted {
 public:
  // Whether its sockets are those of another network namespace of the host than the Sentry's.
  virtual bool has_own_network() const { return false; }
  // socket(2) there, without signals, non-blocking and close-on-exec. May wait; hold no lock.
  virtual Result<UniqueFd> OpenSocket(int family, int type, int protocol) { return Errno(EAFNOSUPPORT); }

  bool IsPaused() const { return paused_.load(std::memory_order_seq_cst); }

 private:
  friend class Kernel;  // Pause, Resume
  std::atomic<bool> paused_{false};
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_GUEST_CONTAINER_H_
