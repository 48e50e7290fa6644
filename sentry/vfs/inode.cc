#include "sentry/vfs/inode.h"

#include "sentry/vfs/file_locks.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/mount.h"

namespace runsc {

Inode::Inode(Filesystem& filesystem, uint32_t file_type) : filesystem_(filesystem), file_type_(file_type) {}

Inode::~Inode() {
  delete locks_.load(std::memory_order_acquire);
  delete inotify_watches_.load(std::memory_order_acquire);
}

Result<void> Inode::CheckAccess(const Credentials& creds, int mask) {
  ASSIGN_OR_RETURN(InodeAttributes attributes, Attributes());
  const PosixAcl::Ref acl = GetAcl(AclType::kAccess).value_or(PosixAcl::Ref());
  return CheckAcl(creds, acl.get(), attributes.mode, attributes.uid, attributes.gid, mask);
}

// Linux: generic_permission() and acl_permission_check().
Result<void> CheckModeBits(const Credentials& creds, uint32_t mode, Uid uid, Gid gid, int mask) {
  uint32_t wanted = static_cast<uint32_t>(mask) & 7;
  uint32_t bits = mode & 7;
  if (creds.fsuid == uid) {
    bits = mode >> 6 & 7;
  } else if (((mode >> 3 & 7) & wanted) != (mode & 7 & wanted) && creds.InGroup(gid)) {
    bits = mode >> 3 & 7;
  }
  if ((wanted & ~bits) == 0) return Ok();
  return CheckOverride(creds, mode, uid, gid, wanted);
}

Result<void> CheckOverride(const Credentials& creds, uint32_t mode, Uid uid, Gid gid, uint32_t wanted) {
  bool is_directory = (mode & S_IFMT) == S_IFDIR;
  if (creds.HasCapabilityOver(uid, gid, CAP_DAC_OVERRIDE)) {
    if (is_directory || (wanted & X_OK) == 0 || (mode & 0111) != 0) return Ok();
  }
  if (creds.HasCapabilityOver(uid, gid, CAP_DAC_READ_SEARCH)) {
    if (wanted == R_OK || (is_directory && (wanted & W_OK) == 0)) return Ok();
  }
  return Errno(EACCES);
}

Result<std::vector<LookupEntry>> Inode::LookupMany(Dentry& dir, std::span<const std::string_view> names) {
  std::vector<LookupEntry> entries(1);
  Result<RefPtr<Inode>> found = Lookup(dir, names[0]);
  if (found.is(ENOENT)) return entries;
  if (!found.ok()) return found.error();
  entries[0].inode = *std::move(found);
  return entries;
}

Result<VfsPath> Inode::FollowLink(const Credentials& creds) { return Errno(ENOTSUP); }

RefPtr<RefCounted> Inode::attachment() const {
  MutexLock lock(attachment_mu_);
  return attachment_;
}

RefPtr<RefCounted> Inode::GetOrAttach(absl::FunctionRef<RefPtr<RefCounted>()> make) {
  MutexLock lock(attachment_mu_);
  if (!attachment_) attachment_ = make();
  return attachment_;
}

void Inode::SetAttachment(RefPtr<RefCounted> object) {
  RefPtr<RefCounted> old;  // released after the lock
  MutexLock lock(attachment_mu_);
  old = std::exchange(attachment_, std::move(object));
}

FileLocks& Inode::locks() {
  FileLocks* locks = locks_.load(std::memory_order_acquire);
  if (locks != nullptr) return *locks;
  auto made = std::make_unique<FileLocks>(this);
  if (locks_.compare_exchange_strong(locks, made.get(), std::memory_order_acq_rel)) return *made.release();
  return *locks;
}

InotifyWatches* Inode::inotify_watches() const { return inotify_watches_.load(std::memory_order_acquire); }

InotifyWatches& Inode::GetOrMakeInotifyWatches() {
  InotifyWatches* watches = inotify_watches();
  if (watches != nullptr) return *watches;
  auto made = std::make_unique<InotifyWatches>();
  if (inotify_watches_.compare_exchange_strong(watches, made.get(), std::memory_order_acq_rel))
    return *made.release();
  return *watches;
}

}  // namespace runsc
