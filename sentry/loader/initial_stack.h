// The stack that a new program starts with: strings, auxiliary vector, pointers.
// Linux counterpart: copy_strings and create_elf_tables; getauxval(3).
#ifndef SENTRY_LOADER_INITIAL_STACK_H_
#define SENTRY_LOADER_INITIAL_STACK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "platform/base/result.h"
#include "sentry/usermem/user_addr.h"

namespace runsc {

inline constexpr size_t kMaxArgumentLength = 32 * kPageSize;  // MAX_ARG_STRLEN

// How many bytes of strings and pointers execve(2) allows under this RLIMIT_STACK: a quarter of it, within
// bounds.
uint64_t ArgumentLimit(uint64_t stack_limit);

// E2BIG when the strings and pointers are more than execve(2) allows under this RLIMIT_STACK.
Result<void> CheckArgumentSize(const std::vector<std::string>& argv, const std::vector<std::string>& envp,
                               const std::string& filename, uint64_t stack_limit);

struct InitialStack {
  std::string bytes;  // from stack_pointer to the top
  UserAddr stack_pointer;
  UserAddr args_start, args_end, env_start, env_end;
  std::vector<uint64_t> auxv;  // with AT_NULL
};

struct InitialStackRequest {
  const std::vector<std::string>& argv;
  const std::vector<std::string>& envp;
  const std::string& filename;
  std::array<std::byte, 16> random;
  // Without those that point into the stack: AT_EXECFN, AT_RANDOM, AT_PLATFORM and AT_NULL follow.
  std::vector<std::pair<uint64_t, uint64_t>> auxv;
  UserAddr top;              // page-aligned
  uint64_t random_skip = 0;  // bytes left free below the strings
};

InitialStack BuildInitialStack(InitialStackRequest request);

}  // namespace runsc

#endif  // SENTRY_LOADER_INITIAL_STACK_H_
