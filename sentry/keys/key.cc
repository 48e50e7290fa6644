#include "sentry/keys/key.h"

#include <sys/random.h>

#include <algorithm>

#include "platform/base/check.h"

namespace runsc {
namespace {

constexpr int64_t kLinkQuota = 4;  // bytes; KEYQUOTA_LINK_BYTES
// What the Sentry needs for one.
constexpr uint64_t kKeyOverhead = sizeof(Key) + 128, kLinkOverhead = 48;

int32_t RandomSerial() {
  uint32_t value = 0;
  CHECK(::getrandom(&value, sizeof(value), 0) == static_cast<ssize_t>(sizeof(value)));
  constexpr int32_t kMinimum = 3;
  return std::max(static_cast<int32_t>(value >> 1), kMinimum);
}

}  // namespace

std::optional<KeyType> KeyTypeByName(std::string_view name) {
  for (KeyType type : {KeyType::kKeyring, KeyType::kUser, KeyType::kLogon}) {
    if (name == NameOf(type)) return type;
  }
  return std::nullopt;
}

const char* NameOf(KeyType type) {
  switch (type) {
    case KeyType::kKeyring:
      return "keyring";
    case KeyType::kUser:
      return "user";
    case KeyType::kLogon:
      return "logon";
  }
  return "";
}

RefPtr<Key> KeyStore::Find(int32_t serial) const {
  MutexLock lock(mu_);
  auto found = keys_.find(serial);
  return found == keys_.end() ? nullptr : RefPtr<Key>::TryFrom(found->second);
}

std::vector<RefPtr<Key>> KeyStore::All() const {
  std::vector<RefPtr<Key>> all;
  MutexLock lock(mu_);
  all.reserve(keys_.size());
  for (const auto& [serial, key] : keys_) {
    if (RefPtr<Key> alive = RefPtr<Key>::TryFrom(key)) all.push_back(std::move(alive));
  }
  return all;
}

std::vector<std::pair<Uid, KeyUser>> KeyStore::Users() const {
  MutexLock lock(mu_);
  return {users_.begin(), users_.end()};
}

int32_t KeyStore::Add(Key& key) {
  int32_t serial = RandomSerial();
  MutexLock lock(mu_);
  while (keys_.contains(serial)) serial = RandomSerial();
  keys_[serial] = &key;
  ++users_[key.uid].keys;
  return serial;
}

void KeyStore::Remove(Key& key) {
  MutexLock lock(mu_);
  keys_.erase(key.serial);
  auto user = users_.find(key.uid);
  if (user == users_.end()) return;
  if (key.is_instantiated) --user->second.instantiated;
  if (--user->second.keys == 0) users_.erase(user);
}

Result<void> KeyStore::Charge(Uid uid, int keys, int64_t bytes, bool overrun) {
  MutexLock lock(mu_);
  KeyUser& user = users_[uid];
  if (!overrun && ((keys > 0 && user.quota_keys + keys > MaxKeys(uid)) ||
                   (bytes > 0 && user.quota_bytes + bytes > MaxBytes(uid)))) {
    if (user.keys == 0) users_.erase(uid);
    return Errno(EDQUOT);
  }
  user.quota_keys += keys;
  user.quota_bytes += bytes;
  return Ok();
}

void KeyStore::CountInstantiated(Uid uid) {
  MutexLock lock(mu_);
  ++users_[uid].instantiated;
}

Key::Key(RefPtr<KeyStore> store, KeyOptions options)
    : type(options.type),
      description(std::move(options.description)),
      uid(options.uid),
      gid(options.gid),
      permissions(options.permissions),
      in_quota(options.quota != KeyOptions::Quota::kNone),
      store_(std::move(store)) {}

Result<RefPtr<Key>> Key::Make(RefPtr<KeyStore> store, KeyOptions options) {
  ASSIGN_OR_RETURN(IpcCharge charge, IpcCharge::Take(kKeyOverhead + 2 * options.description.size()));
  const KeyOptions::Quota quota = options.quota;
  auto key = RefPtr<Key>::Adopt(new Key(std::move(store), std::move(options)));
  key->charge_ = std::move(charge);
  if (key->in_quota) {
    key->in_quota = false;  // until it is counted
    RETURN_IF_ERROR(key->store_->Charge(key->uid, 1, static_cast<int64_t>(key->description.size()) + 1,
                                        quota == KeyOptions::Quota::kOverrun));
    key->in_quota = true;
  }
  key->serial = key->store_->Add(*key);
  if (key->IsKeyring()) key->MarkInstantiated();
  return key;
}

Key::~Key() {
  if (in_quota) {
    const int64_t bytes = static_cast<int64_t>(description.size()) + 1 + data_length_;
    (void)store_->Charge(uid, -1, -bytes, true);
  }
  if (serial != 0) store_->Remove(*this);
  std::fill(payload.begin(), payload.end(), '\0');
  // A chain of keyrings may be as long as the quota allows: they go one after the other, not one in the
  // other.
  static thread_local std::vector<RefPtr<Key>>* pending = nullptr;
  std::vector<RefPtr<Key>> own;
  const bool is_outermost = pending == nullptr;
  if (is_outermost) pending = &own;
  for (auto& [index, key] : links_) pending->push_back(std::move(key));
  links_.clear();
  if (!is_outermost) return;
  while (!own.empty()) {
    RefPtr<Key> last = std::move(own.back());
    own.pop_back();
  }
  pending = nullptr;
}

// Linux: key_task_permission().
bool Key::Allows(const Credentials& creds, bool possessed, uint32_t wanted) const {
  uint32_t granted = permissions;
  if (uid == creds.fsuid) {
    granted >>= kKeyUserShift;
  } else if (gid != kNoGroup && (permissions & (kKeyAll << kKeyGroupShift)) != 0 && creds.InGroup(gid)) {
    granted >>= kKeyGroupShift;
  }
  if (possessed) granted |= permissions >> kKeyPossessorShift;
  return (granted & wanted) == wanted;
}

bool Key::IsExpired() const { return expiry != 0 && IpcNow() >= expiry; }

Result<void> Key::Validate() const {
  if (is_invalidated) return Errno(ENOKEY);
  if (is_revoked) return Errno(EKEYREVOKED);
  if (IsExpired()) return Errno(EKEYEXPIRED);
  return Ok();
}

bool Key::IsGarbage() const {
  return is_invalidated || (expiry != 0 && IpcNow() - expiry >= store_->limits.gc_delay);
}

void Key::SetTimeout(int64_t seconds) { expiry = seconds == 0 ? 0 : IpcNow() + seconds; }

void Key::Revoke() {
  if (is_revoked) return;
  is_revoked = true;
  expiry = IpcNow();
  std::fill(payload.begin(), payload.end(), '\0');
  payload = {};
  payload_charge_ = {};
  links_.clear();
  (void)SetDataLength(0);
}

void Key::MarkInstantiated() {
  if (std::exchange(is_instantiated, true)) return;
  store_->CountInstantiated(uid);
}

// Linux: key_payload_reserve().
Result<void> Key::SetDataLength(int64_t length) {
  if (in_quota) RETURN_IF_ERROR(store_->Charge(uid, 0, length - data_length_, false));
  data_length_ = length;
  return Ok();
}

Result<void> Key::SetPayload(std::string content) {
  ASSIGN_OR_RETURN(IpcCharge charge, IpcCharge::Take(content.size()));
  RETURN_IF_ERROR(SetDataLength(static_cast<int64_t>(content.size())));
  std::fill(payload.begin(), payload.end(), '\0');
  payload = std::move(content);
  payload_charge_ = std::move(charge);
  MarkInstantiated();
  negative_error = 0;
  expiry = 0;
  return Ok();
}

void Key::Reject(int error) {
  MarkInstantiated();
  negative_error = error;
}

Result<void> Key::SetUser(Uid new_uid) {
  if (new_uid == uid) return Ok();
  const int64_t bytes = static_cast<int64_t>(description.size()) + 1 + data_length_;
  if (in_quota) {
    RETURN_IF_ERROR(store_->Charge(new_uid, 1, bytes, false));
    (void)store_->Charge(uid, -1, -bytes, true);
  }
  MutexLock lock(store_->mu_);
  KeyUser& to = store_->users_[new_uid];
  ++to.keys;
  to.instantiated += is_instantiated ? 1 : 0;
  KeyUser& from = store_->users_[uid];
  from.instantiated -= is_instantiated ? 1 : 0;
  if (--from.keys == 0) store_->users_.erase(uid);
  uid = new_uid;
  return Ok();
}

Key* Key::FindLink(KeyType link_type, std::string_view link_description) const {
  auto found = links_.find(Index(link_type, link_description));
  return found == links_.end() ? nullptr : found->second.get();
}

Result<void> Key::Link(RefPtr<Key> key) {
  const Index index(key->type, key->description);
  if (auto found = links_.find(index); found != links_.end()) {
    if (found->second == key) return Ok();
    // The index is a view of the old key's description.
    RefPtr<Key> old = std::move(found->second);
    links_.erase(found);
    links_.emplace(index, std::move(key));
    return Ok();
  }
  if (links_.size() == charged_links_) {
    ASSIGN_OR_RETURN(IpcCharge more, IpcCharge::Take(kLinkOverhead));
    charge_.Add(std::move(more));
    ++charged_links_;
  }
  RETURN_IF_ERROR(SetDataLength(data_length_ + kLinkQuota));
  links_.emplace(index, std::move(key));
  return Ok();
}

void Key::Unlink(const Key& key) {
  auto found = links_.find(Index(key.type, key.description));
  if (found == links_.end() || found->second != &key) return;
  RefPtr<Key> unlinked = std::move(found->second);  // the index is a view of its description
  links_.erase(found);
  (void)SetDataLength(data_length_ - kLinkQuota);
}

void Key::Clear() {
  links_.clear();
  (void)SetDataLength(0);
}

void Key::DropGarbage() {
  absl::erase_if(links_, [](const auto& link) { return link.second->IsGarbage(); });
  (void)SetDataLength(static_cast<int64_t>(links_.size()) * kLinkQuota);
}

}  // namespace runsc
