#include "sentry/fsimpl/host_backing_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "sentry/usermem/safe_copy.h"
#include "sentry/vfs/inode.h"

namespace runsc {
namespace {

constexpr uint64_t kWindowSize = 2 << 20;
// Windows cost the Sentry nothing but address space; this keeps a guest from taking all.
constexpr uint64_t kMaxWindow = uint64_t{1} << 36;

// What ReadMapped does: reads up to this size, of files up to that one, after so many.
constexpr size_t kSmallRead = 16 << 10;
constexpr uint64_t kSmallFile = 64 << 20;
constexpr uint32_t kReadsBeforeMapping = 16;

}  // namespace

HostBackingFile::~HostBackingFile() {
  for (const Window& window : windows_) munmap(window.address, window.range.length);
}

std::byte* HostBackingFile::At(FileRange range) {
  MutexLock lock(mu_);
  for (const Window& window : windows_) {
    if (range.offset >= window.range.offset && range.end() <= window.range.end())
      return window.address + (range.offset - window.range.offset);
  }
  uint64_t start = range.offset & ~(kWindowSize - 1);
  uint64_t end = (range.end() + kWindowSize - 1) & ~(kWindowSize - 1);
  if (end < start || end - start > kMaxWindow) return nullptr;
  void* address = mmap(nullptr, end - start, writable_ ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
                       fd_.get(), static_cast<off_t>(start));
  if (address == MAP_FAILED) return nullptr;
  windows_.push_back({{start, end - start}, static_cast<std::byte*>(address)});
  return windows_.back().address + (range.offset - start);
}

void HostBackingFile::AddPageRefs(FileRange range) {
  if (pages_.fetch_add(static_cast<int64_t>(range.length / kPageSize)) == 0) AddRef();
}

void HostBackingFile::ReleasePageRefs(FileRange range) {
  int64_t count = static_cast<int64_t>(range.length / kPageSize);
  if (pages_.fetch_sub(count) == count) Release();
}

Result<struct stat> HostBackingFile::Stat() const {
  struct stat stat {};
  if (HostFstat(fd_.get(), &stat) < 0) return HostErrno();
  return stat;
}

Result<Translation> HostBackingFile::Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) {
  if (access == MemoryAccess::kWrite && !writable_) return Errno(EACCES);
  ASSIGN_OR_RETURN(struct stat stat, Stat());
  uint64_t end = PageRoundUp(static_cast<uint64_t>(stat.st_size)).value_or(0);
  if (offset >= end) return Errno(ENXIO);
  Translation translation;
  translation.file = this;
  translation.range = {offset, std::min(max_length, end - offset)};
  translation.writable = writable_;
  AddPageRefs(translation.range);
  return translation;
}

Result<size_t> TransferBlocks(
    IoSequence& sequence, MemoryAccess access,
    absl::FunctionRef<ssize_t(std::span<const iovec> blocks, uint64_t done)> transfer) {
  size_t done = 0;
  while (!sequence.empty()) {
    // One call of WithBlocks makes one transfer for each of the guest's iovecs.
    size_t wanted = 0, here = 0;
    auto moved =
        sequence.WithBlocks(sequence.size(), access, [&](std::span<const iovec> blocks) -> Result<size_t> {
          for (const iovec& block : blocks) wanted += block.iov_len;
          ssize_t count = 0;
          do {
            count = transfer(blocks, done + here);
          } while (count < 0 && errno == EINTR);
          if (count < 0) return HostErrno();
          here += static_cast<size_t>(count);
          return static_cast<size_t>(count);
        });
    if (!moved.ok()) {
      if (done > 0) break;
      return moved.error();
    }
    done += *moved;
    if (*moved < wanted) break;
  }
  return done;
}

// An offset of -1 would mean the descriptor's own to preadv2(2) and pwritev2(2).
Result<size_t> HostBackingFile::PRead(IoSequence& to, uint64_t offset) {
  if (offset > static_cast<uint64_t>(INT64_MAX)) return Errno(EINVAL);
  return TransferBlocks(to, MemoryAccess::kWrite, [&](std::span<const iovec> blocks, uint64_t done) {
    return preadv2(fd_.get(), blocks.data(), static_cast<int>(blocks.size()),
                   static_cast<off_t>(offset + done), 0);
  });
}

bool HostBackingFile::CountRead(size_t length) {
  if (length > kSmallRead) return false;
  if (small_reads_.load(std::memory_order_relaxed) >= kReadsBeforeMapping) return true;
  small_reads_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

std::optional<size_t> HostBackingFile::ReadMapped(IoSequence& to, uint64_t offset, uint64_t size) {
  if (size > kSmallFile) return std::nullopt;
  if (offset >= size) return 0;
  const size_t length = std::min<uint64_t>(to.size(), size - offset);
  const std::byte* from = At({offset, length});
  if (from == nullptr) return std::nullopt;
  size_t done = 0;
  while (done < length) {
    // By way of a buffer, so that it is known which side a fault came from: the file may have been cut short.
    std::array<std::byte, kPageSize> piece;
    const size_t here = SafeCopy(piece.data(), from + done, std::min(length - done, piece.size()));
    if (here == 0) break;
    Result<size_t> moved = to.CopyOut(std::span(piece).first(here));
    if (!moved.ok()) break;
    done += *moved;
    if (*moved < here) break;
  }
  // What is wrong is for the host's own call to say.
  if (done == 0 && length > 0) return std::nullopt;
  return done;
}

Result<size_t> HostBackingFile::PWrite(IoSequence& from, uint64_t offset) {
  if (offset > static_cast<uint64_t>(INT64_MAX)) return Errno(EINVAL);
  return TransferBlocks(from, MemoryAccess::kRead, [&](std::span<const iovec> blocks, uint64_t done) {
    return pwritev2(fd_.get(), blocks.data(), static_cast<int>(blocks.size()),
                    static_cast<off_t>(offset + done), 0);
  });
}

Result<size_t> HostBackingFile::Append(IoSequence& from) {
  return TransferBlocks(from, MemoryAccess::kRead, [&](std::span<const iovec> blocks, uint64_t done) {
    return pwritev2(fd_.get(), blocks.data(), static_cast<int>(blocks.size()), 0, RWF_APPEND);
  });
}

Result<void> HostBackingFile::Sync(bool data_only) {
  if ((data_only ? fdatasync(fd_.get()) : fsync(fd_.get())) < 0) return HostErrno();
  return Ok();
}

Result<void> HostBackingFile::Allocate(int mode, uint64_t offset, uint64_t length) {
  // The filter of the Sentry knows these only.
  if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) != 0) return Errno(EOPNOTSUPP);
  while (fallocate(fd_.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) < 0) {
    if (errno != EINTR) return HostErrno();
  }
  return Ok();
}

void CopyHostAttributes(const struct stat& from, InodeAttributes* to) {
  to->mode = from.st_mode;
  to->nlink = static_cast<uint32_t>(from.st_nlink);
  to->uid = from.st_uid;
  to->gid = from.st_gid;
  to->rdev = from.st_rdev;
  to->size = static_cast<uint64_t>(from.st_size);
  to->blocks = static_cast<uint64_t>(from.st_blocks);
  to->block_size = static_cast<uint32_t>(from.st_blksize);
  to->atime = from.st_atim;
  to->mtime = from.st_mtim;
  to->ctime = from.st_ctim;
}

}  // namespace runsc
