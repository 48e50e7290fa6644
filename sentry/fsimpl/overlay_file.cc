#include "sentry/fsimpl/overlay_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

namespace runsc {

OverlayRegularFile::OverlayRegularFile(const VfsPath& path, int flags, OverlayInode& inode,
                                       RefPtr<FileDescription> layer, bool from_upper)
    : SeekableFile(path, flags), overlay_inode_(inode), first_(std::move(layer)) {
  if (from_upper) first_->AddRef();
  upper_ = from_upper ? first_.get() : nullptr;
}

OverlayRegularFile::~OverlayRegularFile() {
  if (FileDescription* file = upper_.load(std::memory_order_acquire)) file->Release();
}

Result<FileDescription*> OverlayRegularFile::Layer() {
  FileDescription* file = upper_.load(std::memory_order_acquire);
  if (file != nullptr) return file;
  Inode* inode = overlay_inode_.upper();
  if (inode == nullptr) return first_.get();
  ASSIGN_OR_RETURN(RefPtr<FileDescription> opened, OverlayInode::OpenLayer(*inode, O_RDONLY));
  if (upper_.compare_exchange_strong(file, opened.get(), std::memory_order_acq_rel)) return opened.release();
  return file;
}

Result<size_t> OverlayRegularFile::PRead(IoSequence& to, uint64_t offset) {
  ASSIGN_OR_RETURN(FileDescription * layer, Layer());
  return layer->PRead(to, offset);
}

Result<size_t> OverlayRegularFile::PWrite(IoSequence& from, uint64_t offset) {
  ASSIGN_OR_RETURN(FileDescription * layer, Layer());
  return layer->PWrite(from, offset);
}

Result<int64_t> OverlayRegularFile::Seek(int64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return SeekableFile::Seek(offset, whence);
  // The layer's file has an offset that nobody else uses.
  ASSIGN_OR_RETURN(FileDescription * layer, Layer());
  ASSIGN_OR_RETURN(int64_t found, layer->Seek(offset, whence));
  return SeekableFile::Seek(found, SEEK_SET);
}

Result<void> OverlayRegularFile::Sync(bool data_only) {
  ASSIGN_OR_RETURN(FileDescription * layer, Layer());
  return layer->Sync(data_only);
}

Result<void> OverlayRegularFile::Allocate(int mode, uint64_t offset, uint64_t length) {
  ASSIGN_OR_RETURN(FileDescription * layer, Layer());
  return layer->Allocate(mode, offset, length);
}

Result<RefPtr<MappedObject>> OverlayRegularFile::ConfigureMMap(int prot, bool shared) {
  ASSIGN_OR_RETURN(FileDescription * layer, Layer());
  RETURN_IF_ERROR(layer->ConfigureMMap(prot, shared));
  // Mappings are added to and removed from one object only.
  FileDescription* none = nullptr;
  mapped_.compare_exchange_strong(none, layer, std::memory_order_acq_rel);
  return RefPtr<MappedObject>(this);
}

Mappable& OverlayRegularFile::mappable() {
  FileDescription* layer = mapped_.load(std::memory_order_acquire);
  return (layer != nullptr ? layer : first_.get())->mappable();
}

Result<void> OverlayDirectoryFile::GetDents(DirectoryEmitter& emitter) {
  if (dentry()->IsDeleted()) return Errno(ENOENT);
  MutexLock lock(mu_);
  if (!filled_) {
    ASSIGN_OR_RETURN(entries_, static_cast<OverlayInode&>(*dentry()->borrow_inode()).List());
    filled_ = true;
  }
  while (position_ < entries_.size() + 2) {
    DirectoryEntry entry;
    entry.next_offset = position_ + 1;
    if (position_ < 2) {
      RefPtr<Dentry> at = position_ == 0 ? dentry() : dentry()->parent();
      if (!at) at = dentry();
      entry.name = position_ == 0 ? "." : "..";
      entry.ino = static_cast<OverlayInode&>(*at->borrow_inode()).number();
      entry.type = DT_DIR;
    } else {
      const OverlayInode::Entry& found = entries_[position_ - 2];
      entry.name = found.name;
      entry.ino = found.number;
      entry.type = found.type;
    }
    if (!emitter.Emit(entry)) break;
    ++position_;
  }
  return Ok();
}

Result<int64_t> OverlayDirectoryFile::Seek(int64_t offset, int whence) {
  MutexLock lock(mu_);
  if (whence == SEEK_CUR) {
    int64_t target = 0;
    if (__builtin_add_overflow(static_cast<int64_t>(position_), offset, &target)) return Errno(EINVAL);
    offset = target;
  } else if (whence != SEEK_SET) {
    return Errno(EINVAL);
  }
  if (offset < 0) return Errno(EINVAL);
  if (offset == 0) filled_ = false;
  position_ = static_cast<uint64_t>(offset);
  return offset;
}

}  // namespace runsc
