#include "platform/stub/stub_address_space.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>

namespace runsc {
namespace {

constexpr uint64_t kPageMask = STUB_PAGE_SIZE - 1;

}  // namespace

void StubAddressSpace::OnLastRelease() {
  master_.Retire(std::move(process_));
  delete this;
}

Result<int32_t> StubAddressSpace::CarryOutLocked(std::span<const StubCommand> list) {
  return process_->Run(list);
}

bool StubAddressSpace::InRange(uint64_t addr, uint64_t length) const {
  uint64_t end;
  return ((addr | length) & kPageMask) == 0 && length != 0 && !__builtin_add_overflow(addr, length, &end) &&
         addr >= min_address_ && end <= max_address_;
}

Result<void> StubAddressSpace::MapFile(uint64_t addr, int host_fd, uint64_t offset, uint64_t length,
                                       MapOptions options) {
  if (!InRange(addr, length) || (offset & kPageMask) != 0) return Errno(EINVAL);
  constexpr int kAllowedProt = PROT_READ | PROT_WRITE | PROT_EXEC;
  uint64_t flags = MAP_SHARED | MAP_FIXED | (options.precommit ? MAP_POPULATE : 0);
  MutexLock lock(mu_);
  AddRangeLocked(addr, addr + length);
  return AddCommandLocked({SYS_mmap,
                           {addr, length, static_cast<uint64_t>(options.prot & kAllowedProt), flags,
                            static_cast<uint64_t>(host_fd), offset}});
}

Result<void> StubAddressSpace::Unmap(uint64_t addr, uint64_t length) {
  if (!InRange(addr, length)) return Errno(EINVAL);
  MutexLock lock(mu_);
  auto [start, end] = RemoveRangeLocked(addr, addr + length);
  if (start == end) return Ok();
  return AddCommandLocked({SYS_munmap, {start, end - start}});
}

Result<void> StubAddressSpace::Protect(uint64_t addr, uint64_t length, int prot) {
  if (!InRange(addr, length)) return Errno(EINVAL);
  constexpr int kAllowedProt = PROT_READ | PROT_WRITE | PROT_EXEC;
  uint64_t limit = addr + length;
  MutexLock lock(mu_);
  auto it = ranges_.upper_bound(addr);
  if (it != ranges_.begin()) --it;
  for (; it != ranges_.end() && it->first < limit; ++it) {
    uint64_t start = std::max(addr, it->first);
    uint64_t end = std::min(limit, it->second);
    if (start >= end) continue;
    pending_.push_back({SYS_mprotect, {start, end - start, static_cast<uint64_t>(prot & kAllowedProt)}});
  }
  return BatchingLocked() ? Ok() : FlushLocked();
}

void StubAddressSpace::BeginBatch() {
  MutexLock lock(mu_);
  if (batch_depth_ == 0) batch_owner_ = std::this_thread::get_id();
  if (batch_owner_ == std::this_thread::get_id()) ++batch_depth_;
}

Result<void> StubAddressSpace::EndBatch() {
  MutexLock lock(mu_);
  if (batch_depth_ == 0 || batch_owner_ != std::this_thread::get_id()) return Ok();
  if (--batch_depth_ > 0) return Ok();
  Result<void> flushed = FlushLocked();
  Result<void> earlier = std::exchange(pending_error_, Ok());
  return earlier.ok() ? flushed : earlier;
}

bool StubAddressSpace::BatchingLocked() const {
  return batch_depth_ > 0 && batch_owner_ == std::this_thread::get_id();
}

Result<void> StubAddressSpace::AddCommandLocked(const StubCommand& command) {
  pending_.push_back(command);
  if (BatchingLocked()) return Ok();
  return FlushLocked();
}

Result<void> StubAddressSpace::FlushLocked() {
  Result<void> result = Ok();
  for (size_t done = 0; done < pending_.size() && result.ok();) {
    size_t count = std::min(pending_.size() - done, kStubCommands);
    std::span<const StubCommand> list(pending_.data() + done, count);
    Result<int32_t> answer = CarryOutLocked(list);
    if (!answer.ok()) result = answer.error();
    done += count;
  }
  pending_.clear();
  // The owner of an open batch hears of it in EndBatch, whoever carried it out.
  if (!result.ok() && batch_depth_ > 0 && pending_error_.ok()) pending_error_ = result;
  return result;
}

void StubAddressSpace::AddRangeLocked(uint64_t start, uint64_t end) {
  auto it = ranges_.upper_bound(start);
  if (it != ranges_.begin() && std::prev(it)->second >= start) --it;
  while (it != ranges_.end() && it->first <= end) {
    start = std::min(start, it->first);
    end = std::max(end, it->second);
    it = ranges_.erase(it);
  }
  ranges_.emplace(start, end);
}

std::pair<uint64_t, uint64_t> StubAddressSpace::RemoveRangeLocked(uint64_t start, uint64_t end) {
  auto it = ranges_.upper_bound(start);
  if (it != ranges_.begin() && std::prev(it)->second > start) --it;
  uint64_t first = 0, last = 0;
  while (it != ranges_.end() && it->first < end) {
    auto [range_start, range_end] = *it;
    it = ranges_.erase(it);
    if (first == 0) first = std::max(start, range_start);
    last = std::min(end, range_end);
    if (range_start < start) ranges_.emplace(range_start, start);
    if (range_end > end) {
      ranges_.emplace(end, range_end);
      break;
    }
    it = ranges_.lower_bound(start);
  }
  return {first, last};
}

}  // namespace runsc
