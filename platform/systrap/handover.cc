#include "platform/systrap/handover.h"

#include <linux/futex.h>
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
constexpr uint32_t kStubYields = 200;          // 0.3 to 1 us each
constexpr uint64_t kLostCpuCycles = 300'000;   // a gap like this is no cache miss
constexpr uint64_t kFirstBackoff = 3'000'000, kLastBackoff = 3'000'000'000;  // ~1 ms, ~1 s
constexpr uint64_t kLongApart = 150'000'000;  // an attempt that lasted this long was a success
constexpr uint32_t kPenaltySleep = 4, kPenaltyLostCpu = 12, kPenaltyLimit = 32;

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

void Handover::ConsiderSpreading() {
  switches_ = 0;
  uint64_t now = __rdtsc();
  uint64_t took = now - std::exchange(window_start_, now);
  if (took > kWindow * kBusyCycles || now < not_before_) return;
  if (balancer_.Spread(pair_)) {
    apart_since_ = now;
    penalty_ = 0;
  } else {
    not_before_ = now + kFirstBackoff;
  }
}

void Handover::SpunInVain(uint32_t penalty) {
  penalty_ += penalty;
  if (penalty_ < kPenaltyLimit) return;
  balancer_.Gather(pair_);
  uint64_t now = __rdtsc();
  backoff_ =
      now - apart_since_ > kLongApart ? kFirstBackoff : std::clamp(2 * backoff_, kFirstBackoff, kLastBackoff);
  not_before_ = now + backoff_;
  switches_ = 0;
  window_start_ = now;
}

void Handover::Begin(ThreadSlot& slot) {
  SlotIn& in = slot.in();
  if (++switches_ >= kWindow && !pair_.apart() && !pair_.coupled()) ConsiderSpreading();
  const bool apart = pair_.apart(), coupled = pair_.coupled();
  in.yield.store(coupled ? 1 : 0, std::memory_order_relaxed);
  in.spin.store(apart ? SpinCount() : coupled ? kStubYields : 0, std::memory_order_relaxed);
  in.sentry_sleeps.store(apart || coupled ? 0 : 1, std::memory_order_relaxed);
  in.go.store(++slot.run, std::memory_order_seq_cst);
  if (slot.out().sleeps.load(std::memory_order_seq_cst) == 0) return;
  FutexWake(in.go);
  if (apart) SpunInVain(kPenaltySleep);
}

bool Handover::Spin(ThreadSlot& slot) {
  SlotOut& out = slot.out();
  uint64_t start = __rdtsc(), last = start;
  while (out.done.load(std::memory_order_acquire) != slot.run) {
    _mm_pause();
    uint64_t now = __rdtsc();
    if (now - last > kLostCpuCycles) SpunInVain(kPenaltyLostCpu);
    last = now;
    if (now - start > kSpinCycles) {
      SpunInVain(kPenaltySleep);
      return false;
    }
  }
  if (penalty_ > 0) --penalty_;
  return true;
}

bool Handover::Wait(ThreadSlot& slot, int timeout_ms) {
  SlotIn& in = slot.in();
  SlotOut& out = slot.out();
  if (pair_.apart() && Spin(slot)) return true;
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
