#include "sentry/time/guest_clock.h"

#include <cpuid.h>
#include <x86intrin.h>

#include <algorithm>

#include "platform/base/log.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

constexpr int64_t kMinBaseline = 1'000'000;  // ns; below it the rate would be too coarse
constexpr int64_t kMaxWindow = kNanosecondsPerSecond;
constexpr int64_t kMaxBaseline = 8 * kNanosecondsPerSecond;  // rates follow the host's adjustments
constexpr int64_t kOffsetNoise = 10'000;  // ns; a smaller change of an offset is a measuring error
constexpr uint64_t kSlowestCounter = uint64_t{16} << 32;  // 16 ns a tick
constexpr uint64_t kFastestCounter = (uint64_t{1} << 32) / 16;

bool HasInvariantCounter() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) != 0 && (edx & 1u << 8) != 0;
}

uint64_t ReadCounter() {
  _mm_lfence();
  return __rdtsc();
}

uint64_t Scale(uint64_t ticks, uint64_t multiplier) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>(static_cast<Wide>(ticks) * multiplier >> 32);
}

template <typename T>
T Load(const T& field) {
  return __atomic_load_n(&field, __ATOMIC_RELAXED);
}
template <typename T>
void Store(T& field, T value) {
  __atomic_store_n(&field, value, __ATOMIC_RELAXED);
}

}  // namespace

GuestClock::Sample GuestClock::TakeSample() {
  Sample best;
  uint64_t narrowest = UINT64_MAX;
  for (int i = 0; i < 5; ++i) {
    uint64_t before = ReadCounter();
    int64_t now = MonotonicNow();
    uint64_t width = ReadCounter() - before;
    if (width >= narrowest) continue;
    narrowest = width;
    best = Sample{before + width / 2, now};
  }
  return best;
}

int64_t GuestClock::MeasureOffset(clockid_t clock) {
  int64_t best = 0;
  int64_t narrowest = INT64_MAX;
  for (int i = 0; i < 3; ++i) {
    int64_t before = MonotonicNow();
    int64_t now = ClockNow(clock);
    int64_t width = MonotonicNow() - before;
    if (width >= narrowest) continue;
    narrowest = width;
    best = now - (before + width / 2);
  }
  return best;
}

void GuestClock::Attach(VvarPage* page, unsigned cpu_count) {
  Store(page->cpu_count, cpu_count);
  if (!HasInvariantCounter()) return;
  MutexLock lock(mu_);
  anchor_ = last_ = TakeSample();
  page->realtime_offset = MeasureOffset(CLOCK_REALTIME);
  page->boottime_offset = MeasureOffset(CLOCK_BOOTTIME);
  page_.store(page, std::memory_order_release);
}

bool GuestClock::Read(clockid_t clock, int64_t* nanoseconds) const {
  const VvarPage* page = page_.load(std::memory_order_acquire);
  if (page == nullptr) return false;
  for (;;) {
    uint32_t sequence = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE);
    uint64_t delta = ReadCounter() - Load(page->tsc_base);
    uint64_t window = Load(page->tsc_window);
    uint64_t multiplier = Load(page->multiplier);
    uint64_t value = Load(page->monotonic_base);
    int64_t offset = 0;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) offset = Load(page->realtime_offset);
    if (clock == CLOCK_BOOTTIME) offset = Load(page->boottime_offset);
    std::atomic_thread_fence(std::memory_order_acquire);
    if ((sequence & 1) != 0 || __atomic_load_n(&page->sequence, __ATOMIC_RELAXED) != sequence) {
      _mm_pause();
      continue;
    }
    if (static_cast<int64_t>(delta) < 0 && window != 0) delta = 0;
    if (delta >= window) return false;
    *nanoseconds = static_cast<int64_t>(value + Scale(delta, multiplier)) + offset;
    return true;
  }
}

void GuestClock::Publish(Sample now, uint64_t window, uint64_t multiplier) {
  VvarPage* page = page_.load(std::memory_order_relaxed);
  int64_t realtime = MeasureOffset(CLOCK_REALTIME);
  int64_t boottime = MeasureOffset(CLOCK_BOOTTIME);
  uint32_t sequence = Load(page->sequence);
  __atomic_store_n(&page->sequence, sequence + 1, __ATOMIC_RELAXED);
  std::atomic_thread_fence(std::memory_order_release);
  Store(page->tsc_base, now.tsc);
  Store(page->monotonic_base, static_cast<uint64_t>(now.monotonic));
  Store(page->multiplier, multiplier);
  Store(page->tsc_window, window);
  if (std::abs(realtime - page->realtime_offset) > kOffsetNoise) Store(page->realtime_offset, realtime);
  if (std::abs(boottime - page->boottime_offset) > kOffsetNoise) Store(page->boottime_offset, boottime);
  __atomic_store_n(&page->sequence, sequence + 2, __ATOMIC_RELEASE);
}

void GuestClock::Renew() {
  MutexLock lock(mu_);
  VvarPage* page = page_.load(std::memory_order_relaxed);
  if (page == nullptr) return;
  Sample now = TakeSample();
  // Another thread was quicker.
  if (page->tsc_window != 0 &&
      static_cast<int64_t>(now.tsc - page->tsc_base) < static_cast<int64_t>(page->tsc_window))
    return;
  int64_t baseline = now.monotonic - anchor_.monotonic;
  if (baseline < kMinBaseline) return;
  __extension__ using Wide = unsigned __int128;
  uint64_t ticks = now.tsc - anchor_.tsc;
  uint64_t multiplier = ticks == 0 ? 0 : static_cast<uint64_t>((static_cast<Wide>(baseline) << 32) / ticks);
  if (static_cast<int64_t>(ticks) <= 0 || multiplier > kSlowestCounter || multiplier < kFastestCounter) {
    LOG_WARNING("the time stamp counter is not usable: the guest's clocks take system calls");
    Publish(now, 0, 0);
    page_.store(nullptr, std::memory_order_release);
    return;
  }
  // No longer than what the rate was measured over: the error stays that of one measurement.
  int64_t window = std::min(baseline, kMaxWindow);
  Sample base = now;
  if (page->tsc_window != 0) {
    // The latest time that the old parameters can have told.
    int64_t told = static_cast<int64_t>(page->monotonic_base + Scale(page->tsc_window, page->multiplier));
    if (told > now.monotonic) {
      int64_t ahead = std::min(told - now.monotonic, window / 2);
      base.monotonic = told;
      multiplier -= static_cast<uint64_t>(static_cast<Wide>(multiplier) * ahead / window);
    }
  }
  if (baseline > kMaxBaseline && now.monotonic - last_.monotonic > kMaxWindow / 2) anchor_ = last_;
  last_ = now;
  Publish(base, static_cast<uint64_t>((static_cast<Wide>(window) << 32) / multiplier), multiplier);
}

int64_t GuestClock::Now(clockid_t clock) {
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
      break;
    default:
      return ClockNow(clock);
  }
  int64_t now = 0;
  if (Read(clock, &now)) return now;
  Renew();
  if (Read(clock, &now)) return now;
  return ClockNow(clock);
}

}  // namespace runsc
