// Handover: how a Sentry thread and its stub thread take turns: who spins, who sleeps.
//
// Each of the two has a word that the other one writes (SlotIn::go, SlotOut::done) and one
// that says it sleeps on that word in a futex. Two ways of waiting:
//
//   together  both on one CPU, nobody spins: the wake-up runs the other thread as soon as this
//             one sleeps. The only way when CPUs are scarce, and the start.
//   sharing   together, but each yields the CPU to the other instead of sleeping, which takes 2 us less than
//             to sleep and be woken. Only pays while nobody else wants that CPU: whoever yields then gives
//             away a whole time slice.
//   apart     on two CPUs, each spins for the other, for kSpinCycles at most, then sleeps. The stub thread
//             spins on while the kernel waits for its Gofer, but not while the task sleeps.
//   in turn   apart, though others have the same CPUs: only while it has the baton (platform/stub/baton.h)
//   coupled   both on one CPU, each yields it to the other, while the task takes turns with another one that
//             has another CPU (platform/stub/turns.h).
//
// A pair goes apart when it switches often (kWindow switches within kBusyCycles each) and the
// balancer has a CPU for it. If there is none, it goes apart in turn with others once it has been busy for a
// while (kSteadyWindows) and the kernel answers its calls itself (kQuickCallCycles), and shares its own CPU
// otherwise. It comes together when that does not pay: when too
// many switches end in a sleep after all, or one who spins or yields finds that it lost its CPU. After that
// it stays together for a time that doubles while the attempts keep failing. So an idle or blocked guest uses
// no CPU, and a machine that is busy with other things costs a failed attempt of each kind a second.
//
// Threading: the task's thread only.
#ifndef PLATFORM_SYSTRAP_HANDOVER_H_
#define PLATFORM_SYSTRAP_HANDOVER_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "platform/stub/turns.h"
#include "platform/systrap/thread_slot.h"

namespace runsc {

class Handover {
 public:
  explicit Handover(CpuBalancer& balancer) : balancer_(balancer), turns_(balancer) {}

  CpuBalancer::Pair& pair() { return pair_; }
  Turns& turns() { return turns_; }
  uint64_t spun_ticks() const { return spun_.load(std::memory_order_relaxed); }

  // Lets the slot's thread run.
  void Begin(ThreadSlot& slot);
  // Waits until the run ends; false: not within `timeout_ms`.
  bool Wait(ThreadSlot& slot, int timeout_ms);
  // The task is about to sleep: its stub thread, if there is one, has nothing to wait for soon.
  void StopSpinning(ThreadSlot& slot) {
    slot.in().spin.store(0, std::memory_order_relaxed);
    PassBaton();
  }
  // Lets go of what others may wait for.
  void PassBaton();

 private:
  // When to try once more what has failed. Times in TSC cycles.
  struct Attempt {
    uint64_t since = 0;       // of the one that goes on
    uint64_t not_before = 0;  // the next
    uint64_t backoff = 0;     // the wait after the next failure

    void End(uint64_t now, uint64_t first_backoff);
  };

  bool Spin(ThreadSlot& slot);
  bool WaitTogether(ThreadSlot& slot, int timeout_ms);
  bool YieldTo(ThreadSlot& slot);
  void WaitedInVain(uint32_t penalty);
  void ConsiderSpreading();
  // Waits for the pair's baton; or ends it if there is no gain in it.
  void AwaitBaton(Baton& baton);
  void EndTurns(uint64_t now);

  CpuBalancer& balancer_;
  Turns turns_;
  CpuBalancer::Pair& pair_ = turns_.pair();
  uint32_t switches_ = 0;       // in this window
  uint32_t busy_windows_ = 0;   // in a row
  uint64_t returned_ = 0;       // when the last run ended; 0: while it spins nobody asks
  uint64_t kernel_cycles_ = 0;  // from one run to the next, sleep included, in this window
  uint64_t window_start_ = 0;   // in TSC cycles
  Attempt apart_, sharing_;
  std::atomic<uint64_t> spun_{0};  // cycles in Spin while it had its CPU
  Baton* held_ = nullptr;
  uint64_t held_since_ = 0;
  // Of the window of calls that it has made with the baton: how many, and the cycles that they have taken
  // before `counted_since_`.
  uint32_t missed_turns_ = 0;  // in a row
  uint32_t turn_calls_ = 0;
  uint64_t turn_cycles_ = 0, counted_since_ = 0;
  bool shares_ = false;
  uint32_t penalty_ = 0;
};

}  // namespace runsc

#endif  // PLATFORM_SYSTRAP_HANDOVER_H_
