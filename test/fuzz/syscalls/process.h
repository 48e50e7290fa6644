// A process whose threads fuzz, until it is killed or has ended itself.
#ifndef TEST_FUZZ_SYSCALLS_PROCESS_H_
#define TEST_FUZZ_SYSCALLS_PROCESS_H_

#include <stdint.h>

inline constexpr int kMaxThreads = 8;

[[noreturn]] void ProcessMain(uint64_t seed, int threads);

#endif  // TEST_FUZZ_SYSCALLS_PROCESS_H_
