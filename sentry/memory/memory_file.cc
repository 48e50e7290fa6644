#include "sentry/memory/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "platform/base/check.h"
#include "platform/base/log.h"
#include "sentry/memory/extent_set.h"
#include "sentry/memory/live_limits.h"

namespace runsc {
namespace {

// Freed memory that stays with us, to be zeroed and used again: cheaper than giving
// pages to the host and taking new ones, as long as it is little.
constexpr uint64_t kMaxDirty = 4 << 20;
// A freed range of this size or more goes back to the host at once.
constexpr uint64_t kPunchAtOnce = 512 << 10;
// Larger allocations are rarely used whole, so zeroing them would be a waste.
constexpr uint64_t kMaxDirtyReuse = 64 << 10;

// Page counts are changed under the lock of their part of the file, so that a range costs
// one lock and not one locked instruction a page.
constexpr uint64_t kStripe = 2 << 20;
constexpr size_t kStripes = 64;

constexpr uint64_t kMaxLimit = uint64_t{8} << 40;

// Below this a call of fallocate costs as much as the pages that a first touch brings.
constexpr uint64_t kMinFilled = 16 << 10;
// The largest piece that the host makes; pieces lie at multiples of their length.
constexpr uint64_t kLargestPiece = 2 << 20;
// What the file grows by: less than that is never a piece of its own.
constexpr uint64_t kFileStep = 64 << 10;

}  // namespace

struct MemoryFile::State {
  UniqueFd fd;
  std::byte* base = nullptr;
  std::atomic<uint32_t>* refs = nullptr;  // one a page; what is free has 0; see StripeLock
  uint64_t capacity = 0;                  // bytes of the mapping; the file may grow to it
  bool large_pages = false;               // see OpenLargePageFile
  uint64_t limit = 0;
  std::atomic<uint64_t> allocated{0};

  struct Stripe {
    Mutex mu{LockRank::kLeaf};
  };
  std::array<Stripe, kStripes> stripes;

  Mutex mu{LockRank::kMemoryFile};
  ExtentSet clean ABSL_GUARDED_BY(mu);                 // holes of the file
  ExtentSet dirty ABSL_GUARDED_BY(mu);                 // still has pages, with old contents
  uint64_t frontier ABSL_GUARDED_BY(mu) = kZeroRange;  // nothing behind it was ever allocated
  uint64_t file_size ABSL_GUARDED_BY(mu) = 0;

  ~State() {
    if (base != nullptr) munmap(base, capacity);
    if (refs != nullptr) munmap(static_cast<void*>(refs), RefsBytes());
  }
  uint64_t RefsBytes() const { return capacity / kPageSize * sizeof(refs[0]); }
  std::atomic<uint32_t>& Refs(uint64_t offset) { return refs[offset / kPageSize]; }
  Mutex& StripeLock(uint64_t offset) { return stripes[offset / kStripe % kStripes].mu; }
  // Calls f(part) for the parts of a range that have one lock each, with that held.
  template <typename F>
  void ForStripes(FileRange range, F f) {
    for (uint64_t at = range.offset; at < range.end();) {
      uint64_t end = std::min(range.end(), (at / kStripe + 1) * kStripe);
      MutexLock lock(StripeLock(at));
      f(FileRange{at, end - at});
      at = end;
    }
  }

  Result<FileRange> Take(uint64_t length, bool* is_dirty) ABSL_LOCKS_EXCLUDED(mu);
  Result<uint64_t> TakeExtent(uint64_t length, bool* is_dirty) ABSL_LOCKS_EXCLUDED(mu);
  Result<uint64_t> TakeBehindFrontier(uint64_t length) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Has the host make clean pages at once, in large pieces. As far as it can: the rest comes when touched.
  void Fill(FileRange range) const;
  void Free(FileRange range) ABSL_LOCKS_EXCLUDED(mu);
  // Gives extents (in neither set) back to the host and puts them into `clean`.
  void Punch(const std::vector<FileRange>& extents) ABSL_LOCKS_EXCLUDED(mu);
};

Result<std::unique_ptr<MemoryFile>> MemoryFile::Create(uint64_t limit, UniqueFd large_page_file) {
  auto state = std::make_unique<State>();
  limit = std::min(limit, kMaxLimit);
  limit = std::max(PageRoundDown(limit), kPageSize);
  state->limit = limit;
  // Address space is cheap; the slack keeps fragmentation from being the limit.
  constexpr uint64_t kChunk = uint64_t{1} << 30;
  state->capacity = (limit * 2 + kChunk - 1) / kChunk * kChunk;
  state->large_pages = static_cast<bool>(large_page_file);
  state->fd =
      state->large_pages ? std::move(large_page_file) : UniqueFd(memfd_create("runsc-memory", MFD_CLOEXEC));
  if (!state->fd) return HostErrno();
  {
    MutexLock lock(state->mu);
    state->file_size = state->large_pages ? kZeroRange : state->capacity;
    if (ftruncate(state->fd.get(), static_cast<off_t>(state->file_size)) != 0) return HostErrno();
  }
  void* base =
      mmap(nullptr, state->capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, state->fd.get(), 0);
  if (base == MAP_FAILED) return HostErrno();
  state->base = static_cast<std::byte*>(base);
  void* refs = mmap(nullptr, state->RefsBytes(), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (refs == MAP_FAILED) return HostErrno();
  state->refs = static_cast<std::atomic<uint32_t>*>(refs);
  if (mprotect(base, kZeroRange, PROT_READ) != 0) return HostErrno();
  // Cores of the Sentry are for the Sentry's own bugs.
  madvise(base, state->capacity, MADV_DONTDUMP);
  return std::unique_ptr<MemoryFile>(new MemoryFile(std::move(state)));
}

MemoryFile::MemoryFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
MemoryFile::~MemoryFile() = default;

Result<uint64_t> MemoryFile::State::TakeExtent(uint64_t length, bool* is_dirty) {
  for (bool flushed = false;; flushed = true) {
    std::vector<FileRange> flush;
    {
      MutexLock lock(mu);
      *is_dirty = false;
      if (length <= kMaxDirtyReuse || flushed) {
        if (auto offset = dirty.Take(length)) {
          *is_dirty = true;
          return *offset;
        }
      }
      if (auto offset = clean.Take(length)) return *offset;
      if (auto offset = TakeBehindFrontier(length); offset.ok() || flushed) return offset;
      flush = dirty.TakeAll();
    }
    Punch(flush);
  }
}

Result<uint64_t> MemoryFile::State::TakeBehindFrontier(uint64_t length) {
  uint64_t offset = frontier;
  if (large_pages && length >= kMinFilled) {
    const uint64_t alignment = std::min(std::bit_floor(length), kLargestPiece);
    offset = (offset + alignment - 1) & ~(alignment - 1);
  }
  if (offset > capacity || capacity - offset < length) return Errno(ENOMEM);
  if (offset + length > file_size) {
    // The end of the file is what keeps pieces from being larger than what is asked for.
    const uint64_t size = std::min((offset + length + kFileStep - 1) / kFileStep * kFileStep, capacity);
    if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return Errno(ENOMEM);
    file_size = size;
  }
  clean.Insert({frontier, offset - frontier});
  frontier = offset + length;
  return offset;
}

void MemoryFile::State::Fill(FileRange range) const {
  if (!large_pages || range.length < kMinFilled) return;
  fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(range.offset),
            static_cast<off_t>(range.length));
}

Result<FileRange> MemoryFile::Allocate(uint64_t length, Use use) {
  bool is_dirty = false;
  ASSIGN_OR_RETURN(FileRange range, state_->Take(length, &is_dirty));
  if (is_dirty)
    std::memset(state_->base + range.offset, 0, length);
  else if (use == Use::kWhole)
    state_->Fill(range);
  return range;
}

Result<FileRange> MemoryFile::Copy(FileRange from) {
  bool is_dirty = false;
  ASSIGN_OR_RETURN(FileRange range, state_->Take(from.length, &is_dirty));
  if (!is_dirty) state_->Fill(range);
  std::memcpy(state_->base + range.offset, state_->base + from.offset, from.length);
  return range;
}

// Pages with one reference each; `is_dirty`: not zeroed.
Result<FileRange> MemoryFile::State::Take(uint64_t length, bool* is_dirty) {
  CHECK(length != 0 && (length & kPageMask) == 0);
  const uint64_t most = std::min(limit, live_limits.memory.load(std::memory_order_relaxed));
  if (length > most) return Errno(ENOMEM);
  if (allocated.fetch_add(length, std::memory_order_relaxed) > most - length) {
    allocated.fetch_sub(length, std::memory_order_relaxed);
    return Errno(ENOMEM);
  }
  Result<uint64_t> offset = TakeExtent(length, is_dirty);
  if (!offset.ok()) {
    allocated.fetch_sub(length, std::memory_order_relaxed);
    return offset.error();
  }
  FileRange range{*offset, length};
  for (uint64_t page = range.offset; page < range.end(); page += kPageSize)
    Refs(page).store(1, std::memory_order_release);
  return range;
}

void MemoryFile::AddPageRefs(FileRange range) {
  State& s = *state_;
  s.ForStripes(range, [&](FileRange part) {
    for (uint64_t page = part.offset; page < part.end(); page += kPageSize) {
      std::atomic<uint32_t>& refs = s.Refs(page);
      uint32_t old = refs.load(std::memory_order_relaxed);
      CHECK(old != 0 && old != UINT32_MAX);
      refs.store(old + 1, std::memory_order_relaxed);
    }
  });
}

void MemoryFile::ReleasePageRefs(FileRange range) {
  State& s = *state_;
  absl::InlinedVector<FileRange, 8> freed;
  s.ForStripes(range, [&](FileRange part) {
    for (uint64_t page = part.offset; page < part.end(); page += kPageSize) {
      std::atomic<uint32_t>& refs = s.Refs(page);
      uint32_t old = refs.load(std::memory_order_relaxed);
      CHECK(old != 0);
      refs.store(old - 1, std::memory_order_release);
      if (old > 1) continue;
      if (!freed.empty() && freed.back().end() == page)
        freed.back().length += kPageSize;
      else
        freed.push_back({page, kPageSize});
    }
  });
  for (FileRange extent : freed) s.Free(extent);
}

void MemoryFile::State::Free(FileRange range) {
  std::vector<FileRange> punch;
  {
    MutexLock lock(mu);
    if (range.length < kPunchAtOnce) {
      dirty.Insert(range);
      if (dirty.total() > kMaxDirty) punch = dirty.TakeAll();
    } else {
      punch.push_back(range);
    }
  }
  Punch(punch);
  allocated.fetch_sub(range.length, std::memory_order_relaxed);
}

void MemoryFile::State::Punch(const std::vector<FileRange>& extents) {
  for (FileRange extent : extents) {
    int rc = fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(extent.offset), static_cast<off_t>(extent.length));
    if (rc != 0) LOG_WARNING("memory file: cannot give back {} bytes: errno {}", extent.length, errno);
    MutexLock lock(mu);
    (rc == 0 ? clean : dirty).Insert(extent);
  }
}

bool MemoryFile::IsFilled(FileRange range) const {
  off_t hole = lseek(state_->fd.get(), static_cast<off_t>(range.offset), SEEK_HOLE);
  return hole >= 0 && static_cast<uint64_t>(hole) >= range.end();
}

bool MemoryFile::IsShared(uint64_t offset) const {
  return state_->Refs(offset).load(std::memory_order_acquire) > 1;
}

int MemoryFile::host_fd() const { return state_->fd.get(); }

std::byte* MemoryFile::At(FileRange range) {
  DCHECK(range.end() <= state_->capacity);
  return state_->base + range.offset;
}

uint64_t MemoryFile::limit() const {
  return std::min(state_->limit, live_limits.memory.load(std::memory_order_relaxed));
}
uint64_t MemoryFile::allocated_bytes() const { return state_->allocated.load(std::memory_order_relaxed); }

bool TouchedPages::Contains(const MemoryFile& file, uint64_t offset) {
  return lseek(file.host_fd(), static_cast<off_t>(offset), SEEK_DATA) == static_cast<off_t>(offset);
}

void TouchedPages::Ask(uint64_t offset) {
  const off_t data = lseek(file_.host_fd(), static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0 || static_cast<uint64_t>(data) > offset) {
    hole_ = {offset, data < 0 ? UINT64_MAX : static_cast<uint64_t>(data)};
    return;
  }
  const off_t hole = lseek(file_.host_fd(), data, SEEK_HOLE);
  data_ = {offset, hole > data ? static_cast<uint64_t>(hole) : offset + kPageSize};
}

void TouchedPages::ForEach(FileRange range, absl::FunctionRef<void(FileRange)> f) {
  for (uint64_t at = range.offset; at < range.end();) {
    if (!data_.Contains(at) && !hole_.Contains(at)) Ask(at);
    const bool is_data = data_.Contains(at);
    const uint64_t end = std::min(is_data ? data_.end : hole_.end, range.end());
    if (is_data) f({at, end - at});
    at = end;
  }
}

uint64_t TouchedPages::CountBytes(FileRange range) {
  uint64_t bytes = 0;
  ForEach(range, [&](FileRange part) { bytes += part.length; });
  return bytes;
}

}  // namespace runsc
