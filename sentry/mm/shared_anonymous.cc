#include "sentry/mm/shared_anonymous.h"

#include <algorithm>
#include <atomic>
#include <vector>

namespace runsc {
namespace {

constexpr uint64_t kChunk = 64 << 10;

uint64_t NextInodeNumber() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

SharedAnonymous::SharedAnonymous(MemoryFile& memory_file, uint64_t length)
    : memory_file_(memory_file), length_(length), inode_number_(NextInodeNumber()) {}

SharedAnonymous::~SharedAnonymous() {
  MutexLock lock(mu_);
  for (auto& [offset, pages] : pages_) memory_file_.ReleasePageRefs(pages);
}

Result<Translation> SharedAnonymous::Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) {
  if (offset >= length_ || max_length == 0) return Errno(ENXIO);
  MutexLock lock(mu_);
  auto it = pages_.upper_bound(offset);
  auto next = it;
  uint64_t floor = 0;
  if (it != pages_.begin()) {
    --it;
    if (it->first + it->second.length > offset) {
      FileRange pages{it->second.offset + (offset - it->first),
                      std::min(max_length, it->first + it->second.length - offset)};
      memory_file_.AddPageRefs(pages);
      return Translation{&memory_file_, pages, true};
    }
    floor = it->first + it->second.length;
  }
  uint64_t start = std::max(offset & ~(kChunk - 1), floor);
  uint64_t end =
      std::min(std::max((offset & ~(kChunk - 1)) + kChunk, std::min(offset + max_length, length_)), length_);
  if (next != pages_.end()) end = std::min(end, next->first);
  Result<FileRange> memory = memory_file_.Allocate(end - start);
  if (!memory.ok()) {
    start = offset;
    end = offset + kPageSize;
    memory = memory_file_.Allocate(kPageSize);
  }
  if (!memory.ok()) return memory.error();
  FileRange pages{memory->offset + (offset - start), std::min(max_length, end - offset)};
  memory_file_.AddPageRefs(pages);
  pages_.emplace(start, *memory);
  return Translation{&memory_file_, pages, true};
}

uint64_t SharedAnonymous::resident_bytes() const {
  MutexLock lock(mu_);
  uint64_t bytes = 0;
  TouchedPages touched(memory_file_);
  for (const auto& [offset, pages] : pages_) bytes += touched.CountBytes(pages);
  return bytes;
}

void SharedAnonymous::AddMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {
  MutexLock lock(mu_);
  mappings_.Add(owner, range, offset, writable);
}

void SharedAnonymous::RemoveMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {
  MutexLock lock(mu_);
  mappings_.Remove(owner, range, offset, writable);
}

Result<void> SharedAnonymous::PunchHole(uint64_t offset, uint64_t length) {
  if (offset >= length_) return Ok();
  const uint64_t end = offset + std::min(length, length_ - offset);
  std::vector<FileRange> freed;
  MappingSet::Targets targets;
  {
    MutexLock lock(mu_);
    auto it = pages_.upper_bound(offset);
    if (it != pages_.begin()) --it;
    while (it != pages_.end() && it->first < end) {
      auto [start, pages] = *it;
      uint64_t from = std::max(offset, start);
      uint64_t to = std::min(end, start + pages.length);
      if (from >= to) {
        ++it;
        continue;
      }
      it = pages_.erase(it);
      freed.push_back({pages.offset + (from - start), to - from});
      if (start < from) pages_.emplace(start, FileRange{pages.offset, from - start});
      if (to < start + pages.length)
        pages_.emplace(to, FileRange{pages.offset + (to - start), start + pages.length - to});
      it = pages_.lower_bound(to);
    }
    targets = mappings_.Find(offset, end - offset);
  }
  targets.Invalidate(false);
  for (FileRange pages : freed) memory_file_.ReleasePageRefs(pages);
  return Ok();
}

}  // namespace runsc
