// A directory of a test's own in /tmp, which is the working directory and goes with it.
#ifndef TEST_SYSCALLS_SCRATCH_H_
#define TEST_SYSCALLS_SCRATCH_H_

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "test/syscalls/syscall_test.h"

namespace syscall_test {

struct Scratch {
  char path[32] = "/tmp/syscall_testXXXXXX";
  Scratch() {
    if (mkdtemp(path) == nullptr || chdir(path) != 0) FAIL("no scratch directory");
  }
  ~Scratch() {
    std::error_code ignored;  // of a test that gave up its rights
    if (chdir("/") == 0) std::filesystem::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

}  // namespace syscall_test

#endif  // TEST_SYSCALLS_SCRATCH_H_
