#include "sentry/vfs/file_description.h"

#include <algorithm>

#include "sentry/vfs/file_locks.h"
#include "sentry/vfs/inotify.h"

namespace runsc {

namespace {

// O_RDONLY|O_WRONLY (3) is the historic "neither": only ioctl works.
bool ModeReads(int flags) {
  int mode = flags & O_ACCMODE;
  return (flags & O_PATH) == 0 && (mode == O_RDONLY || mode == O_RDWR);
}
bool ModeWrites(int flags) {
  int mode = flags & O_ACCMODE;
  return (flags & O_PATH) == 0 && (mode == O_WRONLY || mode == O_RDWR);
}

constexpr int kSettableFlags = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;

}  // namespace

FileDescription::FileDescription(VfsPath path, int flags)
    : path_(std::move(path)),
      inode_(path_.dentry->inode()),
      flags_(flags & ~(O_CLOEXEC | O_NOCTTY)),
      readable_(ModeReads(flags)),
      writable_(ModeWrites(flags)) {
  CHECK(inode_);
  if (inode_->IsRegular() && (readable_ || writable_)) CountOpen(1);
}

FileDescription::~FileDescription() {
  if (denies_writing_.load()) inode_->locks().AllowWriting();
  if (inode_->IsRegular() && (readable_ || writable_)) CountOpen(-1);
}

void FileDescription::CountOpen(int change) {
  inode_->locks().CountOpen(writable_, change);
  if (writable_ && path_.mount) path_.mount->CountWriter(change);
}

FileDescription::AtimeUpdate FileDescription::atime_update() const {
  if ((flags() & O_NOATIME) != 0) return AtimeUpdate::kNever;
  if (!path_.mount) return AtimeUpdate::kRelative;  // a layer's file, opened by an overlay
  const uint64_t flags = path_.mount->flags();
  if (path_.mount->read_only() || (flags & MS_NOATIME) != 0) return AtimeUpdate::kNever;
  if ((flags & MS_NODIRATIME) != 0 && inode_->IsDirectory()) return AtimeUpdate::kNever;
  return (flags & MS_RELATIME) != 0 ? AtimeUpdate::kRelative : AtimeUpdate::kAlways;
}

Result<void> FileDescription::DenyWriting() {
  if (denies_writing_.load()) return Ok();
  if (!inode_->locks().DenyWriting()) return Errno(ETXTBSY);
  denies_writing_.store(true);
  return Ok();
}

Result<void> FileDescription::SetStatusFlags(int flags) {
  int old = flags_.load(std::memory_order_relaxed);
  while (!flags_.compare_exchange_weak(old, (old & ~kSettableFlags) | (flags & kSettableFlags),
                                       std::memory_order_relaxed)) {
  }
  return Ok();
}

std::string FileDescription::Name() const {
  return path_.dentry->name() + (path_.dentry->IsDeleted() ? " (deleted)" : "");
}

uint64_t FileDescription::device() const {
  Result<InodeAttributes> attributes = inode_->Attributes();
  return attributes.ok() ? attributes->device : inode_->filesystem().device();
}

uint64_t FileDescription::inode_number() const {
  Result<InodeAttributes> attributes = inode_->Attributes();
  return attributes.ok() ? attributes->ino : 0;
}

void FileDescription::AddReleaseListener(RefPtr<FileReleaseListener> listener) {
  MutexLock lock(listeners_mu_);
  listeners_.push_back(std::move(listener));
}

std::vector<RefPtr<FileReleaseListener>> FileDescription::ReleaseListeners() {
  MutexLock lock(listeners_mu_);
  return listeners_;
}

bool FileDescription::HasReleaseListeners() {
  MutexLock lock(listeners_mu_);
  return !listeners_.empty();
}

void FileDescription::RemoveReleaseListener(FileReleaseListener& listener) {
  RefPtr<FileReleaseListener> removed;  // dropped after the lock
  MutexLock lock(listeners_mu_);
  auto place = std::find(listeners_.begin(), listeners_.end(), &listener);
  if (place == listeners_.end()) return;
  std::swap(removed, *place);
  listeners_.erase(place);
}

void FileDescription::OnLastRelease() {
  for (;;) {
    RefPtr<FileReleaseListener> listener;
    {
      MutexLock lock(listeners_mu_);
      if (listeners_.empty()) break;
      listener = std::move(listeners_.back());
      listeners_.pop_back();
    }
    listener->OnFileReleased(*this);
  }
  if (FileLocks* locks = inode_->locks_if_any()) locks->ReleaseOwner(lock_owner());
  if (!IsPathOnly()) InotifyNotify(*path_.dentry, writable_ ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
  delete this;
}

}  // namespace runsc
