// PosixAcl: an access control list: who may do what with a file beside its owner, its group and all others.
// Immutable once it is a file's.
//
// The list of a file's own rights (access) and its mode are one thing: the mode's group bits are the list's
// mask. A directory's second list (default) is what files in it begin with. Linux counterpart: struct
// posix_acl, fs/posix_acl.c; acl(5).
#ifndef SENTRY_VFS_POSIX_ACL_H_
#define SENTRY_VFS_POSIX_ACL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/auth/credentials.h"

namespace runsc {

enum class AclType : uint8_t { kAccess, kDefault };

class PosixAcl final : public RefCounted {
 public:
  using Ref = RefPtr<const PosixAcl>;

  // The value of an extended attribute, with ids of the namespace. Null: it has no entries. EINVAL,
  // EOPNOTSUPP (another version).
  static Result<Ref> Parse(std::string_view value, const UserNamespace& space);
  std::string ToXattr(const UserNamespace& space) const;
  // Whether the entries are those that a list must have, in their order. EINVAL.
  Result<void> Validate() const;

  // Sets the mode's permission bits to what the list says. False: they say it all.
  bool UpdateMode(uint32_t* mode) const;
  // chmod(2).
  Ref WithMode(uint32_t mode) const;
  // What a new file gets by this default list, if it is made with `*mode`, and the mode. Null: the mode says
  // it all.
  Ref ForNewFile(uint32_t* mode) const;
  // Whether the list grants R_OK, W_OK and X_OK of `wanted` to somebody who does not own the file.
  bool Grants(const Credentials& creds, Uid owner, Gid group, uint32_t wanted) const;

 private:
  struct Entry {
    uint16_t tag;
    uint16_t permissions;
    uint32_t id;  // of a user or group that is named, the kernel's
  };
  std::vector<Entry> entries_;
};

// CheckModeBits() for a file with an access list, which may be null.
Result<void> CheckAcl(const Credentials& creds, const PosixAcl* acl, uint32_t mode, Uid uid, Gid gid,
                      int mask);

}  // namespace runsc

#endif  // SENTRY_VFS_POSIX_ACL_H_
