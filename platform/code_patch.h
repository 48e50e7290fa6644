// CodePatch: a stretch of guest code that a platform wants rewritten, so that a system
// call which is made often does not enter the host kernel.
//
// The platform plans it and drives what is put there; the memory manager decides whether
// the memory is fit for it (private, executable, not writable), writes the bytes, shows the
// original ones to every reader but the CPU, and undoes the patch before the memory changes.
#ifndef PLATFORM_CODE_PATCH_H_
#define PLATFORM_CODE_PATCH_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace runsc {

struct CodePatch {
  static constexpr size_t kLength = 7;
  uint64_t address = 0;
  std::array<std::byte, kLength> original = {};
  std::array<std::byte, kLength> replacement = {};

  uint64_t end() const { return address + kLength; }
};

}  // namespace runsc

#endif  // PLATFORM_CODE_PATCH_H_
