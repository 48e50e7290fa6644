#include "sentry/time/timer_queue.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <vector>

namespace runsc {
namespace {

// Counts, and lets a test wait for a count.
class Counter {
 public:
  void Add(int value) {
    std::lock_guard lock(mu_);
    values_.push_back(value);
    changed_.notify_all();
  }
  std::vector<int> WaitFor(size_t count) {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return values_.size() >= count; });
    return values_;
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<int> values_;
};

}  // namespace

TEST_CASE("timers fire in order of time, whatever order they were set in") {
  TimerQueue queue;
  Counter counter;
  std::atomic<bool> both_set{false};
  Timer late(queue, [&] { counter.Add(2); });
  Timer early(queue, [&] { counter.Add(1); });
  Timer first(queue, [&] { both_set.wait(false); });  // keeps the others from firing
  first.Set(Deadline::After(0));
  const int64_t now = MonotonicNow();
  late.Set(Deadline::AtMonotonic(now + 20'000'000));
  early.Set(Deadline::AtMonotonic(now + 10'000'000));
  both_set = true;
  both_set.notify_all();
  CHECK(counter.WaitFor(2) == std::vector<int>{1, 2});
}

TEST_CASE("a timer may set itself again, and a new time replaces the old") {
  TimerQueue queue;
  Counter counter;
  int count = 0;
  Timer* self = nullptr;
  Timer timer(queue, [&] {
    counter.Add(++count);
    if (count < 3) self->Set(Deadline::After(0));
  });
  self = &timer;
  timer.Set(Deadline::After(3600 * kNanosecondsPerSecond));
  timer.Set(Deadline::After(0));
  CHECK(counter.WaitFor(3) == std::vector<int>{1, 2, 3});
}

TEST_CASE("after Cancel the callback neither runs nor will run") {
  TimerQueue queue;
  for (int i = 0; i < 200; ++i) {
    std::atomic<bool> alive{true};
    std::atomic<bool> wrong{false};
    Timer timer(queue, [&] {
      if (!alive) wrong = true;
    });
    timer.Set(Deadline::After(i * 500));
    timer.Cancel();
    alive = false;
    REQUIRE_FALSE(wrong);
  }
}

}  // namespace runsc
