// MemoryFile: all memory that guests and Sentry-owned files use, in one file in the host's memory.
// The Sentry maps it once, sparsely, so that At() is an addition. Pages carry
// reference counts: copy-on-write shares a page between address spaces by them, and a
// page without references is given back to the host.
//
// Threading: all methods from any thread.
// Linux counterpart: the page allocator and struct page's counts.
#ifndef SENTRY_MEMORY_MEMORY_FILE_H_
#define SENTRY_MEMORY_MEMORY_FILE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "platform/base/mutex.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"
#include "sentry/memory/mappable.h"

namespace runsc {

class MemoryFile final : public BackingFile {
 public:
  // `limit`: bytes that may be allocated at once. Of OpenLargePageFile, if there is one; else makes a memfd.
  // Call at boot.
  static Result<std::unique_ptr<MemoryFile>> Create(uint64_t limit, UniqueFd large_page_file = {});
  ~MemoryFile();

  // kWhole: most of it will be touched soon, so the host may make all of its pages now.
  enum class Use { kWhole, kPerhaps };
  // Zeroed pages with one reference each. `length` is page-aligned and not 0. ENOMEM.
  Result<FileRange> Allocate(uint64_t length, Use use = Use::kPerhaps);
  // New pages with the contents of others. ENOMEM.
  Result<FileRange> Copy(FileRange range);
  void AddPageRefs(FileRange range) override;
  void ReleasePageRefs(FileRange range) override;
  // Whether every page of the range has been touched.
  bool IsFilled(FileRange range) const;
  // Whether somebody else holds a reference on this page too (copy before writing).
  bool IsShared(uint64_t offset) const;

  // A range that is always zero: what untouched memory reads as. Never released and
  // never written (the Sentry's own mapping of it is read-only); needs no references.
  static constexpr uint64_t kZeroRange = 2 << 20;
  static constexpr uint64_t zero_offset() { return 0; }

  int host_fd() const override;
  std::byte* At(FileRange range) override;
  std::byte* At(uint64_t offset) { return At(FileRange{offset, kPageSize}); }

  uint64_t limit() const;
  uint64_t allocated_bytes() const;  // now

 private:
  struct State;
  explicit MemoryFile(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

// Which pages of the memory file have been touched since they were allocated, as far as the host knows: one
// that it made together with others (Use::kWhole) is touched with them. (A small allocation may be of memory
// that was in use before, and then counts as touched.) Remembers what the host has said, so it is for one
// look at an address space.
class TouchedPages {
 public:
  explicit TouchedPages(const MemoryFile& file) : file_(file) {}
  // Calls `f` for the parts of `range` that have been touched, in order.
  void ForEach(FileRange range, absl::FunctionRef<void(FileRange)> f);
  uint64_t CountBytes(FileRange range);
  static bool Contains(const MemoryFile& file, uint64_t offset);

 private:
  struct Extent {
    uint64_t start = 0, end = 0;
    bool Contains(uint64_t offset) const { return offset >= start && offset < end; }
  };
  void Ask(uint64_t offset);

  const MemoryFile& file_;
  Extent data_, hole_;  // the last ones that the host has told of
};

}  // namespace runsc

#endif  // SENTRY_MEMORY_MEMORY_FILE_H_
