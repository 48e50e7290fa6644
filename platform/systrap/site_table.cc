#include "platform/systrap/site_table.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace runsc {
namespace {

constexpr size_t kFileSize = SITE_CODE - SITE_TABLE + SITE_CODE_SIZE;
static_assert(SITE_TABLE + kFileSize <= SITE_END);
static_assert(SITES * 8 <= SITE_CODE - SITE_TABLE);
// What a jump straight to the syscall of a kLoad site meets is the third byte of the address.
static_assert((SITE_TABLE >> 16) == 0x06 && ((SITE_TABLE + SITES * 8) >> 16) == 0x06);

uint64_t TrampolineAddress(uint32_t index) { return SITE_CODE + uint64_t{index} * SITE_SIZE; }

class Writer {
 public:
  explicit Writer(char* to) : to_(to) {}
  void Put(std::initializer_list<uint8_t> bytes) {
    for (uint8_t byte : bytes) *to_++ = static_cast<char>(byte);
  }
  template <typename T>
  void PutWord(T value) {
    memcpy(to_, &value, sizeof(value));
    to_ += sizeof(value);
  }
  void Put(std::span<const std::byte> bytes) {
    memcpy(to_, bytes.data(), bytes.size());
    to_ += bytes.size();
  }

 private:
  char* to_;
};

}  // namespace

Result<RefPtr<SiteTable>> SiteTable::New(uint64_t enter) {
  UniqueFd fd(memfd_create("sites", MFD_CLOEXEC));
  if (!fd) return HostErrno();
  if (ftruncate(fd.get(), kFileSize) != 0) return HostErrno();
  void* memory = mmap(nullptr, kFileSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return HostErrno();
  memcpy(memory, &enter, sizeof(enter));
  return RefPtr<SiteTable>::Adopt(new SiteTable(std::move(fd), static_cast<char*>(memory)));
}

SiteTable::~SiteTable() { munmap(memory_, kFileSize); }

std::optional<uint32_t> SiteTable::Add(const CallSite& site) {
  MutexLock lock(mu_);
  uint32_t count = count_.load(std::memory_order_relaxed);
  for (uint32_t i = 1; i < count; ++i)
    if (sites_[i] == site) return i;
  if (count == SITES) return std::nullopt;
  const uint32_t index = count;
  sites_[index] = site;
  char* trampoline = memory_ + (TrampolineAddress(index) - SITE_TABLE);

  Writer start(trampoline);
  const std::span<const std::byte> bytes(site.bytes);
  switch (site.shape) {
    case CallSite::Shape::kLoad:
      start.Put(bytes.first(5));
      start.Put({0x66, 0x90});
      break;
    case CallSite::Shape::kLongLoad:
      start.Put(bytes.first(7));
      break;
    case CallSite::Shape::kResult:
      start.Put({0x0f, 0x1f, 0x80, 0, 0, 0, 0});  // nop
      break;
  }
  Writer enter(trampoline + SITE_ENTER);
  enter.Put({0x41, 0xbb});
  enter.PutWord(index);
  enter.Put({0xff, 0x24, 0x25});
  enter.PutWord(uint32_t{SITE_TABLE});
  Writer back(trampoline + SITE_TRAP);
  back.Put({0x0f, 0x05, 0x48, 0xb9});
  back.PutWord(site.after_call());
  back.Put(site.tail());
  back.Put({0xff, 0x25, 0, 0, 0, 0});
  back.PutWord(site.end());
  static_assert(SITE_TAIL + CallSite::kMaxTail + 14 <= SITE_SIZE);

  uint64_t pointer = TrampolineAddress(index);
  memcpy(memory_ + index * sizeof(pointer), &pointer, sizeof(pointer));
  count_.store(index + 1, std::memory_order_release);
  return index;
}

CodePatch SiteTable::PatchFor(const CallSite& site, uint32_t index) {
  CodePatch patch{.address = site.address};
  std::copy_n(site.bytes.begin(), patch.original.size(), patch.original.begin());
  uint32_t pointer = SITE_TABLE + index * 8;
  const uint8_t jump[] = {0xff, 0x24, 0x25};
  memcpy(patch.replacement.data(), jump, sizeof(jump));
  memcpy(patch.replacement.data() + sizeof(jump), &pointer, sizeof(pointer));
  return patch;
}

uint64_t MapIn(const CallSite& site, uint32_t index, uint64_t rip) {
  const uint64_t offset = rip - site.address;
  if (offset == site.call && offset != 0 && offset < CodePatch::kLength)
    return TrampolineAddress(index) + SITE_ENTER;
  if (site.shape == CallSite::Shape::kResult && offset >= 2 && offset < CodePatch::kLength)
    return TrampolineAddress(index) + SITE_TAIL + (offset - 2);
  return rip;
}

}  // namespace runsc
