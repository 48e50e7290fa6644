// The memory that all processes of a run work in, and its counters.
#ifndef TEST_FUZZ_SYSCALLS_MEMORY_H_
#define TEST_FUZZ_SYSCALLS_MEMORY_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>

inline constexpr size_t kPage = 4096;
inline constexpr size_t kArena = 64 * kPage;     // what structures are made in; shared by all processes
inline constexpr size_t kScratch = 256 * kPage;  // what mmap, munmap and the like are let loose on

struct Counters {
  std::atomic<uint64_t> calls;
  std::atomic<uint64_t> per_call[512];
};
inline Counters* counters;  // shared by all processes
inline char* arena;
inline char* scratch;

inline uint64_t Address(const void* p) { return reinterpret_cast<uint64_t>(p); }

#endif  // TEST_FUZZ_SYSCALLS_MEMORY_H_
