#include "platform/systrap/handover.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>

namespace runsc {
namespace {

constexpr uint32_t kWindow = 32;
constexpr uint64_t kBusyCycles = 150'000;      // ~50 us a switch
constexpr uint64_t kSpinCycles = 60'000;       // ~20 us
constexpr uint64_t kStubSpinCycles = 180'000;  // ~60 us: what the Gofer takes for an answer
constexpr uint64_t kYieldCycles = 60'000;      // ~20 us
constexpr uint32_t kStubYields = 200;          // 0.3 to 1 us each
constexpr uint32_t kYieldsAlone = 2;  // more: others yield, too, and most go to one who has nothing to do
constexpr uint64_t kTurnCycles = 3'000'000;   // ~1 ms with the baton, if others want it
constexpr uint64_t kTurnBusyCycles = 60'000;  // ~20 us a call: with longer ones it is better not to wait
constexpr uint32_t kMissedTurns = 2;
constexpr uint32_t kSteadyWindows = 8;         // what a program's start does not reach
constexpr uint64_t kQuickCallCycles = 15'000;  // ~5 us: no files of the Gofer
constexpr long kBatonTimeoutNs = 5'000'000;    // a few turns
constexpr uint64_t kLostCpuCycles = 300'000;   // a gap like this is no cache miss
constexpr uint64_t kFirstBackoff = 3'000'000, kLastBackoff = 3'000'000'000;  // ~1 ms, ~1 s
constexpr uint64_t kFirstShareBackoff =
    30'000'000;                                 // ~10 ms: a failure costs a time slice of somebody else's
constexpr uint64_t kPauseCycles = 10'000;       // in a longer one it did not have its CPU
constexpr uint64_t kSliceCycles = 1'000'000;    // somebody has had one
constexpr uint64_t kLongAttempt = 150'000'000;  // one that lasted this long was a success
constexpr uint32_t kPenaltySleep = 4, kPenaltyLostCpu = 12, kPenaltyCrowd = 2, kPenaltyLimit = 32;

// How many pauses make kStubSpinCycles.
uint32_t SpinCount() {
  static const uint32_t count = [] {
    constexpr int kPauses = 200;
    uint64_t start = __rdtsc();
    for (int i = 0; i < kPauses; ++i) _mm_pause();
    uint64_t each = std::max<uint64_t>((__rdtsc() - start) / kPauses, 1);
    return static_cast<uint32_t>(kStubSpinCycles / each);
  }();
  return count;
}

void FutexWake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace

void Handover::Attempt::End(uint64_t now, uint64_t first_backoff) {
  backoff = now - since > kLongAttempt ? first_backoff : std::clamp(2 * backoff, first_backoff, kLastBackoff);
  not_before = now + backoff;
}

void Handover::ConsiderSpreading() {
  switches_ = 0;
  const uint64_t now = __rdtsc();
  const uint64_t took = now - std::exchange(window_start_, now);
  const uint64_t kernel = std::exchange(kernel_cycles_, 0);
  const bool others_in_turn = balancer_.any_in_turn();
  if (took > kWindow * (others_in_turn ? 4 * kBusyCycles : kBusyCycles)) {
    busy_windows_ = 0;
    return;
  }
  ++busy_windows_;
  if (now >= apart_.not_before) {
    const bool steady =
        (others_in_turn || busy_windows_ >= kSteadyWindows) && kernel < kWindow * kQuickCallCycles;
    if (balancer_.Spread(pair_) || (steady && balancer_.SpreadInTurn(pair_))) {
      apart_.since = now;
      shares_ = false;
      penalty_ = 0;
      return;
    }
    apart_.not_before = now + kFirstBackoff;
  }
  if (!shares_ && now >= sharing_.not_before) {
    sharing_.since = now;
    shares_ = true;
    penalty_ = 0;
  }
}

void Handover::WaitedInVain(uint32_t penalty) {
  penalty_ += penalty;
  if (penalty_ < kPenaltyLimit) return;
  const uint64_t now = __rdtsc();
  if (shares_) {
    shares_ = false;
    sharing_.End(now, kFirstShareBackoff);
  } else {
    balancer_.Gather(pair_);
    apart_.End(now, kFirstBackoff);
  }
  switches_ = 0;
  window_start_ = now;
}

void Handover::PassBaton() {
  Baton* held = std::exchange(held_, nullptr);
  if (held == nullptr) return;
  turn_cycles_ += __rdtsc() - counted_since_;
  held->Release();
}

void Handover::EndTurns(uint64_t now) {
  PassBaton();
  balancer_.Gather(pair_);
  apart_.End(now, kFirstBackoff);
  switches_ = 0;
  window_start_ = now;
}

void Handover::AwaitBaton(Baton& baton) {
  const uint64_t now = __rdtsc();
  if (held_ == &baton && (now - held_since_ < kTurnCycles || !baton.wanted())) {
    if (++turn_calls_ < kWindow) return;
    const uint64_t took = turn_cycles_ + (now - counted_since_);
    turn_calls_ = 0;
    turn_cycles_ = 0;
    counted_since_ = now;
    if (took > kWindow * kTurnBusyCycles) EndTurns(now);
    return;
  }
  PassBaton();
  if (!baton.Take(kBatonTimeoutNs)) {
    // Too many wait, or whoever has it makes no use of it.
    if (++missed_turns_ > kMissedTurns) EndTurns(now);
    return;
  }
  missed_turns_ = 0;
  held_ = &baton;
  held_since_ = counted_since_ = __rdtsc();
}

void Handover::Begin(ThreadSlot& slot) {
  SlotIn& in = slot.in();
  turns_.CountCall();
  if (Baton* baton = pair_.baton(); baton != nullptr) {
    AwaitBaton(*baton);
  } else if (held_ != nullptr) {
    PassBaton();
  }
  if (returned_ != 0) kernel_cycles_ += __rdtsc() - std::exchange(returned_, 0);
  const bool apart = pair_.apart(), coupled = pair_.coupled();
  if (apart || coupled) {
    shares_ = false;
  } else if (++switches_ >= kWindow) {
    ConsiderSpreading();
  }
  const bool spins = pair_.apart(), yields = coupled || shares_;
  in.yield.store(yields ? 1 : 0, std::memory_order_relaxed);
  in.spin.store(spins ? SpinCount() : yields ? kStubYields : 0, std::memory_order_relaxed);
  in.sentry_sleeps.store(spins || yields ? 0 : 1, std::memory_order_relaxed);
  in.go.store(++slot.run, std::memory_order_seq_cst);
  if (slot.out().sleeps.load(std::memory_order_seq_cst) == 0) return;
  FutexWake(in.go);
  if (spins || shares_) WaitedInVain(kPenaltySleep);
}

bool Handover::Spin(ThreadSlot& slot) {
  SlotOut& out = slot.out();
  const uint64_t start = __rdtsc();
  uint64_t last = start, interrupted = 0;
  auto count = [&] {
    spun_.store(spun_.load(std::memory_order_relaxed) + (last - start - interrupted),
                std::memory_order_relaxed);
  };
  while (out.done.load(std::memory_order_acquire) != slot.run) {
    _mm_pause();
    const uint64_t now = __rdtsc();
    if (now - last > kLostCpuCycles) WaitedInVain(kPenaltyLostCpu);
    if (now - last > kPauseCycles) interrupted += now - last;
    last = now;
    if (now - start > kSpinCycles) {
      count();
      WaitedInVain(kPenaltySleep);
      return false;
    }
  }
  last = __rdtsc();
  count();
  if (penalty_ > 0) --penalty_;
  return true;
}

bool Handover::YieldTo(ThreadSlot& slot) {
  SlotOut& out = slot.out();
  const uint64_t start = __rdtsc();
  uint64_t last = start;
  uint32_t yields = 0;
  for (; out.done.load(std::memory_order_acquire) != slot.run; ++yields) {
    if (!shares_) return false;
    sched_yield();
    const uint64_t now = __rdtsc();
    if (now - last > kLostCpuCycles)
      WaitedInVain(now - last > kSliceCycles ? kPenaltyLimit : kPenaltyLostCpu);
    last = now;
    if (now - start > kYieldCycles) {
      WaitedInVain(kPenaltySleep);
      return false;
    }
  }
  if (yields > kYieldsAlone) {
    WaitedInVain(kPenaltyCrowd);
  } else if (penalty_ > 0) {
    --penalty_;
  }
  return true;
}

bool Handover::Wait(ThreadSlot& slot, int timeout_ms) {
  if (pair_.apart() && Spin(slot)) return true;
  PassBaton();  // guest code takes its time
  const bool done = WaitTogether(slot, timeout_ms);
  returned_ = __rdtsc();
  return done;
}

bool Handover::WaitTogether(ThreadSlot& slot, int timeout_ms) {
  SlotIn& in = slot.in();
  SlotOut& out = slot.out();
  if (shares_ && YieldTo(slot)) return true;
  auto done_now = [&] { return out.done.load(std::memory_order_acquire) == slot.run; };
  if (pair_.coupled() && turns_.YieldUntil(done_now)) return true;
  in.sentry_sleeps.store(1, std::memory_order_seq_cst);
  uint32_t done;
  while ((done = out.done.load(std::memory_order_acquire)) != slot.run) {
    timespec timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1'000'000L};
    long result =
        syscall(SYS_futex, reinterpret_cast<uint32_t*>(&out.done), FUTEX_WAIT, done, &timeout, nullptr, 0);
    // A word that changes without being the right one is a guest's doing; look after the process then, too.
    if (result != 0) return out.done.load(std::memory_order_acquire) == slot.run;
  }
  return true;
}

}  // namespace runsc
