/* The page of clock parameters that the Sentry writes and the vDSO reads (C, as the vDSO is).
 *
 * A reader takes `sequence` (odd: being written), computes, and looks again. The nanoseconds of
 * CLOCK_MONOTONIC at a time stamp counter are
 *   monotonic_base + ((tsc - tsc_base) * multiplier >> 32),   for tsc - tsc_base < tsc_window.
 * Beyond the window the parameters are stale: the reader makes the system call, and the Sentry
 * renews them then. So a sandbox that never asks for the time costs nothing.
 */
#ifndef SENTRY_TIME_VVAR_PAGE_H_
#define SENTRY_TIME_VVAR_PAGE_H_

#include <stdint.h>

struct VvarPage {
  uint32_t sequence;
  uint32_t cpu_count; /* what getcpu(2) may say is below it; 0: unknown */
  uint64_t tsc_base;
  uint64_t tsc_window; /* 0: make the system call */
  uint64_t multiplier; /* nanoseconds a tick, 32.32 */
  uint64_t monotonic_base;
  int64_t realtime_offset; /* to add to CLOCK_MONOTONIC */
  int64_t boottime_offset;
};

/* The page right below it, which each time namespace has its own of: nanoseconds to add. It does not change
 * while somebody can read it. */
struct TimeOffsetsPage {
  int64_t monotonic;
  int64_t boottime;
};

#endif /* SENTRY_TIME_VVAR_PAGE_H_ */
