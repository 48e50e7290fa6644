// Fuzzer: one thread's hands. Makes calls, one after the other, that depend on nothing but the seed.
#ifndef TEST_FUZZ_SYSCALLS_FUZZER_H_
#define TEST_FUZZ_SYSCALLS_FUZZER_H_

#include <stdint.h>

#include "test/fuzz/syscalls/arguments.h"
#include "test/fuzz/syscalls/generator.h"

class Fuzzer {
 public:
  explicit Fuzzer(uint64_t seed) : random_{seed * 0x9e3779b97f4a7c15 | 1} {}
  Fuzzer(const Fuzzer&) = delete;
  Fuzzer& operator=(const Fuzzer&) = delete;
  void Step();

 private:
  // Not the few calls that would end the run early without telling anything.
  bool Allowed(int number, const uint64_t* arguments);

  Generator random_;
  ArgumentMaker arguments_{random_};
  bool in_child_ = false;
};

#endif  // TEST_FUZZ_SYSCALLS_FUZZER_H_
