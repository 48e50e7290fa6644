// Credentials: who a task or an open file acts as. Immutable once shared: a change
// makes a new object (copy, modify, publish), so that a reader needs no lock.
// All ids are the kernel's (user_namespace.h).
// Linux counterpart: struct cred; capabilities(7), credentials(7).
#ifndef SENTRY_AUTH_CREDENTIALS_H_
#define SENTRY_AUTH_CREDENTIALS_H_

#include <linux/capability.h>

#include <cstdint>
#include <vector>

#include "platform/base/ref.h"
#include "sentry/auth/user_namespace.h"

namespace runsc {

// A set of capabilities, bit n for capability n.
class CapabilitySet {
 public:
  constexpr CapabilitySet() = default;
  explicit constexpr CapabilitySet(uint64_t bits) : bits_(bits) {}
  static constexpr CapabilitySet All() { return CapabilitySet((uint64_t{1} << (CAP_LAST_CAP + 1)) - 1); }
  constexpr bool Has(int capability) const { return (bits_ >> capability & 1) != 0; }
  constexpr void Add(int capability) { bits_ |= uint64_t{1} << capability; }
  constexpr void Remove(int capability) { bits_ &= ~(uint64_t{1} << capability); }
  constexpr uint64_t bits() const { return bits_; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool IsSubsetOf(CapabilitySet other) const { return (bits_ & ~other.bits_) == 0; }
  friend constexpr CapabilitySet operator&(CapabilitySet a, CapabilitySet b) {
    return CapabilitySet(a.bits_ & b.bits_);
  }
  friend constexpr CapabilitySet operator|(CapabilitySet a, CapabilitySet b) {
    return CapabilitySet(a.bits_ | b.bits_);
  }
  friend constexpr bool operator==(CapabilitySet, CapabilitySet) = default;

 private:
  uint64_t bits_ = 0;
};

class Credentials : public RefCounted {
 public:
  Credentials() = default;
  // A private copy to modify before it is shared.
  RefPtr<Credentials> Clone() const;
  // All capabilities in another namespace, with the same ids (Linux: set_cred_user_ns()).
  RefPtr<Credentials> In(RefPtr<UserNamespace> space) const;
  // uid 0, all capabilities, as the sandbox's init starts.
  static RefPtr<const Credentials> Root();

  // The capability in the initial namespace: over what is the whole sandbox's (Linux: capable()).
  bool HasCapability(int capability) const { return user_ns->IsInitial() && effective.Has(capability); }
  // The capability over what belongs to the namespace: as one of its members, or as a member of one above, in
  // which the owner of a namespace has all of them (Linux: ns_capable()).
  bool HasCapabilityIn(const UserNamespace& target, int capability) const {
    return user_ns.get() == &target ? effective.Has(capability) : HasCapabilityBelow(target, capability);
  }
  // In the own namespace.
  bool HasOwnCapability(int capability) const { return effective.Has(capability); }
  // The capability over a file of this owner and group, who must have ids in the own namespace
  // (Linux: capable_wrt_inode_uidgid()).
  bool HasCapabilityOver(Uid uid, Gid gid, int capability) const {
    return effective.Has(capability) &&
           (user_ns->IsInitial() || (user_ns->MapsUid(uid) && user_ns->MapsGid(gid)));
  }
  // The capability over a file of this owner; its group does not matter (Linux: inode_owner_or_capable()).
  bool HasCapabilityOverOwner(Uid uid, int capability) const {
    return effective.Has(capability) && user_ns->MapsUid(uid);
  }
  bool InGroup(Gid gid) const;  // fsgid or a supplementary group

  Uid ruid = 0, euid = 0, suid = 0, fsuid = 0;
  Gid rgid = 0, egid = 0, sgid = 0, fsgid = 0;
  std::vector<Gid> groups;  // supplementary, sorted
  CapabilitySet permitted, effective, inheritable, bounding, ambient;
  uint32_t securebits = 0;
  bool no_new_privs = false;
  RefPtr<UserNamespace> user_ns{&UserNamespace::Initial()};  // never null

 private:
  bool HasCapabilityBelow(const UserNamespace& target, int capability) const;
};

}  // namespace runsc

#endif  // SENTRY_AUTH_CREDENTIALS_H_
