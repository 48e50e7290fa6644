// The XSAVE area (Intel SDM volume 1, chapter 13, standard format) as signal frames and new
// programs need it: its initial state, which components a frame holds, and the check of
// what a guest hands back.
// Threading: stateless.
#ifndef SENTRY_ARCH_XSAVE_H_
#define SENTRY_ARCH_XSAVE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "platform/base/result.h"

namespace runsc {

inline constexpr size_t kFxsaveSize = 512;
inline constexpr size_t kXsaveHeaderSize = 64;

// Components that user space may use here, and that a signal frame holds: those of XCR0 without AMX
// (whose tiles a program has to ask for, arch_prctl(2), and which are not offered).
uint64_t FrameFeatures();
// Bytes of an XSAVE area with these components, at most `platform_size` (Platform::fp_state_size()).
size_t FrameXsaveSize(size_t platform_size);

// The state of a new program and of a signal handler: everything initial, FCW 0x37f, MXCSR 0x1f80.
std::vector<std::byte> InitialFpState(size_t platform_size);

// Checks an area that came from the guest, and blanks what is for software only. EINVAL: reserved bits of
// MXCSR or of the header, or components that do not exist.
Result<void> SanitizeXsave(std::span<std::byte> area);

}  // namespace runsc

#endif  // SENTRY_ARCH_XSAVE_H_
