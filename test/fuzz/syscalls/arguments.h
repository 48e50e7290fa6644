// ArgumentMaker: arguments of system calls that make some sense. Not for several threads.
#ifndef TEST_FUZZ_SYSCALLS_ARGUMENTS_H_
#define TEST_FUZZ_SYSCALLS_ARGUMENTS_H_

#include <stddef.h>
#include <stdint.h>

#include "test/fuzz/syscalls/generator.h"

inline constexpr int kFds = 40;

class ArgumentMaker {
 public:
  explicit ArgumentMaker(Generator& random) : random_(random) {}
  // Of a letter of a signature (table.h), for the argument at `index` of a call.
  uint64_t Make(char kind, int number, size_t index);

 private:
  uint64_t Process();
  uint64_t Anything();
  uint64_t KeyArgument(int number, size_t index);
  uint64_t Enumerated(int number, size_t index);
  uint64_t Flags();
  uint64_t OpenFlags();
  uint64_t CloneFlags();

  // --- addresses of what was made in the arena, and at times of something else: structures.cc ---
  char* Place(size_t size);
  uint64_t Buffer();
  uint64_t Wrong(uint64_t right);
  uint64_t Word32(uint64_t value);
  uint64_t Words(size_t count);
  uint64_t Path();
  uint64_t Timespecs(int count);
  uint64_t Iovecs(size_t count);
  uint64_t PollFds();
  uint64_t SocketAddress();
  uint64_t Messages();
  uint64_t Control();
  uint64_t CloneArguments();
  uint64_t SignalAction();
  uint64_t Strings();

  Generator& random_;
};

#endif  // TEST_FUZZ_SYSCALLS_ARGUMENTS_H_
