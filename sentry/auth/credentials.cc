#include "sentry/auth/credentials.h"

#include <algorithm>

namespace runsc {

RefPtr<Credentials> Credentials::Clone() const {
  auto copy = MakeRef<Credentials>();
  copy->ruid = ruid, copy->euid = euid, copy->suid = suid, copy->fsuid = fsuid;
  copy->rgid = rgid, copy->egid = egid, copy->sgid = sgid, copy->fsgid = fsgid;
  copy->groups = groups;
  copy->permitted = permitted, copy->effective = effective, copy->inheritable = inheritable;
  copy->bounding = bounding, copy->ambient = ambient;
  copy->securebits = securebits;
  copy->no_new_privs = no_new_privs;
  copy->user_ns = user_ns;
  return copy;
}

RefPtr<Credentials> Credentials::In(RefPtr<UserNamespace> space) const {
  RefPtr<Credentials> copy = Clone();
  copy->user_ns = std::move(space);
  copy->securebits = 0;
  copy->inheritable = copy->ambient = CapabilitySet();
  copy->permitted = copy->effective = copy->bounding = CapabilitySet::All();
  return copy;
}

RefPtr<const Credentials> Credentials::Root() {
  auto root = MakeRef<Credentials>();
  root->permitted = root->effective = root->bounding = CapabilitySet::All();
  return root;
}

// Linux: cap_capable().
bool Credentials::HasCapabilityBelow(const UserNamespace& target, int capability) const {
  const UserNamespace* at = &target;
  for (; at != user_ns.get(); at = at->parent().get()) {
    if (at->level() <= user_ns->level()) return false;
    if (at->parent() == user_ns && at->owner() == euid) return true;
  }
  return effective.Has(capability);
}

bool Credentials::InGroup(Gid gid) const {
  return gid == fsgid || std::binary_search(groups.begin(), groups.end(), gid);
}

}  // namespace runsc
