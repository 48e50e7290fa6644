#include "sentry/auth/user_namespace.h"

#include <algorithm>

namespace runsc {

namespace {

// Linux has 32 below the initial one (create_user_ns()).
constexpr int kMaxLevel = 32;
// As on a machine with 4 GB (half of the threads that it may have).
constexpr int32_t kMaxNamespaces = 15000;

using Extent = IdMap::Extent;

}  // namespace

uint64_t NextNamespaceNumber() {
  constexpr uint64_t kFirst = 4026532000;  // behind those that Linux gives the first namespaces
  static std::atomic<uint64_t> next{kFirst};
  return next.fetch_add(1, std::memory_order_relaxed);
}

IdMap::IdMap(std::vector<Extent> extents)
    : extents_(std::move(extents)), by_first_(extents_), by_kernel_(extents_) {
  std::sort(by_first_.begin(), by_first_.end(),
            [](const Extent& a, const Extent& b) { return a.first < b.first; });
  std::sort(by_kernel_.begin(), by_kernel_.end(),
            [](const Extent& a, const Extent& b) { return a.kernel < b.kernel; });
}

uint32_t IdMap::ToKernel(uint32_t id) const {
  auto next = std::upper_bound(by_first_.begin(), by_first_.end(), id,
                               [](uint32_t value, const Extent& extent) { return value < extent.first; });
  if (next == by_first_.begin()) return kNoId;
  const Extent& extent = *std::prev(next);
  return id - extent.first < extent.count ? extent.kernel + (id - extent.first) : kNoId;
}

uint32_t IdMap::FromKernel(uint32_t id) const {
  auto next = std::upper_bound(by_kernel_.begin(), by_kernel_.end(), id,
                               [](uint32_t value, const Extent& extent) { return value < extent.kernel; });
  if (next == by_kernel_.begin()) return kNoId;
  const Extent& extent = *std::prev(next);
  return id - extent.kernel < extent.count ? extent.first + (id - extent.kernel) : kNoId;
}

bool IdMap::MapsWhole(uint32_t first, uint32_t count) const {
  return std::any_of(extents_.begin(), extents_.end(), [&](const Extent& extent) {
    return first >= extent.first && uint64_t{first} + count <= uint64_t{extent.first} + extent.count;
  });
}

UserNamespace::UserNamespace(RefPtr<UserNamespace> parent, Uid owner, Gid group, bool owner_could_setfcap)
    : max_user_namespaces(parent ? INT32_MAX : kMaxNamespaces),
      parent_(std::move(parent)),
      level_(parent_ ? parent_->level_ + 1 : 0),
      owner_(owner),
      group_(group),
      owner_could_setfcap_(owner_could_setfcap) {}

UserNamespace& UserNamespace::Initial() {
  static auto* initial = new UserNamespace(nullptr, 0, 0, true);
  return *initial;
}

Result<RefPtr<UserNamespace>> UserNamespace::Make(RefPtr<UserNamespace> parent, Uid owner, Gid group,
                                                  bool owner_could_setfcap) {
  if (parent->level_ > kMaxLevel) return Errno(ENOSPC);
  RETURN_IF_ERROR(parent->Charge(owner));
  auto made =
      RefPtr<UserNamespace>::Adopt(new UserNamespace(std::move(parent), owner, group, owner_could_setfcap));
  if (!made->parent_->setgroups_allowed()) (void)made->AllowSetgroups(false);
  return made;
}

UserNamespace::~UserNamespace() {
  for (auto& map : maps_) delete map.load(std::memory_order_acquire);
  if (parent_) parent_->ReleaseUpTo(nullptr, owner_);
}

bool UserNamespace::IsIn(const UserNamespace& other) const {
  const UserNamespace* at = this;
  while (at->level_ > other.level_) at = at->parent_.get();
  return at == &other;
}

uint32_t UserNamespace::ToKernel(Kind kind, uint32_t id) const {
  const IdMap* own = map(kind);
  return own != nullptr ? own->ToKernel(id) : kNoId;
}

uint32_t UserNamespace::FromKernel(Kind kind, uint32_t id) const {
  const IdMap* own = map(kind);
  return own != nullptr ? own->FromKernel(id) : kNoId;
}

Uid UserNamespace::VisibleUid(Uid kernel_uid) const {
  if (IsInitial()) return kernel_uid;
  const Uid uid = FromKernel(Kind::kUser, kernel_uid);
  return uid != kNoId ? uid : kOverflowId;
}

Gid UserNamespace::VisibleGid(Gid kernel_gid) const {
  if (IsInitial()) return kernel_gid;
  const Gid gid = FromKernel(Kind::kGroup, kernel_gid);
  return gid != kNoId ? gid : kOverflowId;
}

bool UserNamespace::IsRootHereOrAbove(Uid uid) const {
  const UserNamespace* at = this;
  while (at != nullptr && at->FromKernelUid(uid) != 0) at = at->parent_.get();
  return at != nullptr;
}

Result<void> UserNamespace::SetMap(Kind kind, std::vector<Extent> extents) {
  auto made = std::make_unique<const IdMap>(std::move(extents));
  // Under the lock, for what setgroups says and the group map are decided in one order.
  MutexLock lock(mu_);
  std::atomic<const IdMap*>& place = maps_[static_cast<size_t>(kind)];
  if (IsInitial() || place.load(std::memory_order_relaxed) != nullptr) return Errno(EPERM);
  place.store(made.release(), std::memory_order_release);
  return Ok();
}

bool UserNamespace::MaySetGroups() const {
  MutexLock lock(mu_);
  return IsInitial() || (setgroups_allowed_ && map(Kind::kGroup) != nullptr);
}

bool UserNamespace::setgroups_allowed() const {
  MutexLock lock(mu_);
  return setgroups_allowed_;
}

// Linux: proc_setgroups_write().
Result<void> UserNamespace::AllowSetgroups(bool allow) {
  MutexLock lock(mu_);
  if (allow) return setgroups_allowed_ ? Ok() : Result<void>(Errno(EPERM));
  if (IsInitial() || map(Kind::kGroup) != nullptr) return Errno(EPERM);
  setgroups_allowed_ = false;
  return Ok();
}

// Linux: inc_ucount().
Result<void> UserNamespace::Charge(Uid user) {
  const Uid first = user;
  for (UserNamespace* at = this; at != nullptr; at = at->parent_.get()) {
    if (!at->ChargeHere(user)) {
      ReleaseUpTo(at, first);
      return Errno(ENOSPC);
    }
    user = at->owner_;
  }
  return Ok();
}

bool UserNamespace::ChargeHere(Uid user) {
  MutexLock lock(mu_);
  auto [place, is_new] = user_namespaces_.try_emplace(user, 0);
  if (place->second < max_user_namespaces.load(std::memory_order_relaxed)) {
    ++place->second;
    return true;
  }
  if (is_new) user_namespaces_.erase(place);
  return false;
}

void UserNamespace::ReleaseUpTo(const UserNamespace* end, Uid user) {
  for (UserNamespace* at = this; at != end; at = at->parent_.get()) {
    MutexLock lock(at->mu_);
    auto found = at->user_namespaces_.find(user);
    if (--found->second == 0) at->user_namespaces_.erase(found);
    user = at->owner_;
  }
}

}  // namespace runsc
