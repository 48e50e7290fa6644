#include <algorithm>
#include <cstring>

#include "sentry/fsimpl/tmpfs_inode.h"

namespace runsc {

namespace {

constexpr uint64_t kMaxFileSize = INT64_MAX & ~kPageMask;
constexpr uint64_t kMaxChunk = 1 << 20;
constexpr uint64_t kMaxReserve = 1 << 20;
constexpr uint64_t kFaultAround = 16 * kPageSize;
constexpr uint32_t kSealExec = 0x20;  // F_SEAL_EXEC

}  // namespace

TmpfsRegular::~TmpfsRegular() {
  RemovePages(0, UINT64_MAX);
  ReleaseReserve();
}

void TmpfsRegular::ReleaseReserve() {
  FileRange reserve;
  {
    MutexLock lock(data_mu_);
    reserve = std::exchange(reserve_, FileRange());
  }
  if (reserve.length != 0) tmpfs().memory_file().ReleasePageRefs(reserve);
}

// --- the page index ---

absl::btree_map<uint64_t, FileRange>::iterator TmpfsRegular::FindExtentLocked(uint64_t offset) {
  auto it = extents_.upper_bound(offset);
  if (it == extents_.begin()) return extents_.end();
  --it;
  return offset - it->first < it->second.length ? it : extents_.end();
}

uint64_t TmpfsRegular::HoleLengthLocked(uint64_t offset) const {
  auto it = extents_.upper_bound(offset);
  return it == extents_.end() ? UINT64_MAX : it->first - offset;
}

void TmpfsRegular::InsertExtentLocked(uint64_t offset, FileRange range) {
  auto next = extents_.upper_bound(offset);
  if (next != extents_.end() && next->first == offset + range.length && next->second.offset == range.end()) {
    range.length += next->second.length;
    next = extents_.erase(next);
  }
  if (next != extents_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second.length == offset && previous->second.end() == range.offset) {
      previous->second.length += range.length;
      return;
    }
  }
  extents_.emplace(offset, range);
}

Result<FileRange> TmpfsRegular::FillHoleLocked(uint64_t offset, uint64_t length) {
  MemoryFile& memory = tmpfs().memory_file();
  if (reserve_.length == 0) {
    // Memory is set aside as the file grows, so that it lies together for mappings.
    uint64_t ahead = PageRoundDown(std::min(allocated_.load(std::memory_order_relaxed), kMaxReserve));
    Result<FileRange> made = memory.Allocate(std::max(length, ahead), MemoryFile::Use::kWhole);
    if (!made.ok() && ahead > length) made = memory.Allocate(length, MemoryFile::Use::kWhole);
    if (!made.ok()) return made.error();
    reserve_ = *made;
  }
  FileRange range{reserve_.offset, std::min(reserve_.length, length)};
  if (!tmpfs().ChargeBytes(range.length)) {
    // As much as there is room for; one page at least is asked for.
    range.length = kPageSize;
    if (!tmpfs().ChargeBytes(kPageSize)) return Errno(ENOSPC);
  }
  reserve_.offset += range.length;
  reserve_.length -= range.length;
  allocated_.fetch_add(range.length, std::memory_order_relaxed);
  InsertExtentLocked(offset, range);
  return range;
}

TmpfsRegular::Chunk TmpfsRegular::FindChunk(uint64_t offset, uint64_t length) {
  MutexLock lock(data_mu_);
  auto it = FindExtentLocked(offset);
  if (it == extents_.end()) return Chunk{nullptr, std::min(length, HoleLengthLocked(offset))};
  uint64_t skip = offset - it->first;
  uint64_t part = std::min(length, it->second.length - skip);
  // Mapped by whole pages; the pointer is to the byte.
  return Chunk{tmpfs().memory_file().At(it->second) + skip, part};
}

Result<TmpfsRegular::Chunk> TmpfsRegular::MakeChunk(uint64_t offset, uint64_t length) {
  {
    MutexLock lock(data_mu_);
    if (FindExtentLocked(offset) == extents_.end()) {
      uint64_t page = PageRoundDown(offset);
      uint64_t end = PageRoundDown(offset + std::min(length, kMaxChunk) + kPageMask);
      RETURN_IF_ERROR(FillHoleLocked(page, std::min(end - page, HoleLengthLocked(page))));
    }
  }
  return FindChunk(offset, length);
}

void TmpfsRegular::RemovePages(uint64_t start, uint64_t end) {
  std::vector<FileRange> removed;
  uint64_t bytes = 0;
  {
    MutexLock lock(data_mu_);
    auto it = FindExtentLocked(start);
    if (it == extents_.end()) it = extents_.lower_bound(start);
    while (it != extents_.end() && it->first < end) {
      uint64_t offset = it->first;
      FileRange range = it->second;
      it = extents_.erase(it);
      uint64_t cut_start = std::max(offset, start), cut_end = std::min(offset + range.length, end);
      if (offset < cut_start) extents_.emplace(offset, FileRange{range.offset, cut_start - offset});
      if (cut_end < offset + range.length) {
        extents_.emplace(cut_end,
                         FileRange{range.offset + (cut_end - offset), offset + range.length - cut_end});
      }
      removed.push_back(FileRange{range.offset + (cut_start - offset), cut_end - cut_start});
      bytes += cut_end - cut_start;
      it = extents_.lower_bound(cut_end);
    }
    allocated_.fetch_sub(bytes, std::memory_order_relaxed);
  }
  for (FileRange range : removed) tmpfs().memory_file().ReleasePageRefs(range);
  tmpfs().UnchargeBytes(bytes);
}

void TmpfsRegular::ZeroPart(uint64_t start, uint64_t end) {
  while (start < end) {
    Chunk chunk = FindChunk(start, end - start);
    if (chunk.data != nullptr) std::memset(chunk.data, 0, chunk.length);
    start += chunk.length;
  }
}

// --- data ---

Result<size_t> TmpfsRegular::Read(IoSequence& to, uint64_t offset) {
  size_t done = 0;
  {
    ReaderLock lock(io_mu_);
    uint64_t size = this->size();
    if (offset >= size) return 0;
    uint64_t left = std::min<uint64_t>(to.size(), size - offset);
    while (left > 0) {
      Chunk chunk = FindChunk(offset, left);
      Result<size_t> moved =
          chunk.data != nullptr ? to.CopyOut(std::span(chunk.data, chunk.length)) : to.ZeroOut(chunk.length);
      if (!moved.ok()) {
        if (done > 0) break;
        return moved.error();
      }
      done += *moved;
      offset += *moved;
      left -= *moved;
      if (*moved < chunk.length) break;
    }
  }
  return done;
}

Result<size_t> TmpfsRegular::Write(IoSequence& from, uint64_t* offset, bool append) {
  if (from.empty()) return 0;
  size_t done = 0;
  {
    WriterLock lock(io_mu_);
    uint64_t size = this->size();
    if (append) *offset = size;
    if (*offset >= kMaxFileSize) return Errno(EFBIG);
    uint64_t left = std::min<uint64_t>(from.size(), kMaxFileSize - *offset);
    uint32_t sealed = seals();
    if ((sealed & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0) return Errno(EPERM);
    if ((sealed & F_SEAL_GROW) != 0 && *offset + left > size) {
      // Whole pages inside the file still go.
      if (*offset >= PageRoundDown(size)) return Errno(EPERM);
      left = PageRoundDown(size) - *offset;
    }
    Errno error(0);
    while (left > 0) {
      uint64_t at = *offset + done;
      Result<Chunk> chunk = MakeChunk(at, left);
      if (!chunk.ok()) {
        error = chunk.error();
        break;
      }
      Result<size_t> moved = from.CopyIn(std::span(chunk->data, chunk->length));
      if (!moved.ok()) {
        error = moved.error();
        break;
      }
      done += *moved;
      left -= *moved;
      if (*moved < chunk->length) break;
    }
    if (done == 0) return error == 0 ? Errno(EFAULT) : error;
    if (*offset + done > size) size_.store(*offset + done, std::memory_order_release);
  }
  TouchModified();
  return done;
}

Result<void> TmpfsRegular::Resize(uint64_t new_size) {
  uint64_t old_size = size();
  if (new_size > kMaxFileSize) return Errno(EFBIG);
  if (new_size > old_size && (seals() & F_SEAL_GROW) != 0) return Errno(EPERM);
  if (new_size < old_size && (seals() & F_SEAL_SHRINK) != 0) return Errno(EPERM);
  size_.store(new_size, std::memory_order_release);
  if (new_size >= old_size) return Ok();
  uint64_t kept = PageRoundDown(new_size + kPageMask);
  ZeroPart(new_size, kept);
  RemovePages(kept, UINT64_MAX);
  InvalidateMappings(kept, UINT64_MAX, true);
  return Ok();
}

Result<void> TmpfsRegular::SetSize(uint64_t size) {
  ReleaseReserve();
  WriterLock lock(io_mu_);
  return Resize(size);
}

void TmpfsRegular::Punch(uint64_t start, uint64_t end) {
  uint64_t first = PageRoundDown(start + kPageMask), last = PageRoundDown(end);
  if (first > last) {  // inside one page
    ZeroPart(start, end);
    return;
  }
  ZeroPart(start, first);
  ZeroPart(last, end);
  if (first == last) return;
  RemovePages(first, last);
  InvalidateMappings(first, last, false);
}

Result<void> TmpfsRegular::Allocate(int mode, uint64_t offset, uint64_t length) {
  if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) != 0) return Errno(EOPNOTSUPP);
  uint64_t end = 0;
  if (__builtin_add_overflow(offset, length, &end) || end > kMaxFileSize) return Errno(EFBIG);
  WriterLock lock(io_mu_);
  if ((mode & FALLOC_FL_PUNCH_HOLE) != 0) {
    if ((seals() & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0) return Errno(EPERM);
    Punch(offset, end);
  } else {
    bool grows = (mode & FALLOC_FL_KEEP_SIZE) == 0 && end > size();
    if (grows && (seals() & F_SEAL_GROW) != 0) return Errno(EPERM);
    uint64_t at = PageRoundDown(offset), last = PageRoundDown(end + kPageMask);
    while (at < last) {
      MutexLock data_lock(data_mu_);
      auto it = FindExtentLocked(at);
      if (it != extents_.end()) {
        at = it->first + it->second.length;
        continue;
      }
      ASSIGN_OR_RETURN(FileRange made, FillHoleLocked(at, std::min(last - at, HoleLengthLocked(at))));
      at += made.length;
    }
    if (grows) size_.store(end, std::memory_order_release);
  }
  TouchModified();
  return Ok();
}

Result<uint64_t> TmpfsRegular::SeekExtent(uint64_t offset, bool data) {
  ReaderLock io_lock(io_mu_);
  uint64_t size = this->size();
  if (offset >= size) return Errno(ENXIO);
  MutexLock lock(data_mu_);
  auto it = FindExtentLocked(offset);
  if (data) {
    if (it != extents_.end()) return offset;
    it = extents_.upper_bound(offset);
    if (it == extents_.end() || it->first >= size) return Errno(ENXIO);
    return it->first;
  }
  while (it != extents_.end() && offset < size) {
    offset = it->first + it->second.length;
    it = FindExtentLocked(offset);
  }
  return std::min(offset, size);
}

// --- seals ---

Result<void> TmpfsRegular::AddSeals(uint32_t added) {
  constexpr uint32_t kKnown =
      F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | kSealExec;
  if ((added & ~kKnown) != 0) return Errno(EINVAL);
  WriterLock io_lock(io_mu_);
  MutexLock lock(data_mu_);
  uint32_t old = seals();
  if ((old & F_SEAL_SEAL) != 0) return Errno(EPERM);
  // What stays executable must not change either (Linux: memfd_add_seals()).
  if ((added & kSealExec) != 0 && (permissions() & 0111) != 0)
    added |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
  if ((added & F_SEAL_WRITE) != 0 && (old & F_SEAL_WRITE) == 0) {
    if (mappings_.has_writable()) return Errno(EBUSY);
  }
  seals_.store(old | added, std::memory_order_release);
  return Ok();
}

Result<void> TmpfsRegular::CheckModeChange(uint32_t mode) {
  bool changes_exec = ((mode ^ permissions()) & 0111) != 0;
  return changes_exec && (seals() & kSealExec) != 0 ? Result<void>(Errno(EPERM)) : Ok();
}

// --- mappings ---

Result<Translation> TmpfsRegular::Translate(uint64_t offset, uint64_t max_length, MemoryAccess access) {
  MutexLock lock(data_mu_);
  uint64_t end = PageRoundDown(size() + kPageMask);
  if (offset >= end) return Errno(ENXIO);
  bool sealed = (seals() & F_SEAL_WRITE) != 0;
  if (sealed && access == MemoryAccess::kWrite) return Errno(EPERM);
  auto it = FindExtentLocked(offset);
  if (it == extents_.end()) {
    uint64_t hole = std::min({HoleLengthLocked(offset), max_length, end - offset, kFaultAround});
    Result<FileRange> made = FillHoleLocked(offset, std::max(PageRoundDown(hole), kPageSize));
    if (!made.ok()) return Errno(made.is(ENOSPC) ? ENXIO : ENOMEM);
    it = FindExtentLocked(offset);
  }
  uint64_t skip = offset - it->first;
  uint64_t length = std::min({it->second.length - skip, std::max(max_length, kPageSize), end - offset});
  Translation translation{&tmpfs().memory_file(), FileRange{it->second.offset + skip, length}, !sealed};
  tmpfs().memory_file().AddPageRefs(translation.range);
  return translation;
}

void TmpfsRegular::AddMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {
  MutexLock lock(data_mu_);
  mappings_.Add(owner, range, offset, writable);
}

void TmpfsRegular::RemoveMapping(MappingOwner& owner, UserRange range, uint64_t offset, bool writable) {
  MutexLock lock(data_mu_);
  mappings_.Remove(owner, range, offset, writable);
}

void TmpfsRegular::InvalidateMappings(uint64_t start, uint64_t end, bool also_private) {
  MappingSet::Targets targets;
  {
    MutexLock lock(data_mu_);
    if (mappings_.empty()) return;
    targets = mappings_.Find(start, end == UINT64_MAX ? UINT64_MAX : end - start);
  }
  targets.Invalidate(also_private);
}

Result<void> TmpfsRegular::PunchHole(uint64_t offset, uint64_t length) {
  return Allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
}

// --- the open file ---

Result<RefPtr<FileDescription>> TmpfsRegular::Open(const VfsPath& path, const OpenOptions& options) {
  return RefPtr<FileDescription>(MakeRef<TmpfsFile>(path, options.flags));
}

TmpfsFile::~TmpfsFile() {
  if (writable()) file_.ReleaseReserve();
}

Result<size_t> TmpfsFile::PRead(IoSequence& to, uint64_t offset) {
  ASSIGN_OR_RETURN(size_t done, file_.Read(to, offset));
  file_.TouchAccessed(atime_update());
  return done;
}
Result<size_t> TmpfsFile::PWrite(IoSequence& from, uint64_t offset) {
  return file_.Write(from, &offset, false);
}

Result<size_t> TmpfsFile::Append(IoSequence& from, uint64_t* end) {
  uint64_t offset = 0;
  ASSIGN_OR_RETURN(size_t done, file_.Write(from, &offset, true));
  *end = offset + done;
  return done;
}

Result<int64_t> TmpfsFile::Seek(int64_t offset, int whence) {
  if (whence == SEEK_DATA || whence == SEEK_HOLE) {
    if (offset < 0) return Errno(ENXIO);
    ASSIGN_OR_RETURN(uint64_t found, file_.SeekExtent(static_cast<uint64_t>(offset), whence == SEEK_DATA));
    offset = static_cast<int64_t>(found);
    whence = SEEK_SET;
  }
  return SeekableFile::Seek(offset, whence);
}

Result<void> TmpfsFile::Allocate(int mode, uint64_t offset, uint64_t length) {
  return file_.Allocate(mode, offset, length);
}

Result<int64_t> TmpfsFile::FileCommand(int command, uint64_t argument) {
  if (command == F_GET_SEALS) return static_cast<int64_t>(file_.seals());
  if (command != F_ADD_SEALS) return Errno(EINVAL);
  if (!writable()) return Errno(EPERM);
  RETURN_IF_ERROR(file_.AddSeals(static_cast<uint32_t>(argument)));
  return 0;
}

Result<RefPtr<MappedObject>> TmpfsFile::ConfigureMMap(int prot, bool shared) {
  constexpr int kProtWrite = 2;
  bool sealed = (file_.seals() & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0;
  if (sealed && shared && (prot & kProtWrite) != 0) return Errno(EPERM);
  return RefPtr<MappedObject>(this);
}

}  // namespace runsc
