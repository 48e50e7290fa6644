// Turns: finds out that two tasks take turns, and lets them wait for each other in the quickest way.
//
// Two tasks that wake each other and sleep (over a pipe, a futex, a socket) never run at the same time. On
// one CPU each turn costs several switches of threads, on two CPUs the wake-up of a CPU that has gone to
// sleep, which is worse still. Measured for a round trip of two tasks with two system calls each, hence four
// threads, microseconds:
//
//   all on one CPU, sleeping in futexes          28
//   a task on each of two CPUs, sleeping         61
//   all on one CPU, yielding                     17..19
//   a task on each of two CPUs, yielding         9
//   kernel sides on one CPU, stubs on the other  5..11 yielding, 70 now and then; 100..160 with futexes
//
// So tasks that keep taking turns are *coupled*: each gets a CPU, and whoever waits (for the other task, for
// its stub, for the Sentry) yields its CPU in a loop instead of sleeping, so that nobody is woken at all, and
// whatever else wants that CPU gets it. That uses CPU time only while turns go on: a wait that lasts too long
// becomes a sleep, and a few of those end it, as does a yield that gave the CPU away for long, and a task
// that does anything but take turns. It is kept only if it makes turns a quarter faster; the wait for the
// next attempt doubles while they fail.
//
// Threading: the task's thread only, but WokenBy.
#ifndef PLATFORM_STUB_TURNS_H_
#define PLATFORM_STUB_TURNS_H_

#include <atomic>
#include <cstdint>

#include "platform/stub/cpu_balancer.h"

namespace runsc {

class Turns {
 public:
  explicit Turns(CpuBalancer& balancer) : balancer_(balancer) {}

  CpuBalancer::Pair& pair() { return pair_; }
  bool coupled() const { return pair_.coupled(); }

  // A call of the guest's was served. Who makes many in a turn is better off running alone (baton.h).
  void CountCall() { ++calls_; }
  // The task of `waker` is about to wake this one. By the waker's thread.
  void WokenBy(Turns& waker);
  // The task is about to sleep until `word` is no longer `value`.
  void BeginSleep(const std::atomic<uint32_t>& word, uint32_t value, bool may_wait);

  // Yields until done() for a limited time; false: it is time to sleep. Only while coupled.
  template <typename Condition>
  bool YieldUntil(Condition done) {
    YieldLoop loop(*this);
    while (!done()) {
      if (!loop.Next()) return false;
    }
    WaitedWell();
    return true;
  }

 private:
  class YieldLoop {
   public:
    explicit YieldLoop(Turns& turns);
    bool Next();

   private:
    Turns& turns_;
    const uint64_t start_;
    uint64_t last_;
    uint32_t pauses_ = 0;
  };
  void WaitedWell() {
    if (penalty_ > 0) --penalty_;
  }
  void WaitedInVain(uint32_t penalty);
  void CountTurn(uint64_t other, uint64_t now);
  // After a whole window of turns.
  void ConsiderCoupling(uint64_t now, uint64_t took, uint32_t calls);
  void JudgeCoupling(uint64_t now, uint64_t took);
  void BackOff(uint64_t now);

  CpuBalancer& balancer_;
  CpuBalancer::Pair pair_;
  std::atomic<uint64_t> woken_by_{0};  // the id of the last pair that did
  uint64_t woke_ = 0;                  // the pair that this one has woken since it slept; kSeveral
  uint64_t candidate_ = 0;             // whom it takes turns with
  uint32_t turns_ = 0;                 // in this window
  uint32_t calls_ = 0;                 // likewise
  uint32_t penalty_ = 0;
  enum class Trial : uint8_t { kNone, kSettling, kMeasuring, kPassed };
  Trial trial_ = Trial::kNone;  // of the one that asked for the coupling
  // All times in TSC cycles.
  uint64_t window_start_ = 0;
  uint64_t before_ = 0;  // what a window took before the coupling
  uint64_t coupled_at_ = 0;
  uint64_t not_before_ = 0;  // when to try again
  uint64_t backoff_ = 0;
};

}  // namespace runsc

#endif  // PLATFORM_STUB_TURNS_H_
