#include "sentry/arch/xsave.h"

#include <cpuid.h>

#include <algorithm>
#include <cstring>

namespace runsc {
namespace {

constexpr uint64_t kLegacyFeatures = 3;                     // x87, SSE
constexpr uint64_t kAmxFeatures = uint64_t{3} << 17;        // TILECFG, TILEDATA
constexpr uint64_t kSupervisorFeatures = uint64_t{1} << 8;  // PT; never in XCR0
constexpr uint32_t kInitialMxcsr = 0x1f80;
constexpr uint16_t kInitialControlWord = 0x37f;
constexpr size_t kMxcsrOffset = 24;
constexpr size_t kMxcsrMaskOffset = 28;
constexpr size_t kSoftwareOffset = 464;

struct Layout {
  uint64_t features = kLegacyFeatures;
  size_t size = kFxsaveSize;
  uint32_t mxcsr_mask = 0xffbf;
};

Layout Detect() {
  Layout layout;
  alignas(16) std::byte legacy[kFxsaveSize] = {};
  __builtin_ia32_fxsave64(legacy);
  uint32_t mask = 0;
  memcpy(&mask, legacy + kMxcsrMaskOffset, sizeof(mask));
  if (mask != 0) layout.mxcsr_mask = mask;

  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kOsXsave = 1U << 27;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsXsave) == 0) return layout;
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  layout.features = (uint64_t{high} << 32 | low) & ~kAmxFeatures & ~kSupervisorFeatures;
  layout.size = kFxsaveSize + kXsaveHeaderSize;
  for (unsigned component = 2; component < 63; ++component) {
    if ((layout.features >> component & 1) == 0) continue;
    __cpuid_count(0xd, component, a, b, c, d);
    layout.size = std::max<size_t>(layout.size, size_t{a} + b);
  }
  return layout;
}

const Layout& TheLayout() {
  static const Layout layout = Detect();
  return layout;
}

}  // namespace

uint64_t FrameFeatures() { return TheLayout().features; }

size_t FrameXsaveSize(size_t platform_size) { return std::min(TheLayout().size, platform_size); }

std::vector<std::byte> InitialFpState(size_t platform_size) {
  std::vector<std::byte> area(platform_size);
  memcpy(area.data(), &kInitialControlWord, sizeof(kInitialControlWord));
  memcpy(area.data() + kMxcsrOffset, &kInitialMxcsr, sizeof(kInitialMxcsr));
  if (platform_size > kFxsaveSize) {
    // With both legacy components present, a backend need not know that absent ones are initial.
    memcpy(area.data() + kFxsaveSize, &kLegacyFeatures, sizeof(kLegacyFeatures));
  }
  return area;
}

Result<void> SanitizeXsave(std::span<std::byte> area) {
  uint32_t mxcsr = 0;
  memcpy(&mxcsr, area.data() + kMxcsrOffset, sizeof(mxcsr));
  if ((mxcsr & ~TheLayout().mxcsr_mask) != 0) return Errno(EINVAL);
  memset(area.data() + kSoftwareOffset, 0, kFxsaveSize - kSoftwareOffset);
  if (area.size() < kFxsaveSize + kXsaveHeaderSize) return Ok();
  uint64_t header[kXsaveHeaderSize / sizeof(uint64_t)];
  memcpy(header, area.data() + kFxsaveSize, sizeof(header));
  if ((header[0] & ~FrameFeatures()) != 0) return Errno(EINVAL);
  for (size_t i = 1; i < std::size(header); ++i) {
    if (header[i] != 0) return Errno(EINVAL);  // XCOMP_BV: compacted areas are not taken
  }
  return Ok();
}

}  // namespace runsc
