// TimerQueue: calls back at a point in time, on its own thread. One a kernel; all of the
// guest's timers (POSIX, itimers, timerfd, alarm) hang on it.
//
// Threading: any thread. A callback runs on the queue's thread without its lock held and
// must not block; it may set its own timer again. After Cancel() returns the callback neither
// runs nor will run (unless called from the callback itself).
#ifndef SENTRY_TIME_TIMER_QUEUE_H_
#define SENTRY_TIME_TIMER_QUEUE_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "sentry/time/clock.h"

namespace runsc {

class TimerQueue;

class Timer {
 public:
  Timer(TimerQueue& queue, std::function<void()> callback);
  ~Timer();  // cancels
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  void Set(Deadline when);  // in place of an earlier one
  void Cancel();

 private:
  friend class TimerQueue;
  TimerQueue& queue_;
  const std::function<void()> callback_;
  int64_t when_ = INT64_MAX;  // guarded by the queue
  uint64_t sequence_ = 0;
};

class TimerQueue {
 public:
  TimerQueue();   // starts no thread before the first timer is set
  ~TimerQueue();  // no timer may be left

 private:
  friend class Timer;
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace runsc

#endif  // SENTRY_TIME_TIMER_QUEUE_H_
