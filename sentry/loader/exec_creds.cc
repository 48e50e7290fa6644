#include "sentry/loader/exec_creds.h"

#include <linux/securebits.h>

#include <cstring>

namespace runsc {

Result<FileCapabilities> ParseFileCapabilities(std::string_view value) {
  struct {
    uint32_t magic;
    uint32_t data[4];  // permitted, inheritable; low, then high words
  } raw;
  if (value.size() < sizeof(raw)) return Errno(EINVAL);
  std::memcpy(&raw, value.data(), sizeof(raw));
  uint32_t revision = raw.magic & VFS_CAP_REVISION_MASK;
  bool version_2 = revision == VFS_CAP_REVISION_2 && value.size() == sizeof(raw);
  bool version_3 = revision == VFS_CAP_REVISION_3 && value.size() == sizeof(raw) + sizeof(uint32_t);
  if (!version_2 && !version_3) return Errno(EINVAL);
  FileCapabilities capabilities;
  if (version_3) {
    Uid root = 0;
    std::memcpy(&root, value.data() + sizeof(raw), sizeof(root));
    capabilities.root = root;
  }
  capabilities.effective = (raw.magic & VFS_CAP_FLAGS_EFFECTIVE) != 0;
  capabilities.permitted = CapabilitySet(raw.data[0] | uint64_t{raw.data[2]} << 32) & CapabilitySet::All();
  capabilities.inheritable = CapabilitySet(raw.data[1] | uint64_t{raw.data[3]} << 32) & CapabilitySet::All();
  return capabilities;
}

ExecCreds CredsAfterExec(const Credentials& old, const InodeAttributes& file, bool honour_file,
                         const std::optional<FileCapabilities>& capabilities) {
  RefPtr<Credentials> creds = old.Clone();
  // Ids without a mapping mean nobody here (Linux: bprm_fill_uid()).
  const UserNamespace& space = *old.user_ns;
  if (honour_file && space.MapsUid(file.uid) && space.MapsGid(file.gid)) {
    if ((file.mode & S_ISUID) != 0) creds->euid = file.uid;
    // Without group execution the bit once meant mandatory locking.
    if ((file.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) creds->egid = file.gid;
  }
  bool is_setid = creds->euid != old.ruid || creds->egid != old.rgid;

  FileCapabilities from_file;
  bool has_file_capabilities = honour_file && capabilities.has_value();
  if (has_file_capabilities) from_file = *capabilities;
  // Root has all capabilities by the file's, unless SECBIT_NOROOT, or file capabilities on a
  // program that became root by set-user-ID only.
  const Uid root = space.RootUid();
  bool root_counts = (old.securebits & SECBIT_NOROOT) == 0 &&
                     !(has_file_capabilities && creds->ruid != root && creds->euid == root);
  if (root_counts) {
    if (creds->ruid == root || creds->euid == root)
      from_file.permitted = from_file.inheritable = CapabilitySet::All();
    if (creds->euid == root) from_file.effective = true;
  }
  if (has_file_capabilities || is_setid) creds->ambient = CapabilitySet();
  creds->permitted =
      (creds->inheritable & from_file.inheritable) | (from_file.permitted & creds->bounding) | creds->ambient;
  creds->effective = from_file.effective ? creds->permitted : creds->ambient;

  creds->suid = creds->fsuid = creds->euid;
  creds->sgid = creds->fsgid = creds->egid;
  creds->securebits &= ~uint32_t{SECBIT_KEEP_CAPS};

  ExecCreds result;
  result.secure = is_setid || (creds->ruid != root &&
                               (from_file.effective || !creds->permitted.IsSubsetOf(creds->ambient)));
  result.creds = std::move(creds);
  return result;
}

}  // namespace runsc
