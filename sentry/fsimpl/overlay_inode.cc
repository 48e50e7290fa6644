#include "sentry/fsimpl/overlay_inode.h"

#include <fcntl.h>

#include "sentry/fsimpl/overlay_file.h"
#include "sentry/fsimpl/overlay_layer.h"
#include "sentry/vfs/special_file.h"

namespace runsc {

OverlayInode::OverlayInode(OverlayFilesystem& filesystem, uint64_t number, RefPtr<Inode> upper,
                           RefPtr<Inode> lower)
    : Inode(filesystem, upper ? upper->file_type() : lower->file_type()),
      overlay_(filesystem),
      number_(number),
      upper_(upper.release()),
      lower_(std::move(lower)) {}

void OverlayInode::OnLastRelease() {
  overlay_.Forget(*this);
  if (Inode* inode = upper()) inode->Release();
  delete this;
}

Result<InodeAttributes> OverlayInode::Attributes() {
  Inode* in_upper = upper();
  ASSIGN_OR_RETURN(InodeAttributes attributes, (in_upper != nullptr ? in_upper : lower())->Attributes());
  attributes.ino = number_;
  attributes.device = overlay_.device();
  if (in_upper == nullptr) {
    attributes.nlink -= std::min(attributes.nlink, hidden_links_.load(std::memory_order_relaxed));
  } else if (IsDirectory() && lower() != nullptr) {
    attributes.nlink = 1;  // both trees' subdirectories; 1 means that nobody counted
  }
  return attributes;
}

Result<void> OverlayInode::SetAttributes(Dentry& dentry, const AttributeChange& change) {
  RETURN_IF_ERROR(CopyUp(dentry));
  RefPtr<Dentry> layer = LayerDentry(*upper());
  return upper()->SetAttributes(*layer, change);
}

Result<void> OverlayInode::SetXattr(Dentry& dentry, std::string_view name, std::string_view value,
                                    int flags) {
  RETURN_IF_ERROR(CopyUp(dentry));
  RefPtr<Dentry> layer = LayerDentry(*upper());
  return upper()->SetXattr(*layer, name, value, flags);
}

Result<void> OverlayInode::RemoveXattr(Dentry& dentry, std::string_view name) {
  RETURN_IF_ERROR(CopyUp(dentry));
  RefPtr<Dentry> layer = LayerDentry(*upper());
  return upper()->RemoveXattr(*layer, name);
}

Result<void> OverlayInode::SetAcl(Dentry& dentry, AclType type, PosixAcl::Ref acl,
                                  std::optional<uint32_t> mode) {
  if (!acl && !mode && upper() == nullptr) return Ok();
  RETURN_IF_ERROR(CopyUp(dentry));
  RefPtr<Dentry> layer = LayerDentry(*upper());
  return upper()->SetAcl(*layer, type, std::move(acl), mode);
}

Result<RefPtr<FileDescription>> OverlayInode::OpenLayer(Inode& inode, int flags) {
  OpenOptions options;
  options.flags = flags;
  options.creds = Credentials::Root();
  return inode.Open(VfsPath{nullptr, LayerDentry(inode)}, options);
}

Result<RefPtr<FileDescription>> OverlayInode::Open(const VfsPath& path, const OpenOptions& options) {
  if (IsDirectory()) return RefPtr<FileDescription>(MakeRef<OverlayDirectoryFile>(path, options.flags));
  if (!IsRegular()) return OpenSpecialFile(path, options);
  int access = options.flags & O_ACCMODE;
  if (access != O_RDONLY) RETURN_IF_ERROR(CopyUp(*path.dentry));
  bool from_upper = upper() != nullptr;
  ASSIGN_OR_RETURN(RefPtr<FileDescription> layer, OpenLayer(top(), access));
  return RefPtr<FileDescription>(
      MakeRef<OverlayRegularFile>(path, options.flags, *this, std::move(layer), from_upper));
}

}  // namespace runsc
