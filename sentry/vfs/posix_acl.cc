#include "sentry/vfs/posix_acl.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include <algorithm>
#include <cstring>

#include "sentry/vfs/inode.h"

namespace runsc {
namespace {

constexpr uint32_t kUndefinedId = UINT32_MAX;
constexpr size_t kHeaderSize = sizeof(uint32_t), kEntrySize = 8;

// In the order in which they stand in a list.
enum Tag : uint16_t {
  kOwner = ACL_USER_OBJ,
  kUser = ACL_USER,
  kOwningGroup = ACL_GROUP_OBJ,
  kGroup = ACL_GROUP,
  kMask = ACL_MASK,
  kOther = ACL_OTHER,
};

bool NamesSomebody(uint16_t tag) { return tag == kUser || tag == kGroup; }

}  // namespace

// Linux: posix_acl_from_xattr().
Result<PosixAcl::Ref> PosixAcl::Parse(std::string_view value, const UserNamespace& space) {
  uint32_t version = 0;
  if (value.size() < kHeaderSize) return Errno(EINVAL);
  std::memcpy(&version, value.data(), sizeof(version));
  if (version != POSIX_ACL_XATTR_VERSION) return Errno(EOPNOTSUPP);
  value.remove_prefix(kHeaderSize);
  if (value.size() % kEntrySize != 0) return Errno(EINVAL);
  if (value.empty()) return Ref();
  auto acl = MakeRef<PosixAcl>();
  acl->entries_.reserve(value.size() / kEntrySize);
  for (; !value.empty(); value.remove_prefix(kEntrySize)) {
    Entry entry;
    static_assert(sizeof(entry) == kEntrySize);
    std::memcpy(&entry, value.data(), sizeof(entry));
    switch (entry.tag) {
      case kOwner:
      case kOwningGroup:
      case kMask:
      case kOther:
        entry.id = kUndefinedId;
        break;
      case kUser:
      case kGroup:
        entry.id = entry.tag == kUser ? space.ToKernelUid(entry.id) : space.ToKernelGid(entry.id);
        if (entry.id == kNoId) return Errno(EINVAL);
        break;
      default:
        return Errno(EINVAL);
    }
    acl->entries_.push_back(entry);
  }
  return Ref(std::move(acl));
}

std::string PosixAcl::ToXattr(const UserNamespace& space) const {
  const uint32_t version = POSIX_ACL_XATTR_VERSION;
  std::string value(reinterpret_cast<const char*>(&version), sizeof(version));
  for (Entry entry : entries_) {
    if (entry.tag == kUser) entry.id = space.FromKernelUid(entry.id);
    if (entry.tag == kGroup) entry.id = space.FromKernelGid(entry.id);
    value.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
  }
  return value;
}

// Linux: posix_acl_valid().
Result<void> PosixAcl::Validate() const {
  uint16_t last = 0;
  bool needs_mask = false;
  for (const Entry& entry : entries_) {
    if ((entry.permissions & ~7) != 0) return Errno(EINVAL);
    // What names nobody stands there once. Nothing but the mask may be left out.
    const bool follows = entry.tag > last || (entry.tag == last && NamesSomebody(entry.tag));
    if (!follows || (last == 0) != (entry.tag == kOwner)) return Errno(EINVAL);
    if (entry.tag > kOwningGroup && last < kOwningGroup) return Errno(EINVAL);
    needs_mask |= NamesSomebody(entry.tag);
    if (entry.tag == kOther && needs_mask && last != kMask) return Errno(EINVAL);
    last = entry.tag;
  }
  return last == kOther ? Ok() : Result<void>(Errno(EINVAL));
}

// Linux: posix_acl_equiv_mode().
bool PosixAcl::UpdateMode(uint32_t* mode) const {
  uint32_t bits = 0;
  bool needs_list = false;
  for (const Entry& entry : entries_) {
    const uint32_t permissions = entry.permissions & 7u;
    switch (entry.tag) {
      case kOwner:
        bits |= permissions << 6;
        break;
      case kOwningGroup:
        bits |= permissions << 3;
        break;
      case kOther:
        bits |= permissions;
        break;
      case kMask:
        bits = (bits & ~070u) | permissions << 3;
        needs_list = true;
        break;
      default:
        needs_list = true;
    }
  }
  *mode = (*mode & ~0777u) | bits;
  return needs_list;
}

PosixAcl::Ref PosixAcl::WithMode(uint32_t mode) const {
  auto changed = MakeRef<PosixAcl>();
  changed->entries_ = entries_;
  const bool has_mask =
      std::any_of(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.tag == kMask; });
  for (Entry& entry : changed->entries_) {
    if (entry.tag == kOwner) entry.permissions = mode >> 6 & 7;
    if (entry.tag == (has_mask ? kMask : kOwningGroup)) entry.permissions = mode >> 3 & 7;
    if (entry.tag == kOther) entry.permissions = mode & 7;
  }
  return changed;
}

// Linux: posix_acl_create_masq().
PosixAcl::Ref PosixAcl::ForNewFile(uint32_t* mode) const {
  auto made = MakeRef<PosixAcl>();
  made->entries_ = entries_;
  const bool has_mask =
      std::any_of(entries_.begin(), entries_.end(), [](const Entry& entry) { return entry.tag == kMask; });
  bool needs_list = false;
  uint32_t bits = 0;
  for (Entry& entry : made->entries_) {
    int shift = -1;
    if (entry.tag == kOwner) shift = 6;
    if (entry.tag == (has_mask ? kMask : kOwningGroup)) shift = 3;
    if (entry.tag == kOther) shift = 0;
    needs_list |= NamesSomebody(entry.tag) || entry.tag == kMask;
    if (shift < 0) continue;
    entry.permissions &= *mode >> shift & 7;
    bits |= uint32_t{entry.permissions} << shift;
  }
  *mode = (*mode & ~0777u) | bits;
  return needs_list ? Ref(std::move(made)) : Ref();
}

// Linux: posix_acl_permission().
bool PosixAcl::Grants(const Credentials& creds, Uid owner, Gid group, uint32_t wanted) const {
  uint32_t mask = 7;
  for (const Entry& entry : entries_) {
    if (entry.tag == kMask) mask = entry.permissions;
  }
  bool in_a_group = false;
  for (const Entry& entry : entries_) {
    switch (entry.tag) {
      case kOwner:
        if (creds.fsuid == owner) return (wanted & ~entry.permissions) == 0;
        break;
      case kUser:
        if (creds.fsuid == entry.id) return (wanted & ~(entry.permissions & mask)) == 0;
        break;
      case kOwningGroup:
      case kGroup:
        if (!creds.InGroup(entry.tag == kGroup ? entry.id : group)) break;
        in_a_group = true;
        if ((wanted & ~entry.permissions) == 0) return (wanted & ~(entry.permissions & mask)) == 0;
        break;
      case kOther:
        return !in_a_group && (wanted & ~entry.permissions) == 0;
    }
  }
  return false;
}

// Linux: acl_permission_check(). Without group bits the mask grants nothing, and the list is not looked at.
Result<void> CheckAcl(const Credentials& creds, const PosixAcl* acl, uint32_t mode, Uid uid, Gid gid,
                      int mask) {
  if (acl == nullptr || creds.fsuid == uid || (mode & 070) == 0)
    return CheckModeBits(creds, mode, uid, gid, mask);
  const uint32_t wanted = static_cast<uint32_t>(mask) & 7;
  if (acl->Grants(creds, uid, gid, wanted)) return Ok();
  return CheckOverride(creds, mode, uid, gid, wanted);
}

}  // namespace runsc
