// The XSAVE area (Intel SDM vol. 1, chapter 13) in the standard format, which is
// what NT_X86_XSTATE, signal frames and the platforms exchange.
// Thread-safe: everything is computed from CPUID and the arguments.
#ifndef PLATFORM_HOST_XSAVE_H_
#define PLATFORM_HOST_XSAVE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "platform/base/result.h"

namespace runsc {

// Bytes of an area that holds everything the host has enabled.
size_t XsaveSize();
// The components the host has enabled (XCR0).
uint64_t XsaveFeatures();

// What a new program starts with (x87 control word 0x37f, MXCSR 0x1f80, the rest zero).
std::vector<std::byte> InitialXsave();

// EINVAL if the host could not load this area: wrong length, components that are
// not enabled, reserved header or MXCSR bits, the compacted format.
Result<void> ValidateXsave(std::span<const std::byte> area);

}  // namespace runsc

#endif  // PLATFORM_HOST_XSAVE_H_
