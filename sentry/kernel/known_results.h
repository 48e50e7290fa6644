// Whether the platform may answer system calls whose results are known (who a task is), so
// that the Sentry does not see them. Off when every call is to be seen, as by strace.
#ifndef SENTRY_KERNEL_KNOWN_RESULTS_H_
#define SENTRY_KERNEL_KNOWN_RESULTS_H_

#include <atomic>

namespace runsc {

inline std::atomic<bool> known_results_allowed{true};

}  // namespace runsc

#endif  // SENTRY_KERNEL_KNOWN_RESULTS_H_
