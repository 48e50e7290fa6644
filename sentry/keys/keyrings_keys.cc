// What is done to one key, and what is told of it.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "sentry/keys/keyrings.h"

namespace runsc {

Result<void> Keyrings::Update(const KeyCaller& caller, int32_t id, std::string payload) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ref, LookupLocked(caller, id, kKeyWrite));
  if (ref.key->IsKeyring()) return Errno(EOPNOTSUPP);
  constexpr size_t kMaxPayload = 32767;
  if (payload.empty() || payload.size() > kMaxPayload) return Errno(EINVAL);
  return ref.key->SetPayload(std::move(payload));
}

Result<void> Keyrings::Revoke(const KeyCaller& caller, int32_t id) {
  MutexLock lock(mu_);
  Result<KeyRef> ref = LookupLocked(caller, id, kKeyWrite);
  if (ref.is(EACCES)) ref = LookupLocked(caller, id, kKeySetAttributes);
  RETURN_IF_ERROR(ref);
  ref->key->Revoke();
  return Ok();
}

// Nobody finds it from now on; Linux takes it out of the keyrings a little later.
Result<void> Keyrings::Invalidate(const KeyCaller& caller, int32_t id) {
  std::vector<RefPtr<Key>> all;
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ref, LookupLocked(caller, id, kKeySearch));
  ref.key->is_invalidated = true;
  all = store_->All();
  for (const RefPtr<Key>& key : all) {
    if (key->IsKeyring()) key->Unlink(*ref.key);
  }
  return Ok();
}

Result<void> Keyrings::ChangeOwner(const KeyCaller& caller, int32_t id, Uid uid, Gid gid) {
  if (uid == UINT32_MAX && gid == UINT32_MAX) return Ok();
  const UserNamespace& space = *caller.creds.user_ns;
  const bool changes_user = uid != UINT32_MAX, changes_group = gid != UINT32_MAX;
  uid = space.ToKernelUid(uid);
  gid = space.ToKernelGid(gid);
  if ((changes_user && uid == kNoId) || (changes_group && gid == kNoId)) return Errno(EINVAL);
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ref,
                   LookupLocked(caller, id, kKeySetAttributes, {.create = true, .unusable = true}));
  Key& key = *ref.key;
  if (!caller.creds.HasCapability(CAP_SYS_ADMIN)) {
    if (uid != UINT32_MAX && uid != key.uid) return Errno(EACCES);
    if (gid != UINT32_MAX && gid != key.gid && !caller.creds.InGroup(gid)) return Errno(EACCES);
  }
  if (uid != UINT32_MAX) RETURN_IF_ERROR(key.SetUser(uid));
  if (gid != UINT32_MAX) key.gid = gid;
  return Ok();
}

Result<void> Keyrings::SetPermissions(const KeyCaller& caller, int32_t id, uint32_t permissions) {
  constexpr uint32_t kKnown = kKeyAll | kKeyAll << 8 | kKeyAll << 16 | kKeyAll << 24;
  if ((permissions & ~kKnown) != 0) return Errno(EINVAL);
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ref,
                   LookupLocked(caller, id, kKeySetAttributes, {.create = true, .unusable = true}));
  if (ref.key->uid != caller.creds.fsuid && !caller.creds.HasCapability(CAP_SYS_ADMIN)) return Errno(EACCES);
  ref.key->permissions = permissions;
  return Ok();
}

Result<void> Keyrings::SetTimeout(const KeyCaller& caller, int32_t id, uint32_t seconds) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ref,
                   LookupLocked(caller, id, kKeySetAttributes, {.create = true, .unusable = true}));
  ref.key->SetTimeout(seconds);
  return Ok();
}

Result<std::string> Keyrings::Describe(const KeyCaller& caller, int32_t id) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ref, LookupLocked(caller, id, kKeyView, {.unusable = true}));
  const Key& key = *ref.key;
  const UserNamespace& viewer = *caller.creds.user_ns;
  char permissions[9];
  std::snprintf(permissions, sizeof(permissions), "%08x", key.permissions);
  return std::string(NameOf(key.type)) + ";" + std::to_string(viewer.VisibleUid(key.uid)) + ";" +
         std::to_string(key.gid == Key::kNoGroup ? kOverflowId : viewer.VisibleGid(key.gid)) + ";" +
         permissions + ";" + key.description;
}

Result<void> Keyrings::CheckSecurity(const KeyCaller& caller, int32_t id) {
  MutexLock lock(mu_);
  RETURN_IF_ERROR(LookupLocked(caller, id, kKeyView, {.unusable = true}));
  return Ok();
}

// Linux: keyctl_read_key(). Who possesses a key and may search for it may read it, too.
Result<std::string> Keyrings::Read(const KeyCaller& caller, int32_t id) {
  MutexLock lock(mu_);
  Result<KeyRef> ref = LookupLocked(caller, id, 0, {.for_reading = true});
  if (!ref.ok()) return Errno(ENOKEY);
  Key& key = *ref->key;
  if (key.negative_error != 0) return Errno(key.negative_error);
  if (!key.Allows(caller.creds, ref->is_possessed, kKeyRead) && !ref->is_possessed) return Errno(EACCES);
  if (key.type == KeyType::kLogon) return Errno(EOPNOTSUPP);
  RETURN_IF_ERROR(key.Validate());
  if (!key.IsKeyring()) return key.payload;
  key.DropGarbage();
  std::string numbers(key.links().size() * sizeof(int32_t), '\0');
  size_t offset = 0;
  for (const auto& [index, link] : key.links()) {
    std::memcpy(&numbers[offset], &link->serial, sizeof(int32_t));
    offset += sizeof(int32_t);
  }
  return numbers;
}

// Linux: proc_keys_show().
std::vector<KeyStatus> Keyrings::List(const KeyCaller& caller) {
  std::vector<KeyStatus> list;
  std::vector<RefPtr<Key>> all;
  MutexLock lock(mu_);
  const absl::flat_hash_set<const Key*> possessed = PossessedLocked(caller);
  all = store_->All();
  for (const RefPtr<Key>& key : all) {
    if (!key->Allows(caller.creds, possessed.contains(key.get()), kKeyView)) continue;
    KeyStatus status{.serial = key->serial,
                     .flags = "-------",
                     .references = key->ref_count() - 1,
                     .seconds_left = std::nullopt,
                     .permissions = key->permissions,
                     .uid = key->uid,
                     .gid = key->gid,
                     .type = key->type,
                     .description = key->description};
    if (key->is_instantiated) status.flags[0] = 'I';
    if (key->is_revoked) status.flags[1] = 'R';
    if (key->in_quota) status.flags[3] = 'Q';
    if (key->negative_error != 0) status.flags[5] = 'N';
    if (key->is_invalidated) status.flags[6] = 'i';
    if (key->expiry != 0) status.seconds_left = std::max<int64_t>(0, key->expiry - IpcNow());
    if (key->negative_error == 0) {
      status.description +=
          key->IsKeyring() && key->links().empty()
              ? ": empty"
              : ": " + std::to_string(key->IsKeyring() ? key->links().size() : key->payload.size());
    }
    list.push_back(std::move(status));
  }
  return list;
}

}  // namespace runsc
