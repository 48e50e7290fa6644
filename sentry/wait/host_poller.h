// HostPoller: turns the readiness of host descriptors (standard streams, donated
// sockets) into notifications of wait queues. One thread with one epoll instance, which
// starts with the first watch; a descriptor wakes it only while it is armed, once, so
// that a sandbox that waits for nothing uses no CPU.
//
// Threading: any thread. Owned by the process.
#ifndef SENTRY_WAIT_HOST_POLLER_H_
#define SENTRY_WAIT_HOST_POLLER_H_

#include <atomic>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "platform/base/mutex.h"
#include "platform/base/unique_fd.h"
#include "sentry/wait/wait_queue.h"

namespace runsc {

class HostPoller {
 public:
  static HostPoller& Get();

  // Tells `queue` once, soon after one of `events` (or a hang-up or error) has come on
  // the descriptor, even if it is there already. Armed events add up until then.
  void Arm(int fd, WaitQueue& queue, EventMask events);
  // After a look at the descriptor that found `ready`: for those of `wanted` that are not there yet.
  void ArmMissing(int fd, WaitQueue& queue, EventMask wanted, EventMask ready);
  // From now on tells `queue` each time that something comes on the descriptor, whatever came before it and
  // was not taken: what edge-triggered epoll items need. Arm() then has nothing to add.
  void WatchEdges(int fd, WaitQueue& queue);
  // Tells of what has come by now, in place of the thread: by a task that is about to wait, and may not have
  // to.
  void Collect() {
    if (armed_.load(std::memory_order_relaxed) != 0) CollectArmed();
  }
  // Before the descriptor or the queue goes. No notification comes after it returns.
  void Forget(int fd);

 private:
  struct Watch {
    WaitQueue* queue = nullptr;
    EventMask armed = 0;
    bool edges = false;
  };
  HostPoller() = default;
  void Run(int epoll);
  void CollectArmed() ABSL_LOCKS_EXCLUDED(mu_);
  void Tell(int epoll, int timeout_ms) ABSL_LOCKS_EXCLUDED(mu_);
  bool StartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WatchLocked(int operation, int fd, EventMask events) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex mu_{LockRank::kHostPoller};
  int epoll_ ABSL_GUARDED_BY(mu_) = -1;
  absl::flat_hash_map<int, Watch> watches_ ABSL_GUARDED_BY(mu_);
  std::atomic<uint32_t> armed_{0};  // how many watches are; written under the lock
};

}  // namespace runsc

#endif  // SENTRY_WAIT_HOST_POLLER_H_
