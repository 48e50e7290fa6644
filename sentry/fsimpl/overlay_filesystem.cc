#include "sentry/fsimpl/overlay_filesystem.h"

#include "sentry/fsimpl/overlay_inode.h"

namespace runsc {
namespace {
// Keeps the numbers of files that were made in the upper layer apart from the lower's.
constexpr uint64_t kUpperNumbers = uint64_t{1} << 44;
constexpr uint64_t kOverlayMagic = 0x794c7630;
}  // namespace

Result<NewFilesystem> OverlayFilesystem::Make(NewFilesystem lower, NewFilesystem upper) {
  RefPtr<Inode> lower_root = lower.root->inode();
  RefPtr<Inode> upper_root = upper.root->inode();
  if (!lower_root->IsDirectory() || !upper_root->IsDirectory()) return Errno(ENOTDIR);
  ASSIGN_OR_RETURN(InodeAttributes attributes, lower_root->Attributes());
  AttributeChange change;
  change.mode = attributes.mode & 07777;
  change.uid = attributes.uid;
  change.gid = attributes.gid;
  RETURN_IF_ERROR(upper_root->SetAttributes(*upper.root, change));
  ASSIGN_OR_RETURN(InodeAttributes of_upper, upper_root->Attributes());

  auto filesystem = RefPtr<OverlayFilesystem>::Adopt(
      new OverlayFilesystem(std::move(lower.filesystem), std::move(upper.filesystem)));
  filesystem->RecordCopy(of_upper.ino, attributes.ino, upper_root, /*linked=*/false);
  ASSIGN_OR_RETURN(RefPtr<OverlayInode> root, filesystem->InodeFor(upper_root, lower_root));
  NewFilesystem made;
  made.root = MakeRef<Dentry>(*filesystem, std::move(root), "");
  made.filesystem = std::move(filesystem);
  return made;
}

Result<FilesystemStats> OverlayFilesystem::Stats() {
  ASSIGN_OR_RETURN(FilesystemStats stats, upper_->Stats());
  stats.type = kOverlayMagic;
  return stats;
}

Result<RefPtr<OverlayInode>> OverlayFilesystem::InodeFor(RefPtr<Inode> upper, RefPtr<Inode> lower) {
  uint64_t number = 0;
  if (upper) {
    ASSIGN_OR_RETURN(InodeAttributes attributes, upper->Attributes());
    number = NumberOfUpper(attributes.ino);
  } else {
    ASSIGN_OR_RETURN(InodeAttributes attributes, lower->Attributes());
    number = attributes.ino;
  }
  MutexLock lock(mu_);
  OverlayInode*& slot = inodes_[number];
  RefPtr<OverlayInode> inode = RefPtr<OverlayInode>::TryFrom(slot);
  if (inode) return inode;
  if (!upper) {
    // Another name of it was copied up.
    auto copy = linked_copies_.find(number);
    if (copy != linked_copies_.end()) upper = copy->second;
  }
  inode = MakeRef<OverlayInode>(*this, number, std::move(upper), std::move(lower));
  slot = inode.get();
  return inode;
}

void OverlayFilesystem::Forget(OverlayInode& inode) {
  MutexLock lock(mu_);
  auto it = inodes_.find(inode.number());
  if (it != inodes_.end() && it->second == &inode) inodes_.erase(it);
}

uint64_t OverlayFilesystem::NumberOfUpper(uint64_t upper_ino) {
  MutexLock lock(mu_);
  auto it = origins_.find(upper_ino);
  return it != origins_.end() ? it->second : kUpperNumbers | upper_ino;
}

void OverlayFilesystem::RecordCopy(uint64_t upper_ino, uint64_t number, RefPtr<Inode> upper, bool linked) {
  MutexLock lock(mu_);
  origins_[upper_ino] = number;
  if (linked) linked_copies_[number] = std::move(upper);
}

void OverlayFilesystem::MarkOpaque(uint64_t upper_ino) {
  MutexLock lock(mu_);
  opaque_.insert(upper_ino);
}

bool OverlayFilesystem::IsOpaque(uint64_t upper_ino) {
  MutexLock lock(mu_);
  return opaque_.contains(upper_ino);
}

}  // namespace runsc
