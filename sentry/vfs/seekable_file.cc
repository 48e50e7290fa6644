#include "sentry/vfs/file_description.h"

namespace runsc {

Result<size_t> SeekableFile::Read(IoSequence& to) {
  MutexLock lock(offset_mu_);
  ASSIGN_OR_RETURN(size_t done, PRead(to, offset_));
  offset_ += done;
  return done;
}

Result<size_t> SeekableFile::Write(IoSequence& from) {
  MutexLock lock(offset_mu_);
  if ((flags() & O_APPEND) != 0) {
    uint64_t end = offset_;
    ASSIGN_OR_RETURN(size_t done, Append(from, &end));
    offset_ = end;
    return done;
  }
  ASSIGN_OR_RETURN(size_t done, PWrite(from, offset_));
  offset_ += done;
  return done;
}

Result<int64_t> SeekableFile::Seek(int64_t offset, int whence) {
  MutexLock lock(offset_mu_);
  int64_t base = 0;
  switch (whence) {
    case SEEK_SET:
      break;
    case SEEK_CUR:
      base = static_cast<int64_t>(offset_);
      break;
    case SEEK_END:
    case SEEK_DATA:
    case SEEK_HOLE: {
      ASSIGN_OR_RETURN(uint64_t size, Size());
      base = static_cast<int64_t>(size);
      break;
    }
    default:
      return Errno(EINVAL);
  }
  if (whence == SEEK_DATA || whence == SEEK_HOLE) {
    // A file that knows no holes is all data, and a hole is at its end.
    if (offset < 0 || offset >= base) return Errno(ENXIO);
    if (whence == SEEK_HOLE) offset = base;
    base = 0;
  }
  int64_t target = 0;
  if (__builtin_add_overflow(base, offset, &target)) return Errno(EINVAL);
  if (target < 0 || static_cast<uint64_t>(target) > max_offset()) return Errno(EINVAL);
  offset_ = static_cast<uint64_t>(target);
  return target;
}

Result<uint64_t> SeekableFile::Size() {
  ASSIGN_OR_RETURN(InodeAttributes attributes, Attributes());
  return attributes.size;
}

Result<size_t> SeekableFile::Append(IoSequence& from, uint64_t* end) {
  RefPtr<Inode> file = inode();
  MutexLock lock(file->write_lock());
  ASSIGN_OR_RETURN(uint64_t size, Size());
  ASSIGN_OR_RETURN(size_t done, PWrite(from, size));
  *end = size + done;
  return done;
}

}  // namespace runsc
