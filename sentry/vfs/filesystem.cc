#include "sentry/vfs/filesystem.h"

#include <sys/sysmacros.h>

#include "sentry/auth/credentials.h"
#include "sentry/vfs/dentry_cache.h"

namespace runsc {

namespace {

uint64_t NextDevice() {
  static std::atomic<uint32_t> next{1};
  return makedev(0, next.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

Filesystem::Filesystem() : device_(NextDevice()), cache_(std::make_unique<DentryCache>()) {}
Filesystem::~Filesystem() = default;

void Filesystem::ShrinkDentryCache() {
  std::vector<RefPtr<Filesystem>> uppers;
  {
    MutexLock lock(roots_mu_);
    for (Filesystem* upper : uppers_)
      if (auto held = RefPtr<Filesystem>::TryFrom(upper)) uppers.push_back(std::move(held));
  }
  for (const RefPtr<Filesystem>& upper : uppers) upper->ShrinkDentryCache();
  cache_->Clear();
}

void Filesystem::AddUpper(Filesystem& upper) {
  MutexLock lock(roots_mu_);
  uppers_.push_back(&upper);
}

void Filesystem::RemoveUpper(Filesystem& upper) {
  MutexLock lock(roots_mu_);
  std::erase(uppers_, &upper);
}

void Filesystem::HoldPinnedRoot(Dentry& root) {
  MutexLock lock(roots_mu_);
  for (const RefPtr<Dentry>& held : pinned_roots_) {
    if (held == &root) return;
  }
  pinned_roots_.emplace_back(&root);
}

namespace {

RefPtr<UserNamespace> OwnerFor(const FilesystemType& type, const FilesystemSource& source) {
  RefPtr<UserNamespace> owner = type.Owner();
  return owner || !source.creds ? owner : source.creds->user_ns;
}

}  // namespace

Result<void> FilesystemType::CheckMayMake(const Credentials& caller, const FilesystemSource& source) const {
  const bool may = may_be_mounted_by_all() ? caller.HasCapabilityIn(*OwnerFor(*this, source), CAP_SYS_ADMIN)
                                           : caller.HasCapability(CAP_SYS_ADMIN);
  return may ? Ok() : Result<void>(Errno(EPERM));
}

Result<NewFilesystem> FilesystemType::MakeFor(const FilesystemSource& source) {
  ASSIGN_OR_RETURN(NewFilesystem made, Make(source));
  RefPtr<UserNamespace> owner = may_be_mounted_by_all() ? OwnerFor(*this, source) : nullptr;
  if (made.is_new && owner) made.filesystem->set_user_ns(std::move(owner));
  return made;
}

void Filesystem::OnLastRelease() {
  std::vector<RefPtr<Dentry>> roots;
  {
    MutexLock lock(roots_mu_);
    roots.swap(pinned_roots_);
  }
  for (const RefPtr<Dentry>& root : roots) root->Unpin();
  roots.clear();
  cache_->Clear();
  delete this;
}

}  // namespace runsc
