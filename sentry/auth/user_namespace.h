// UserNamespace: whose user and group ids mean what, and where capabilities count.
//
// Everything inside the Sentry (credentials, owners of files, of IPC objects, …) has ids of the initial
// namespace, the kernel's ids. A namespace translates at the borders: what a guest says (ToKernel) and what
// it is shown (Visible). A map is written once (/proc/pid/uid_map) and holds kernel ids as well, so that
// there is one step however deep a namespace is. Threading: any thread; maps are read without a lock. Linux
// counterpart: struct user_namespace; user_namespaces(7).
#ifndef SENTRY_AUTH_USER_NAMESPACE_H_
#define SENTRY_AUTH_USER_NAMESPACE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"

namespace runsc {

using Uid = uint32_t;
using Gid = uint32_t;

// No id at all: -1, which no map can hold.
inline constexpr uint32_t kNoId = UINT32_MAX;

// What ids without a mapping are shown as (fs.overflowuid, fs.overflowgid, which cannot be changed here).
inline constexpr uint32_t kOverflowId = 65534;

// For the file that stands for a namespace; never the same twice.
uint64_t NextNamespaceNumber();

class IdMap {
 public:
  // `first` to `first + count - 1` in the namespace are `kernel` and the following ones.
  struct Extent {
    uint32_t first, kernel, count;
  };
  // UID_GID_MAP_MAX_EXTENTS.
  static constexpr size_t kMaxExtents = 340;

  // The extents overlap on neither side and do not reach kNoId.
  explicit IdMap(std::vector<Extent> extents);
  const std::vector<Extent>& extents() const { return extents_; }  // as they were written
  uint32_t ToKernel(uint32_t id) const;                            // kNoId: it has no mapping
  uint32_t FromKernel(uint32_t id) const;
  // Whether one extent has all of `count` ids from `first` on.
  bool MapsWhole(uint32_t first, uint32_t count) const;

 private:
  std::vector<Extent> extents_, by_first_, by_kernel_;
};

class UserNamespace final : public RefCounted {
 public:
  enum class Kind : uint8_t { kUser, kGroup, kProject };

  // The namespace of the sandbox itself, in which ids are the kernel's.
  static UserNamespace& Initial();
  // One below `parent`, made by the user `owner`. `owner_could_setfcap`: it had CAP_SETFCAP. ENOSPC: too many
  // levels, or more namespaces than a user may have in `parent` or above.
  static Result<RefPtr<UserNamespace>> Make(RefPtr<UserNamespace> parent, Uid owner, Gid group,
                                            bool owner_could_setfcap);
  ~UserNamespace() override;

  bool IsInitial() const { return level_ == 0; }
  uint64_t number() const { return number_; }  // of its file in /proc/pid/ns
  int level() const { return level_; }
  const RefPtr<UserNamespace>& parent() const { return parent_; }  // null for the initial one
  Uid owner() const { return owner_; }
  Gid group() const { return group_; }
  bool owner_could_setfcap() const { return owner_could_setfcap_; }
  // Whether it is `other` or below it.
  bool IsIn(const UserNamespace& other) const;

  // --- ids; kNoId stays kNoId, and stands for an id without a mapping ---
  Uid ToKernelUid(Uid uid) const { return IsInitial() ? uid : ToKernel(Kind::kUser, uid); }
  Gid ToKernelGid(Gid gid) const { return IsInitial() ? gid : ToKernel(Kind::kGroup, gid); }
  Uid FromKernelUid(Uid uid) const { return IsInitial() ? uid : FromKernel(Kind::kUser, uid); }
  Gid FromKernelGid(Gid gid) const { return IsInitial() ? gid : FromKernel(Kind::kGroup, gid); }
  bool MapsUid(Uid kernel_uid) const { return FromKernelUid(kernel_uid) != kNoId; }
  bool MapsGid(Gid kernel_gid) const { return FromKernelGid(kernel_gid) != kNoId; }
  // What is shown of a kernel id: the overflow id for one without a mapping.
  Uid VisibleUid(Uid kernel_uid) const;
  Gid VisibleGid(Gid kernel_gid) const;
  // Uid 0 of the namespace; kNoId: it has none.
  Uid RootUid() const { return ToKernelUid(0); }

  // Whether the kernel's `uid` is uid 0 of this namespace or one above (Linux: rootid_owns_currentns()).
  bool IsRootHereOrAbove(Uid uid) const;

  // Null until it is written; never changes afterwards. Null for the initial namespace, where all is one map.
  const IdMap* map(Kind kind) const {
    return maps_[static_cast<size_t>(kind)].load(std::memory_order_acquire);
  }
  // EPERM: there is one already.
  Result<void> SetMap(Kind kind, std::vector<IdMap::Extent> extents);

  // setgroups(2) may be called: a group map exists and nobody has denied it.
  bool MaySetGroups() const;
  bool setgroups_allowed() const;
  // /proc/pid/setgroups. EPERM: not any more.
  Result<void> AllowSetgroups(bool allow);

  // /proc/sys/user/max_user_namespaces of this namespace.
  std::atomic<int32_t> max_user_namespaces;

 private:
  UserNamespace(RefPtr<UserNamespace> parent, Uid owner, Gid group, bool owner_could_setfcap);
  uint32_t ToKernel(Kind kind, uint32_t id) const;
  uint32_t FromKernel(Kind kind, uint32_t id) const;
  // One more of the user's here, and of the owners' of all namespaces above. ENOSPC, with nothing done.
  Result<void> Charge(Uid user);
  bool ChargeHere(Uid user);
  // One less, in all namespaces below `end`.
  void ReleaseUpTo(const UserNamespace* end, Uid user);

  const uint64_t number_ = NextNamespaceNumber();
  const RefPtr<UserNamespace> parent_;
  const int level_;
  const Uid owner_;
  const Gid group_;
  const bool owner_could_setfcap_;
  std::atomic<const IdMap*> maps_[3]{};
  mutable Mutex mu_{LockRank::kLeaf};
  bool setgroups_allowed_ ABSL_GUARDED_BY(mu_) = true;
  absl::flat_hash_map<Uid, int32_t> user_namespaces_ ABSL_GUARDED_BY(mu_);  // made below, by user
};

}  // namespace runsc

#endif  // SENTRY_AUTH_USER_NAMESPACE_H_
