#include "sentry/fsimpl/gofer_file.h"

#include <dirent.h>
#include <unistd.h>

namespace runsc {
Result<size_t> GoferRegularFile::PRead(IoSequence& to, uint64_t offset) {
  if (file_->CountRead(to.size())) {
    if (std::optional<uint64_t> size = gofer_inode_.KnownSize()) {
      if (std::optional<size_t> read = file_->ReadMapped(to, offset, *size)) return *read;
    }
  }
  auto read = file_->PRead(to, offset);
  if (!read.is(EFAULT)) return read;
  // At the end of the file the buffer is not looked at.
  ASSIGN_OR_RETURN(uint64_t size, Size());
  if (offset >= size) return size_t{0};
  return read;
}

Result<size_t> GoferRegularFile::PWrite(IoSequence& from, uint64_t offset) {
  gofer_inode_.MarkDataChanged();
  return file_->PWrite(from, offset);
}

Result<size_t> GoferRegularFile::Append(IoSequence& from, uint64_t* end) {
  if (gofer_inode_.gofer().exclusive()) return SeekableFile::Append(from, end);
  gofer_inode_.MarkDataChanged();
  ASSIGN_OR_RETURN(size_t done, file_->Append(from));
  ASSIGN_OR_RETURN(*end, Size());
  return done;
}

Result<uint64_t> GoferRegularFile::Size() {
  ASSIGN_OR_RETURN(struct stat stat, file_->Stat());
  return static_cast<uint64_t>(stat.st_size);
}

Result<int64_t> GoferRegularFile::Seek(int64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return SeekableFile::Seek(offset, whence);
  // The descriptor's own offset is used by nobody.
  off_t found = lseek(file_->host_fd(), offset, whence);
  if (found < 0) return HostErrno();
  return SeekableFile::Seek(found, SEEK_SET);
}

Result<void> GoferRegularFile::Allocate(int mode, uint64_t offset, uint64_t length) {
  gofer_inode_.MarkDataChanged();
  return file_->Allocate(mode, offset, length);
}

Result<RefPtr<MappedObject>> GoferRegularFile::ConfigureMMap(int prot, bool shared) {
  // Stores through the mapping are not seen by the Sentry.
  if (shared && writable()) gofer_inode_.MarkDataChanged();
  return RefPtr<MappedObject>(this);
}

Result<void> GoferDirectoryFile::GetDents(DirectoryEmitter& emitter) {
  MutexLock lock(mu_);
  if (!listing_) {
    ASSIGN_OR_RETURN(listing_, directory().List());
  }
  const std::vector<gofer::DirectoryEntry>& entries = listing_->entries();
  while (position_ < entries.size() + 2) {
    DirectoryEntry entry;
    entry.next_offset = position_ + 1;
    if (position_ < 2) {
      RefPtr<Dentry> at = position_ == 0 ? dentry() : dentry()->parent();
      if (!at) at = dentry();
      ASSIGN_OR_RETURN(InodeAttributes attributes, at->borrow_inode()->Attributes());
      entry.name = position_ == 0 ? "." : "..";
      entry.ino = attributes.ino;
      entry.type = DT_DIR;
    } else {
      const gofer::DirectoryEntry& found = entries[position_ - 2];
      entry.name = found.name;
      entry.ino = found.ino;
      entry.type = found.type;
    }
    if (!emitter.Emit(entry)) break;
    ++position_;
  }
  return Ok();
}

Result<int64_t> GoferDirectoryFile::Seek(int64_t offset, int whence) {
  MutexLock lock(mu_);
  if (whence == SEEK_CUR) {
    int64_t target = 0;
    if (__builtin_add_overflow(static_cast<int64_t>(position_), offset, &target)) return Errno(EINVAL);
    offset = target;
  } else if (whence != SEEK_SET) {
    return Errno(EINVAL);
  }
  if (offset < 0) return Errno(EINVAL);
  if (offset == 0) listing_.reset();
  position_ = static_cast<uint64_t>(offset);
  return offset;
}

Result<void> GoferDirectoryFile::Sync(bool data_only) {
  ASSIGN_OR_RETURN(gofer::NodeId node, directory().Node());
  RETURN_IF_ERROR(directory().gofer().Call(gofer::FSync{.node = node}));
  return Ok();
}

}  // namespace runsc
