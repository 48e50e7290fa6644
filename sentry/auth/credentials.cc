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
  return copy;
}

RefPtr<const Credentials> Credentials::Root() {
  auto root = MakeRef<Credentials>();
  root->permitted = root->effective = root->bounding = CapabilitySet::All();
  return root;
}

bool Credentials::InGroup(Gid gid) const {
  return gid == fsgid || std::binary_search(groups.begin(), groups.end(), gid);
}

}  // namespace runsc
