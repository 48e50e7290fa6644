// HostThreads: the host threads on which tasks run. One whose task has ended waits for another: to make and
// end a host thread takes about 30 us, more than all else that a guest thread of a few calls needs.
//
// The thread that takes over is one that is on the caller's CPU, if there is any, and else is moved there: to
// wake a thread on a CPU that sleeps takes longer than to make one here (platform/stub/cpu_balancer.h).
//
// Owned by the Kernel. Threading: any thread. Linux counterpart: none (a task is its own thread).
#ifndef SENTRY_KERNEL_HOST_THREADS_H_
#define SENTRY_KERNEL_HOST_THREADS_H_

#include <pthread.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "platform/base/mutex.h"
#include "platform/base/result.h"

namespace runsc {

class HostThreads {
 public:
  // What a thread does for one task.
  using Body = void (*)(void* argument);

  HostThreads() = default;
  // Waits until every body has returned, and joins the threads.
  ~HostThreads();
  HostThreads(const HostThreads&) = delete;
  HostThreads& operator=(const HostThreads&) = delete;

  // Calls `body` on a thread of its own. EAGAIN: the host makes no more.
  Result<void> Run(Body body, void* argument) ABSL_LOCKS_EXCLUDED(mu_);
  // Until no body runs. Nobody may call Run meanwhile but a body.
  void WaitForBodies();

 private:
  // How many threads wait at most; each holds about 30 KB of the host's memory.
  static constexpr size_t kMostIdle = 4;

  struct Job {
    Body body = nullptr;
    void* argument = nullptr;
  };
  struct Worker {
    pid_t tid = 0;
    int cpu = -1;  // where it began to wait
    Job job;       // no body: end
    std::atomic<uint32_t> woken{0};
  };
  static void* Main(void* start);
  void Work(Job job);
  // Waits for the next job; one without a body when the thread is not needed any more.
  Job NextJob(Worker& worker) ABSL_LOCKS_EXCLUDED(mu_);
  // Gives the job to a thread that waits; false: there is none.
  bool WakeIdle(Job job) ABSL_LOCKS_EXCLUDED(mu_);
  void WakeLocked(Worker& worker, Job job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The last act of a thread. Each joins the one that ended before it, so that all are joined in the end.
  void End(std::optional<pthread_t> self) ABSL_LOCKS_EXCLUDED(mu_);

  std::atomic<uint32_t> bodies_{0};   // that run
  std::atomic<uint32_t> threads_{0};  // that have not ended
  Mutex mu_{LockRank::kLeaf};
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<Worker*> idle_ ABSL_GUARDED_BY(mu_);  // on their threads' stacks; the last began to wait last
  std::optional<pthread_t> ended_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_HOST_THREADS_H_
