// The guest's vDSO: the clock functions of vdso(7), without a system call while the parameters in
// the vvar page (the page right below this image) are fresh. Freestanding; position-independent
// without relocations.
#include <stddef.h>
#include <stdint.h>

#include "sentry/time/vvar_page.h"

struct timespec64 {
  int64_t seconds;
  int64_t nanoseconds;
};
struct timeval64 {
  int64_t seconds;
  int64_t microseconds;
};
struct timezone32 {
  int32_t minutes_west;
  int32_t dst_time;
};

enum {
  kClockRealtime = 0,
  kClockMonotonic = 1,
  kClockMonotonicRaw = 4,
  kClockRealtimeCoarse = 5,
  kClockMonotonicCoarse = 6,
  kClockBoottime = 7,
  kSysGettimeofday = 96,
  kSysClockGettime = 228,
  kSysClockGetres = 229,
  kSysGetcpu = 309,
};
enum { kNanosecondsPerSecond = 1000000000, kCoarseResolution = 4000000 };

extern const char image_start[] __asm__("__ehdr_start") __attribute__((visibility("hidden")));

static inline const volatile struct VvarPage* Vvar(void) {
  const char* start = image_start;
  __asm__("" : "+r"(start));  // what lies below is no part of an object that the compiler knows
  return (const volatile struct VvarPage*)(start - 4096);
}

static inline const struct TimeOffsetsPage* TimeOffsets(void) {
  const char* start = image_start;
  __asm__("" : "+r"(start));
  return (const struct TimeOffsetsPage*)(start - 2 * 4096);
}

static inline long Syscall(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

static inline uint64_t ReadTsc(void) {
  uint32_t low, high;
  // lfence: not before the loads of `sequence`.
  __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
  return (uint64_t)high << 32 | low;
}

// Nanoseconds of the clock; 0: make the system call.
static inline int ReadClock(int clock, uint64_t* nanoseconds) {
  const volatile struct VvarPage* vvar = Vvar();
  for (;;) {
    uint32_t sequence = __atomic_load_n(&vvar->sequence, __ATOMIC_ACQUIRE);
    if ((sequence & 1) != 0) {
      __asm__ volatile("pause");
      continue;
    }
    uint64_t tsc = ReadTsc();
    uint64_t delta = tsc - vvar->tsc_base;
    uint64_t window = vvar->tsc_window;
    uint64_t multiplier = vvar->multiplier;
    uint64_t value = vvar->monotonic_base;
    int64_t offset = 0;
    if (clock == kClockRealtime || clock == kClockRealtimeCoarse) {
      offset = vvar->realtime_offset;
    } else if (clock == kClockBoottime) {
      offset = vvar->boottime_offset + TimeOffsets()->boottime;
    } else {
      offset = TimeOffsets()->monotonic;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&vvar->sequence, __ATOMIC_RELAXED) != sequence) continue;
    // Counters of other CPUs may be a few ticks behind.
    if ((int64_t)delta < 0 && window != 0) delta = 0;
    if (delta >= window) return 0;
    *nanoseconds = value + (uint64_t)((unsigned __int128)delta * multiplier >> 32) + (uint64_t)offset;
    return 1;
  }
}

static inline int IsFast(int clock) {
  return clock == kClockRealtime || clock == kClockMonotonic || clock == kClockRealtimeCoarse ||
         clock == kClockMonotonicCoarse || clock == kClockBoottime;
}

int __vdso_clock_gettime(int clock, struct timespec64* to) {
  uint64_t now;
  if (!IsFast(clock) || !ReadClock(clock, &now)) return (int)Syscall(kSysClockGettime, clock, (long)to, 0);
  to->seconds = (int64_t)(now / kNanosecondsPerSecond);
  to->nanoseconds = (int64_t)(now % kNanosecondsPerSecond);
  return 0;
}

int __vdso_gettimeofday(struct timeval64* to, struct timezone32* zone) {
  uint64_t now;
  if (!ReadClock(kClockRealtime, &now)) return (int)Syscall(kSysGettimeofday, (long)to, (long)zone, 0);
  if (to != NULL) {
    to->seconds = (int64_t)(now / kNanosecondsPerSecond);
    to->microseconds = (int64_t)(now % kNanosecondsPerSecond / 1000);
  }
  if (zone != NULL) {
    zone->minutes_west = 0;
    zone->dst_time = 0;
  }
  return 0;
}

int64_t __vdso_time(int64_t* to) {
  uint64_t now;
  int64_t seconds;
  if (ReadClock(kClockRealtime, &now)) {
    seconds = (int64_t)(now / kNanosecondsPerSecond);
  } else {
    struct timespec64 slow;
    Syscall(kSysClockGettime, kClockRealtime, (long)&slow, 0);
    seconds = slow.seconds;
  }
  if (to != NULL) *to = seconds;
  return seconds;
}

int __vdso_clock_getres(int clock, struct timespec64* to) {
  if (!IsFast(clock) && clock != kClockMonotonicRaw) return (int)Syscall(kSysClockGetres, clock, (long)to, 0);
  if (to != NULL) {
    to->seconds = 0;
    to->nanoseconds =
        clock == kClockRealtimeCoarse || clock == kClockMonotonicCoarse ? kCoarseResolution : 1;
  }
  return 0;
}

int __vdso_getcpu(unsigned* cpu, unsigned* node, void* unused) {
  (void)unused;
  uint32_t count = Vvar()->cpu_count;
  if (count == 0) return (int)Syscall(kSysGetcpu, (long)cpu, (long)node, 0);
  // The host keeps CPU and node in the limit of GDT entry 15 (arch/x86: GDT_ENTRY_CPUNODE).
  uint32_t value;
  __asm__ volatile("lsl %1, %0" : "=r"(value) : "r"(15 * 8 + 3));
  if (cpu != NULL) *cpu = (value & 0xfff) % count;
  if (node != NULL) *node = 0;
  return 0;
}

int clock_gettime(int, struct timespec64*) __attribute__((weak, alias("__vdso_clock_gettime")));
int gettimeofday(struct timeval64*, struct timezone32*) __attribute__((weak, alias("__vdso_gettimeofday")));
int64_t time(int64_t*) __attribute__((weak, alias("__vdso_time")));
int clock_getres(int, struct timespec64*) __attribute__((weak, alias("__vdso_clock_getres")));
int getcpu(unsigned*, unsigned*, void*) __attribute__((weak, alias("__vdso_getcpu")));
