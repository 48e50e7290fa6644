// Generator: random numbers, the same ones for a seed.
#ifndef TEST_FUZZ_SYSCALLS_GENERATOR_H_
#define TEST_FUZZ_SYSCALLS_GENERATOR_H_

#include <stddef.h>
#include <stdint.h>

struct Generator {
  uint64_t state;
  uint64_t Next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1d;
  }
  uint64_t Below(uint64_t limit) { return (Next() >> 11) % limit; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  template <typename T, size_t N>
  T Pick(const T (&list)[N]) {
    return list[Below(N)];
  }
};

#endif  // TEST_FUZZ_SYSCALLS_GENERATOR_H_
