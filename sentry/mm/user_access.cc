// UserMemory: the Sentry's own access to guest memory. Copies run under the lock held
// shared, so that the usual one costs two look-ups and no page references; pages of
// host files, which may have to come from a disk, are referenced and copied without it.
#include <sys/uio.h>

#include <algorithm>
#include <climits>

#include "platform/base/check.h"
#include "sentry/mm/state.h"
#include "sentry/usermem/safe_copy.h"

namespace runsc {
namespace {

// The lock is given up for a moment after this much, so that faults get their turn.
constexpr uint64_t kCopyUnderLock = 256 << 10;

}  // namespace

bool MemoryManager::State::Accessible(const Pma& pma, MemoryAccess access, bool forced) {
  if (access == MemoryAccess::kRead) return pma.prot != 0 || forced;
  return ((pma.prot & PROT_WRITE) != 0 || forced) && !pma.cow && !pma.zero && pma.writable;
}

// Calls copy(memory, done, length) -> bytes done, for piece after piece.
template <typename Copy>
size_t MemoryManager::State::CopyPages(uint64_t addr, uint64_t length, MemoryAccess access, bool forced,
                                       Copy copy) {
  uint64_t done = 0;
  while (done < length) {
    BackingFile* file = nullptr;
    FileRange range;
    RefPtr<MappedObject> object;  // keeps `file`
    uint64_t at = addr + done;
    {
      ReaderLock lock(mu);
      uint64_t budget = kCopyUnderLock;
      while (done < length && budget > 0) {
        at = addr + done;
        auto it = FindPma(at);
        if (it == pmas.end() || !Accessible(it->second, access, forced)) break;
        const Pma& pma = it->second;
        uint64_t piece = std::min({length - done, pma.end - at, budget});
        if (forced && access == MemoryAccess::kWrite && (pma.prot & PROT_WRITE) == 0) {
          // Private memory only; what is shared is refused below.
          auto vma = FindVma(at);
          if (vma == vmas.end() || vma->second.shared) break;
          piece = std::min(piece, vma->second.end - at);
        }
        if (IsPatched({at, at + piece})) break;
        uint64_t offset = pma.offset + (at - it->first);
        if (pma.file != &memory_file) {
          file = pma.file;
          range.offset = PageRoundDown(offset);
          range.length = PageRoundDown(offset + piece + kPageMask) - range.offset;
          file->AddPageRefs(range);
          if (auto vma = FindVma(at); vma != vmas.end()) object = vma->second.object;
          break;
        }
        size_t copied = copy(memory_file.At({offset, piece}), done, piece);
        done += copied;
        if (copied < piece) return done;
        budget -= piece;
      }
      if (done == length) return done;
      if (budget == 0) continue;
    }
    if (file != nullptr) {
      uint64_t in_page = at & kPageMask;
      uint64_t piece = std::min(length - done, range.length - in_page);
      std::byte* memory = file->At(range);
      size_t copied = memory == nullptr ? 0 : copy(memory + in_page, done, piece);
      file->ReleasePageRefs(range);
      done += copied;
      if (copied < piece) return done;
      continue;
    }
    Garbage garbage;
    WriterLock lock(mu);
    uint64_t want_end = 0;
    if (__builtin_add_overflow(addr, length, &want_end)) want_end = 0;
    FaultOptions options{.access = access, .want_end = want_end, .forced = forced};
    if (!UndoPatches({at, want_end != 0 ? want_end : UINT64_MAX}, garbage).ok() ||
        !FaultIn(at, options, garbage).ok())
      return done;
  }
  return done;
}

size_t MemoryManager::CopyOut(UserAddr to, std::span<const std::byte> from) {
  return state_->CopyPages(to.value(), from.size(), MemoryAccess::kWrite, false,
                           [&](std::byte* memory, size_t done, size_t length) {
                             return SafeCopy(memory, from.data() + done, length);
                           });
}

size_t MemoryManager::CopyIn(UserAddr from, std::span<std::byte> to) {
  return state_->CopyPages(from.value(), to.size(), MemoryAccess::kRead, false,
                           [&](std::byte* memory, size_t done, size_t length) {
                             return SafeCopy(to.data() + done, memory, length);
                           });
}

size_t MemoryManager::ZeroOut(UserAddr to, size_t length) {
  return state_->CopyPages(to.value(), length, MemoryAccess::kWrite, false,
                           [](std::byte* memory, size_t, size_t piece) { return SafeZero(memory, piece); });
}

size_t MemoryManager::CopyOutForced(UserAddr to, std::span<const std::byte> from) {
  return state_->CopyPages(to.value(), from.size(), MemoryAccess::kWrite, true,
                           [&](std::byte* memory, size_t done, size_t length) {
                             return SafeCopy(memory, from.data() + done, length);
                           });
}

size_t MemoryManager::CopyInForced(UserAddr from, std::span<std::byte> to) {
  return state_->CopyPages(from.value(), to.size(), MemoryAccess::kRead, true,
                           [&](std::byte* memory, size_t done, size_t length) {
                             return SafeCopy(to.data() + done, memory, length);
                           });
}

Result<size_t> MemoryManager::WithBlocks(UserAddr addr, size_t length, MemoryAccess access,
                                         BlockFunction io) {
  if (length == 0) return io({});
  State& s = *state_;
  absl::InlinedVector<iovec, 8> blocks;
  Garbage held;  // the references of the blocks; released when `io` has returned
  const bool write = access == MemoryAccess::kWrite;
  uint64_t at = addr.value();
  uint64_t end = 0;
  if (__builtin_add_overflow(at, length, &end)) end = UINT64_MAX;
  // `reader`: takes what is there already; then once more for each range that was not.
  auto gather = [&]() {
    s.mu.AssertReaderHeld();
    while (at < end && blocks.size() < IOV_MAX) {
      auto it = s.FindPma(at);
      if (it == s.pmas.end() || !State::Accessible(it->second, access, false)) return;
      const Pma& pma = it->second;
      uint64_t piece = std::min(end, pma.end) - at;
      if (s.IsPatched({at, at + piece})) return;
      uint64_t offset = pma.offset + (at - it->first);
      FileRange range{PageRoundDown(offset), 0};
      range.length = PageRoundDown(offset + piece + kPageMask) - range.offset;
      std::byte* memory = pma.file->At(range);
      if (memory == nullptr) {
        end = at;
        return;
      }
      if (!pma.zero) {
        pma.file->AddPageRefs(range);
        held.pages.push_back({pma.file, range});
      }
      if (pma.file != &s.memory_file) {
        if (auto vma = s.FindVma(at); vma != s.vmas.end()) held.objects.push_back(vma->second.object);
      }
      if (write && blocks.empty()) s.write_pins.fetch_add(1, std::memory_order_acq_rel);
      blocks.push_back({memory + (at - PageRoundDown(at)), piece});
      at += piece;
    }
  };
  {
    ReaderLock lock(s.mu);
    gather();
  }
  while (at < end && blocks.size() < IOV_MAX) {
    Garbage garbage;
    WriterLock lock(s.mu);
    State::FaultOptions options{.access = access, .want_end = end};
    if (!s.UndoPatches({at, end}, garbage).ok() || !s.FaultIn(at, options, garbage).ok()) break;
    gather();
  }
  if (blocks.empty()) return Errno(EFAULT);
  Result<size_t> done = io(blocks);
  if (write && s.write_pins.fetch_sub(1, std::memory_order_acq_rel) == 1) s.write_pins.notify_all();
  return done;
}

Result<void> MemoryManager::WithWord(UserAddr addr, MemoryAccess access,
                                     absl::FunctionRef<Result<void>(uint32_t*)> op) {
  if (addr.value() % sizeof(uint32_t) != 0) return Errno(EINVAL);
  State& s = *state_;
  for (;;) {
    {
      ReaderLock lock(s.mu);
      auto it = s.FindPma(addr.value());
      if (it != s.pmas.end() && State::Accessible(it->second, access, false) &&
          !s.IsPatched({addr.value(), addr.value() + sizeof(uint32_t)})) {
        const Pma& pma = it->second;
        uint64_t offset = pma.offset + (addr.value() - it->first);
        std::byte* memory = pma.file->At({PageRoundDown(offset), kPageSize});
        if (memory == nullptr) return Errno(EFAULT);
        auto* word = reinterpret_cast<uint32_t*>(memory + (offset & kPageMask));
        uint32_t probe;
        if (pma.file != &s.memory_file && !SafeLoad32(word, &probe)) return Errno(EFAULT);
        return op(word);
      }
    }
    Garbage garbage;
    WriterLock lock(s.mu);
    Span word{addr.value(), addr.value() + sizeof(uint32_t)};
    if (!s.UndoPatches(word, garbage).ok() || !s.FaultIn(word.start, {.access = access}, garbage).ok())
      return Errno(EFAULT);
  }
}

}  // namespace runsc
