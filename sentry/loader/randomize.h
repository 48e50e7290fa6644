// Random numbers for address space layout and AT_RANDOM, from the host's getrandom(2).
#ifndef SENTRY_LOADER_RANDOMIZE_H_
#define SENTRY_LOADER_RANDOMIZE_H_

#include <sys/random.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "platform/base/check.h"

namespace runsc {

inline void FillRandom(std::span<std::byte> to) {
  // Never short below 256 bytes once the host's pool is ready (getrandom(2)).
  CHECK(::getrandom(to.data(), to.size(), 0) == static_cast<ssize_t>(to.size()));
}

// In [0, limit); 0 if limit is 0. The bias of the modulo does not matter here.
inline uint64_t RandomBelow(uint64_t limit) {
  uint64_t value = 0;
  FillRandom(std::as_writable_bytes(std::span(&value, 1)));
  return limit == 0 ? 0 : value % limit;
}

}  // namespace runsc

#endif  // SENTRY_LOADER_RANDOMIZE_H_
