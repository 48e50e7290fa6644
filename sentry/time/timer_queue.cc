#include "sentry/time/timer_queue.h"

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <condition_variable>
#include <thread>
#include <utility>

#include "absl/container/btree_map.h"
#include "platform/base/check.h"
#include "platform/base/mutex.h"
#include "platform/base/signal_mask.h"
#include "sentry/wait/deferred.h"

namespace runsc {

struct TimerQueue::State {
  void Run();
  void RemoveLocked(Timer& timer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void StartLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void WaitLocked(std::condition_variable& condition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void WaitLockedUntil(int64_t when) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  Mutex mu{LockRank::kTimer};
  std::condition_variable changed;   // the first timer is another one, or the end
  std::condition_variable finished;  // a callback has returned
  absl::btree_map<std::pair<int64_t, uint64_t>, Timer*> timers ABSL_GUARDED_BY(mu);
  uint64_t next_sequence ABSL_GUARDED_BY(mu) = 1;
  Timer* running ABSL_GUARDED_BY(mu) = nullptr;
  bool stopping ABSL_GUARDED_BY(mu) = false;
  std::thread thread ABSL_GUARDED_BY(mu);
  std::atomic<pthread_t> thread_id{};
};

void TimerQueue::State::WaitLocked(std::condition_variable& condition) {
  std::unique_lock<std::mutex> lock(mu.native(), std::adopt_lock);
  condition.wait(lock);
  (void)lock.release();
}

void TimerQueue::State::WaitLockedUntil(int64_t when) {
  std::unique_lock<std::mutex> lock(mu.native(), std::adopt_lock);
  changed.wait_until(lock, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(when)));
  (void)lock.release();
}

void TimerQueue::State::RemoveLocked(Timer& timer) {
  if (timer.when_ == INT64_MAX) return;
  timers.erase({timer.when_, timer.sequence_});
  timer.when_ = INT64_MAX;
}

void TimerQueue::State::StartLocked() {
  if (thread.joinable()) return;
  // Signals are for the threads that run guests.
  ThreadSignalMask mask;
  thread = std::thread([this] { Run(); });
  thread_id.store(thread.native_handle());
}

void TimerQueue::State::Run() {
  MutexLock lock(mu);
  while (!stopping) {
    if (timers.empty()) {
      WaitLocked(changed);
      continue;
    }
    int64_t when = timers.begin()->first.first;
    if (when > MonotonicNow()) {
      WaitLockedUntil(when);
      continue;
    }
    Timer* timer = timers.begin()->second;
    RemoveLocked(*timer);
    running = timer;
    mu.Unlock();
    timer->callback_();
    mu.Lock();
    running = nullptr;
    finished.notify_all();
    mu.Unlock();
    RunDeferred();
    mu.Lock();
  }
}

TimerQueue::TimerQueue() : state_(std::make_unique<State>()) {}

TimerQueue::~TimerQueue() {
  std::thread thread;
  {
    MutexLock lock(state_->mu);
    CHECK(state_->timers.empty());
    state_->stopping = true;
    thread = std::move(state_->thread);
  }
  state_->changed.notify_one();
  if (thread.joinable()) thread.join();
}

Timer::Timer(TimerQueue& queue, std::function<void()> callback)
    : queue_(queue), callback_(std::move(callback)) {}

Timer::~Timer() { Cancel(); }

void Timer::Set(Deadline when) {
  TimerQueue::State& state = *queue_.state_;
  bool first = false;
  {
    MutexLock lock(state.mu);
    state.RemoveLocked(*this);
    if (when.is_never()) return;
    when_ = when.monotonic();
    sequence_ = state.next_sequence++;
    auto [place, inserted] = state.timers.emplace(std::pair(when_, sequence_), this);
    CHECK(inserted);
    first = place == state.timers.begin();
    state.StartLocked();
  }
  if (first) state.changed.notify_one();
}

void Timer::Cancel() {
  TimerQueue::State& state = *queue_.state_;
  MutexLock lock(state.mu);
  state.RemoveLocked(*this);
  if (::pthread_equal(state.thread_id.load(), ::pthread_self())) return;
  while (state.running == this) state.WaitLocked(state.finished);
}

}  // namespace runsc
