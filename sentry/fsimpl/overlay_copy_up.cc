// OverlayInode: bringing a lower file to the upper layer.
#include <fcntl.h>
#include <unistd.h>

#include <memory>

#include "sentry/fsimpl/overlay_inode.h"
#include "sentry/fsimpl/overlay_layer.h"

namespace runsc {
namespace {

constexpr size_t kCopyChunk = 256 << 10;

OverlayInode& InodeOf(Dentry& dentry) { return static_cast<OverlayInode&>(*dentry.borrow_inode()); }

// Copies the data that is there; holes stay holes.
Result<void> CopyData(FileDescription& from, FileDescription& to, uint64_t size) {
  auto buffer = std::make_unique<std::byte[]>(kCopyChunk);
  uint64_t at = 0;
  while (at < size) {
    auto data = from.Seek(static_cast<int64_t>(at), SEEK_DATA);
    if (data.is(ENXIO)) break;  // nothing but a hole up to the end
    if (data.ok()) at = static_cast<uint64_t>(*data);
    auto hole = from.Seek(static_cast<int64_t>(at), SEEK_HOLE);
    uint64_t end = hole.ok() ? std::min(size, static_cast<uint64_t>(*hole)) : size;
    while (at < end) {
      IoSequence in(std::span(buffer.get(), std::min<uint64_t>(kCopyChunk, end - at)));
      ASSIGN_OR_RETURN(size_t got, from.PRead(in, at));
      if (got == 0) return Ok();  // it is shorter than it said
      IoSequence out(std::span<const std::byte>(buffer.get(), got));
      ASSIGN_OR_RETURN(size_t put, to.PWrite(out, at));
      if (put != got) return Errno(ENOSPC);
      at += got;
    }
  }
  return Ok();
}

}  // namespace

Result<void> OverlayInode::CopyUp(Dentry& dentry) {
  if (InodeOf(dentry).upper() != nullptr) return Ok();
  // From the topmost directory that is missing in the upper layer down.
  std::vector<RefPtr<Dentry>> chain;
  for (RefPtr<Dentry> at(&dentry); at && InodeOf(*at).upper() == nullptr; at = at->parent())
    chain.push_back(at);
  while (!chain.empty()) {
    Dentry& next = *chain.back();
    RefPtr<Dentry> parent = next.parent();
    if (!parent) return Errno(ESTALE);
    RETURN_IF_ERROR(InodeOf(next).CopyUpInto(InodeOf(*parent), next));
    chain.pop_back();
  }
  return Ok();
}

Result<RefPtr<Inode>> OverlayInode::MakeCopy(Inode& upper_dir, Dentry& upper_dir_dentry,
                                             const std::string& name, const InodeAttributes& attributes,
                                             bool unnamed) {
  CreateAttributes create;
  create.mode = attributes.mode;
  create.uid = attributes.uid;
  create.gid = attributes.gid;
  create.rdev = attributes.rdev;
  switch (file_type()) {
    case S_IFREG:
      return unnamed ? upper_dir.CreateUnnamed(upper_dir_dentry, create)
                     : upper_dir.Create(upper_dir_dentry, name, create);
    case S_IFDIR:
      return upper_dir.Mkdir(upper_dir_dentry, name, create);
    case S_IFLNK: {
      ASSIGN_OR_RETURN(std::string target, lower_->ReadLink(*Credentials::Root()));
      return upper_dir.Symlink(upper_dir_dentry, name, target, create);
    }
    default:
      return upper_dir.Mknod(upper_dir_dentry, name, create);
  }
}

Result<void> OverlayInode::FillCopy(Inode& copy, const InodeAttributes& attributes) {
  RefPtr<Dentry> dentry = LayerDentry(copy);
  if (IsRegular()) {
    ASSIGN_OR_RETURN(RefPtr<FileDescription> from, OpenLayer(*lower_, O_RDONLY));
    ASSIGN_OR_RETURN(RefPtr<FileDescription> to, OpenLayer(copy, O_RDWR));
    RETURN_IF_ERROR(CopyData(*from, *to, attributes.size));
    AttributeChange size;
    size.size = attributes.size;
    RETURN_IF_ERROR(copy.SetAttributes(*dentry, size));
  }
  if (IsRegular() || IsDirectory()) {
    auto names = lower_->ListXattrs();
    for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
      if (name.starts_with("system.")) continue;  // lists of the host's, which do not count here
      auto value = lower_->GetXattr(name);
      // What the upper layer cannot keep is left behind, as Linux does.
      if (value.ok() && !copy.SetXattr(*dentry, name, *value, 0).ok()) continue;
    }
  }
  AttributeChange change;
  if (!IsSymlink()) change.mode = attributes.mode & 07777;
  change.atime = TimeChange{false, attributes.atime};
  change.mtime = TimeChange{false, attributes.mtime};
  return copy.SetAttributes(*dentry, change);
}

Result<void> OverlayInode::CopyUpInto(OverlayInode& parent, Dentry& dentry) {
  MutexLock lock(copy_up_mu_);
  if (upper() != nullptr) return Ok();
  ASSIGN_OR_RETURN(InodeAttributes attributes, lower_->Attributes());
  Inode& upper_dir = *parent.upper();
  RefPtr<Dentry> upper_dir_dentry = LayerDentry(upper_dir);
  std::string name = dentry.name();
  // Its name is gone, but an open file still is to be changed.
  bool unnamed = hidden_links_.load(std::memory_order_relaxed) >= std::max(attributes.nlink, 1U);
  if (unnamed && !IsRegular()) return Errno(ENOENT);
  RefPtr<Inode> copy;
  {
    UpperDirectoryLock directory(upper_dir);
    ASSIGN_OR_RETURN(copy, MakeCopy(upper_dir, *upper_dir_dentry, name, attributes, unnamed));
  }
  // Nobody can see the new entry before it is whole: this dentry is the only way to its name.
  Result<void> filled = FillCopy(*copy, attributes);
  ASSIGN_OR_RETURN(InodeAttributes of_copy, copy->Attributes());
  if (!filled.ok()) {
    RefPtr<Dentry> copy_dentry = LayerDentry(*copy, name);
    UpperDirectoryLock directory(upper_dir);
    if (!unnamed)
      (void)(IsDirectory() ? upper_dir.Rmdir(*upper_dir_dentry, *copy_dentry)
                           : upper_dir.Unlink(*upper_dir_dentry, *copy_dentry));
    return filled;
  }
  overlay_.RecordCopy(of_copy.ino, number_, copy, !IsDirectory() && attributes.nlink > 1);
  SetUpper(std::move(copy));
  return Ok();
}

}  // namespace runsc
