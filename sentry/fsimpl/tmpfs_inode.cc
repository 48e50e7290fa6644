#include "sentry/fsimpl/tmpfs_inode.h"

#include <sys/xattr.h>

#include "sentry/time/clock.h"
#include "sentry/vfs/special_file.h"

namespace runsc {

namespace {

constexpr size_t kMaxXattrBytes = 128 << 10;  // of one inode

}  // namespace

TmpfsInode::TmpfsInode(TmpfsFilesystem& filesystem, const CreateAttributes& attributes)
    : Inode(filesystem, attributes.mode & S_IFMT),
      ino_(filesystem.NextInodeNumber()),
      rdev_(attributes.rdev),
      mode_(attributes.mode),
      uid_(attributes.uid),
      gid_(attributes.gid),
      nlink_(IsDirectory() ? 2 : 1),
      atime_(RealtimeNow()),
      mtime_(atime_),
      ctime_(atime_),
      btime_(atime_),
      has_acl_(attributes.access_acl || attributes.default_acl),
      access_acl_(attributes.access_acl),
      default_acl_(attributes.default_acl) {}

TmpfsInode::~TmpfsInode() { tmpfs().UnchargeInode(); }

Result<InodeAttributes> TmpfsInode::Attributes() {
  InodeAttributes attributes;
  attributes.mode = mode_.load(std::memory_order_relaxed);
  attributes.uid = uid_.load(std::memory_order_relaxed);
  attributes.gid = gid_.load(std::memory_order_relaxed);
  attributes.ino = ino_;
  attributes.device = filesystem().device();
  attributes.rdev = rdev_;
  attributes.size = Size();
  attributes.blocks = AllocatedBytes() / 512;
  attributes.btime = btime_;
  attributes.has_btime = true;
  MutexLock lock(attr_mu_);
  attributes.nlink = nlink_;
  attributes.atime = atime_;
  attributes.mtime = mtime_;
  attributes.ctime = ctime_;
  return attributes;
}

Result<void> TmpfsInode::SetAttributes(Dentry& dentry, const AttributeChange& change) {
  if (change.mode) RETURN_IF_ERROR(CheckModeChange(*change.mode));
  if (change.size) RETURN_IF_ERROR(SetSize(*change.size));
  MutexLock lock(attr_mu_);
  if (change.mode) {
    uint32_t mode = mode_.load(std::memory_order_relaxed);
    mode_.store((mode & S_IFMT) | (*change.mode & 07777), std::memory_order_relaxed);
    if (access_acl_) access_acl_ = access_acl_->WithMode(*change.mode);
  }
  if (change.uid) uid_.store(*change.uid, std::memory_order_relaxed);
  if (change.gid) gid_.store(*change.gid, std::memory_order_relaxed);
  ctime_ = RealtimeNow();
  if (change.size) mtime_ = ctime_;
  if (change.atime) atime_ = change.atime->now ? ctime_ : change.atime->value;
  if (change.mtime) mtime_ = change.mtime->now ? ctime_ : change.mtime->value;
  atime_behind_.store(true, std::memory_order_relaxed);
  return Ok();
}

Result<void> TmpfsInode::CheckAccess(const Credentials& creds, int mask) {
  PosixAcl::Ref acl;
  if (has_acl_.load(std::memory_order_acquire)) {
    MutexLock lock(attr_mu_);
    acl = access_acl_;
  }
  return CheckAcl(creds, acl.get(), mode_.load(std::memory_order_relaxed),
                  uid_.load(std::memory_order_relaxed), gid_.load(std::memory_order_relaxed), mask);
}

void TmpfsInode::ChangeLinks(int change) {
  MutexLock lock(attr_mu_);
  nlink_ = static_cast<uint32_t>(static_cast<int64_t>(nlink_) + change);
  ctime_ = RealtimeNow();
  atime_behind_.store(true, std::memory_order_relaxed);
}

void TmpfsInode::TouchModified() {
  timespec now = RealtimeNow();
  MutexLock lock(attr_mu_);
  mtime_ = ctime_ = now;
  atime_behind_.store(true, std::memory_order_relaxed);
}

void TmpfsInode::TouchAccessed(FileDescription::AtimeUpdate update) {
  using Update = FileDescription::AtimeUpdate;
  if (update == Update::kNever) return;
  if (update == Update::kRelative && !atime_behind_.load(std::memory_order_relaxed)) return;
  timespec now = RealtimeNow();
  MutexLock lock(attr_mu_);
  atime_ = now;
  atime_behind_.store(false, std::memory_order_relaxed);
}

Result<std::string> TmpfsInode::GetXattr(std::string_view name) {
  MutexLock lock(attr_mu_);
  if (xattrs_) {
    if (auto it = xattrs_->find(name); it != xattrs_->end()) return it->second;
  }
  return Errno(ENODATA);
}

Result<void> TmpfsInode::SetXattr(Dentry& dentry, std::string_view name, std::string_view value, int flags) {
  MutexLock lock(attr_mu_);
  if (!xattrs_) xattrs_ = std::make_unique<std::map<std::string, std::string, std::less<>>>();
  auto it = xattrs_->find(name);
  bool exists = it != xattrs_->end();
  if (exists && (flags & XATTR_CREATE) != 0) return Errno(EEXIST);
  if (!exists && (flags & XATTR_REPLACE) != 0) return Errno(ENODATA);
  size_t total = name.size() + value.size();
  for (const auto& [other, content] : *xattrs_) {
    if (other != name) total += other.size() + content.size();
  }
  if (total > kMaxXattrBytes) return Errno(ENOSPC);
  if (exists) {
    it->second = std::string(value);
  } else {
    xattrs_->emplace(name, value);
  }
  ctime_ = RealtimeNow();
  return Ok();
}

Result<std::vector<std::string>> TmpfsInode::ListXattrs() {
  std::vector<std::string> names;
  MutexLock lock(attr_mu_);
  if (!xattrs_) return names;
  for (const auto& [name, value] : *xattrs_) names.push_back(name);
  return names;
}

Result<void> TmpfsInode::RemoveXattr(Dentry& dentry, std::string_view name) {
  MutexLock lock(attr_mu_);
  if (!xattrs_) return Errno(ENODATA);
  auto it = xattrs_->find(name);
  if (it == xattrs_->end()) return Errno(ENODATA);
  xattrs_->erase(it);
  ctime_ = RealtimeNow();
  return Ok();
}

Result<PosixAcl::Ref> TmpfsInode::GetAcl(AclType type) {
  if (!has_acl_.load(std::memory_order_acquire)) return PosixAcl::Ref();
  MutexLock lock(attr_mu_);
  return type == AclType::kAccess ? access_acl_ : default_acl_;
}

Result<void> TmpfsInode::SetAcl(Dentry& dentry, AclType type, PosixAcl::Ref acl,
                                std::optional<uint32_t> mode) {
  if (mode) RETURN_IF_ERROR(CheckModeChange(*mode));
  MutexLock lock(attr_mu_);
  std::swap(type == AclType::kAccess ? access_acl_ : default_acl_, acl);
  has_acl_.store(access_acl_ || default_acl_, std::memory_order_release);
  if (mode) {
    const uint32_t old = mode_.load(std::memory_order_relaxed);
    mode_.store((old & ~07777u) | *mode, std::memory_order_relaxed);
  }
  ctime_ = RealtimeNow();
  return Ok();
}

Result<RefPtr<FileDescription>> TmpfsInode::Open(const VfsPath& path, const OpenOptions& options) {
  return OpenSpecialFile(path, options);
}

}  // namespace runsc
