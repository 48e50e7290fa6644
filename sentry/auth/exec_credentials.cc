#include "sentry/auth/exec_credentials.h"

#include <linux/securebits.h>
#include <sys/stat.h>

namespace runsc {

RefPtr<const Credentials> CredentialsForExec(const Credentials& old, const ExecFile& file, bool* secure) {
  RefPtr<Credentials> creds = old.Clone();
  if (!file.no_suid && !old.no_new_privs) {
    if ((file.mode & S_ISUID) != 0) creds->euid = file.uid;
    // Without group execute permission the bit meant mandatory locking.
    if ((file.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) creds->egid = file.gid;
  }
  bool set_id = creds->euid != old.euid || creds->egid != old.egid;

  // Root's programs count as having all file capabilities, unless SECBIT_NOROOT.
  CapabilitySet file_inheritable, file_permitted;
  bool file_effective = false;
  if ((old.securebits & SECBIT_NOROOT) == 0) {
    if (creds->euid == 0 || creds->ruid == 0) file_inheritable = file_permitted = CapabilitySet::All();
    if (creds->euid == 0) file_effective = true;
  }
  if (set_id) creds->ambient = CapabilitySet();
  creds->permitted = (old.inheritable & file_inheritable) | (file_permitted & old.bounding) | creds->ambient;
  creds->effective = file_effective ? creds->permitted : creds->ambient;
  creds->suid = creds->fsuid = creds->euid;
  creds->sgid = creds->fsgid = creds->egid;
  creds->securebits &= ~static_cast<uint32_t>(SECBIT_KEEP_CAPS);
  *secure = set_id || old.ruid != old.euid || old.rgid != old.egid ||
            (old.ruid != 0 && !creds->effective.IsSubsetOf(creds->ambient));
  return creds;
}

}  // namespace runsc
