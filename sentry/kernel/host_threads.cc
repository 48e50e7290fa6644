#include "sentry/kernel/host_threads.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "platform/base/signal_mask.h"

namespace runsc {
namespace {

#ifdef RUNSC_SANITIZED
constexpr size_t kStackSize = 2 << 20;
#else
constexpr size_t kStackSize = 256 << 10;
#endif

void WaitUntilZero(std::atomic<uint32_t>& count) {
  for (uint32_t now; (now = count.load(std::memory_order_acquire)) != 0;)
    count.wait(now, std::memory_order_acquire);
}

// As a new thread would have it.
void GiveOwnAffinity(pid_t tid) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) sched_setaffinity(tid, sizeof(set), &set);
}

}  // namespace

struct ThreadStart {
  HostThreads* threads;
  HostThreads::Body body;
  void* argument;
};

HostThreads::~HostThreads() {
  WaitForBodies();
  {
    MutexLock lock(mu_);
    stopping_ = true;
    for (Worker* worker : idle_) WakeLocked(*worker, {});
    idle_.clear();
  }
  WaitUntilZero(threads_);
  MutexLock lock(mu_);
  if (ended_) pthread_join(*ended_, nullptr);
}

void HostThreads::WaitForBodies() { WaitUntilZero(bodies_); }

Result<void> HostThreads::Run(Body body, void* argument) {
  bodies_.fetch_add(1, std::memory_order_relaxed);
  if (WakeIdle({body, argument})) return Ok();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackSize);
  // Host signals are for the Sentry's other threads.
  ThreadSignalMask mask;
  threads_.fetch_add(1, std::memory_order_relaxed);
  pthread_t thread;
  auto start = std::make_unique<ThreadStart>(ThreadStart{this, body, argument});
  const int error = pthread_create(&thread, &attributes, &HostThreads::Main, start.get());
  pthread_attr_destroy(&attributes);
  if (error == 0) {
    (void)start.release();
    return Ok();
  }
  End(std::nullopt);
  if (bodies_.fetch_sub(1, std::memory_order_acq_rel) == 1) bodies_.notify_all();
  return Errno(EAGAIN);
}

void* HostThreads::Main(void* argument) {
  std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(argument));
  const ThreadStart mine = *start;
  start.reset();
  mine.threads->Work({mine.body, mine.argument});
  mine.threads->End(pthread_self());
  return nullptr;
}

void HostThreads::Work(Job job) {
  Worker worker;
  worker.tid = static_cast<pid_t>(syscall(SYS_gettid));
  while (job.body != nullptr) {
    job.body(job.argument);
    // Before the next wait: who waits for the bodies may end the threads then, but not before this one does.
    if (bodies_.fetch_sub(1, std::memory_order_acq_rel) == 1) bodies_.notify_all();
    job = NextJob(worker);
  }
}

HostThreads::Job HostThreads::NextJob(Worker& worker) {
  worker.cpu = sched_getcpu();
  worker.woken.store(0, std::memory_order_relaxed);
  {
    MutexLock lock(mu_);
    if (stopping_ || idle_.size() >= kMostIdle) return {};
    idle_.push_back(&worker);
  }
  worker.woken.wait(0, std::memory_order_acquire);
  return std::exchange(worker.job, {});
}

bool HostThreads::WakeIdle(Job job) {
  const int cpu = sched_getcpu();
  MutexLock lock(mu_);
  if (idle_.empty()) return false;
  auto taken = idle_.end() - 1;
  for (auto it = idle_.begin(); it != idle_.end(); ++it)
    if ((*it)->cpu == cpu) taken = it;
  Worker& worker = **taken;
  idle_.erase(taken);
  if (worker.cpu != cpu) GiveOwnAffinity(worker.tid);
  WakeLocked(worker, job);
  return true;
}

// With the lock, which a thread takes before it ends: so the worker is still there when its wait is notified.
void HostThreads::WakeLocked(Worker& worker, Job job) {
  worker.job = job;
  worker.woken.store(1, std::memory_order_release);
  worker.woken.notify_one();
}

void HostThreads::End(std::optional<pthread_t> self) {
  std::optional<pthread_t> before;
  if (self) {
    MutexLock lock(mu_);
    before = std::exchange(ended_, self);
  }
  if (before) pthread_join(*before, nullptr);
  // The last touch of this object: whoever sees zero may destroy it, once this thread is joined.
  if (threads_.fetch_sub(1, std::memory_order_acq_rel) == 1) threads_.notify_all();
}

}  // namespace runsc
