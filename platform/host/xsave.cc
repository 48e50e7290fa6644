#include "platform/host/xsave.h"

#include <cpuid.h>

#include <cstring>

namespace runsc {
namespace {

constexpr size_t kControlWordOffset = 0;
constexpr size_t kMxcsrOffset = 24;
constexpr size_t kMxcsrMaskOffset = 28;
constexpr size_t kHeaderOffset = 512;
constexpr size_t kHeaderSize = 64;
constexpr uint64_t kX87 = 1, kSse = 2, kAvx = 4;
constexpr uint32_t kDefaultMxcsrMask = 0xffbf;

template <typename T>
T ReadAt(std::span<const std::byte> area, size_t offset) {
  T value;
  memcpy(&value, area.data() + offset, sizeof(value));
  return value;
}

template <typename T>
void WriteAt(std::span<std::byte> area, size_t offset, T value) {
  memcpy(area.data() + offset, &value, sizeof(value));
}

bool HasXsave() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_OSXSAVE) != 0;
}

uint32_t MxcsrMask() {
  static const uint32_t mask = [] {
    alignas(16) std::byte area[512] = {};
    __builtin_ia32_fxsave64(area);
    uint32_t value = ReadAt<uint32_t>(area, kMxcsrMaskOffset);
    return value == 0 ? kDefaultMxcsrMask : value;
  }();
  return mask;
}

}  // namespace

uint64_t XsaveFeatures() {
  static const uint64_t features = [] {
    if (!HasXsave()) return kX87 | kSse;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return uint64_t{high} << 32 | low;
  }();
  return features;
}

size_t XsaveSize() {
  static const size_t size = [] {
    unsigned a, b = 0, c, d;
    if (!HasXsave() || __get_cpuid_count(0xd, 0, &a, &b, &c, &d) == 0) return kHeaderOffset + kHeaderSize;
    return static_cast<size_t>(b);
  }();
  return size;
}

std::vector<std::byte> InitialXsave() {
  std::vector<std::byte> area(XsaveSize());
  WriteAt<uint16_t>(area, kControlWordOffset, 0x37f);
  WriteAt<uint32_t>(area, kMxcsrOffset, 0x1f80);
  WriteAt<uint32_t>(area, kMxcsrMaskOffset, MxcsrMask());
  WriteAt<uint64_t>(area, kHeaderOffset, kX87 | kSse);
  return area;
}

Result<void> ValidateXsave(std::span<const std::byte> area) {
  if (area.size() < kHeaderOffset + kHeaderSize || area.size() > XsaveSize()) return Errno(EINVAL);
  uint64_t present = ReadAt<uint64_t>(area, kHeaderOffset);
  if ((present & ~XsaveFeatures()) != 0) return Errno(EINVAL);
  for (size_t i = 8; i < kHeaderSize; i += 8)
    if (ReadAt<uint64_t>(area, kHeaderOffset + i) != 0) return Errno(EINVAL);
  if ((present & (kSse | kAvx)) != 0 && (ReadAt<uint32_t>(area, kMxcsrOffset) & ~MxcsrMask()) != 0)
    return Errno(EINVAL);
  return Ok();
}

}  // namespace runsc
