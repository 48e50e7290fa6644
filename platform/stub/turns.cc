#include "platform/stub/turns.h"

#include <sched.h>
#include <x86intrin.h>

#include <algorithm>
#include <utility>

namespace runsc {
namespace {

constexpr uint64_t kSeveral = ~uint64_t{0};
constexpr uint32_t kWindow = 64;              // turns
constexpr uint32_t kMostCalls = 12;           // in a turn, on average
constexpr uint64_t kBusyCycles = 1'000'000;   // ~300 us a turn: slower ones gain nothing
constexpr uint64_t kYieldCycles = 400'000;    // ~130 us
constexpr uint64_t kLostCpuCycles = 300'000;  // a yield that takes this long has let others run
constexpr uint32_t kPausesAYield = 16;
constexpr uint64_t kFirstBackoff = 15'000'000, kLastBackoff = 3'000'000'000;  // ~5 ms, ~1 s
constexpr uint64_t kLongCoupled = 150'000'000;  // an attempt that lasted this long was a success
constexpr uint32_t kPenaltyVain = 4, kPenaltyLostCpu = 12, kPenaltyNoTurn = 2, kPenaltyLimit = 32;

}  // namespace

Turns::YieldLoop::YieldLoop(Turns& turns) : turns_(turns), start_(__rdtsc()), last_(start_) {}

bool Turns::YieldLoop::Next() {
  if (++pauses_ % kPausesAYield != 0) {
    _mm_pause();
    return true;
  }
  sched_yield();
  const uint64_t now = __rdtsc();
  if (now - last_ > kLostCpuCycles) turns_.WaitedInVain(kPenaltyLostCpu);
  last_ = now;
  if (now - start_ <= kYieldCycles) return turns_.coupled();
  turns_.WaitedInVain(kPenaltyVain);
  return false;
}

void Turns::WaitedInVain(uint32_t penalty) {
  penalty_ += penalty;
  if (penalty_ < kPenaltyLimit) return;
  balancer_.Uncouple(pair_);
  BackOff(__rdtsc());
}

void Turns::BackOff(uint64_t now) {
  const bool was_good = trial_ == Trial::kPassed && now - coupled_at_ > kLongCoupled;
  backoff_ = was_good ? kFirstBackoff : std::clamp(2 * backoff_, kFirstBackoff, kLastBackoff);
  not_before_ = now + backoff_;
  trial_ = Trial::kNone;
  penalty_ = 0;
  candidate_ = 0;
}

void Turns::WokenBy(Turns& waker) {
  woken_by_.store(waker.pair_.id(), std::memory_order_relaxed);
  if (waker.woke_ != 0 && waker.woke_ != pair_.id()) {
    waker.woke_ = kSeveral;
  } else {
    waker.woke_ = pair_.id();
  }
}

void Turns::BeginSleep(const std::atomic<uint32_t>& word, uint32_t value, bool may_wait) {
  const uint64_t woke = std::exchange(woke_, 0);
  const bool turn = woke != 0 && woke == woken_by_.load(std::memory_order_relaxed);
  // The balancer or the partner has ended it.
  if (trial_ != Trial::kNone && !coupled()) BackOff(__rdtsc());
  if (turn) {
    CountTurn(woke, __rdtsc());
  } else {
    candidate_ = 0;
    if (coupled()) WaitedInVain(kPenaltyNoTurn);
  }
  if (may_wait && coupled()) (void)YieldUntil([&] { return word.load(std::memory_order_acquire) != value; });
}

void Turns::CountTurn(uint64_t other, uint64_t now) {
  if (other != candidate_) {
    candidate_ = other;
    turns_ = calls_ = 0;
    window_start_ = now;
    return;
  }
  if (++turns_ < kWindow) return;
  turns_ = 0;
  const uint64_t took = now - std::exchange(window_start_, now);
  const uint32_t calls = std::exchange(calls_, 0);
  if (trial_ != Trial::kNone) return JudgeCoupling(now, took);
  if (!coupled()) ConsiderCoupling(now, took, calls);
}

void Turns::ConsiderCoupling(uint64_t now, uint64_t took, uint32_t calls) {
  if (took > kWindow * kBusyCycles || calls > kWindow * kMostCalls || now < not_before_) return;
  if (!balancer_.Couple(pair_, candidate_)) {
    not_before_ = now + kFirstBackoff;
    return;
  }
  trial_ = Trial::kSettling;
  before_ = took;
  coupled_at_ = now;
  penalty_ = 0;
}

void Turns::JudgeCoupling(uint64_t now, uint64_t took) {
  switch (trial_) {
    case Trial::kSettling:
      trial_ = Trial::kMeasuring;
      break;
    case Trial::kMeasuring:
      if (took <= before_ - before_ / 4) {
        trial_ = Trial::kPassed;
      } else {
        balancer_.Uncouple(pair_);
        BackOff(now);
      }
      break;
    case Trial::kPassed:
    case Trial::kNone:
      break;
  }
}

}  // namespace runsc
