// Key: a secret or a keyring, with an owner, permissions and a life time; and the user whose quota it counts
// in.
//
// Threading: the fields of a key are guarded by the lock of its Keyrings (keyrings.h), unless they are const.
// References may be dropped anywhere, with or without that lock.
// Linux counterpart: struct key, struct key_user; keyrings(7).
#ifndef SENTRY_KEYS_KEY_H_
#define SENTRY_KEYS_KEY_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/auth/credentials.h"
#include "sentry/ipc/ipc_object.h"

namespace runsc {

class Key;

enum class KeyType : uint8_t { kKeyring, kUser, kLogon };
std::optional<KeyType> KeyTypeByName(std::string_view name);
const char* NameOf(KeyType type);

// What a key's permissions grant, each to possessor, user, group and others: these bits << 24, 16, 8 and 0.
inline constexpr uint32_t kKeyView = 0x01, kKeyRead = 0x02, kKeyWrite = 0x04, kKeySearch = 0x08,
                          kKeyLink = 0x10, kKeySetAttributes = 0x20, kKeyAll = 0x3f;
inline constexpr int kKeyPossessorShift = 24, kKeyUserShift = 16, kKeyGroupShift = 8;

// What the keys of one user take up.
struct KeyUser {
  int keys = 0, instantiated = 0;           // all of them
  int64_t quota_keys = 0, quota_bytes = 0;  // those that count
};

// /proc/sys/kernel/keys.
struct KeyLimits {
  std::atomic<int64_t> keys{200}, bytes{20000};
  std::atomic<int64_t> root_keys{1000000}, root_bytes{25000000};
  std::atomic<int64_t> gc_delay{300};  // seconds
  std::atomic<int64_t> persistent_expiry{3 * 24 * 3600};
};

// All keys by number, and the accounts of their users. It goes with the last key.
class KeyStore final : public RefCounted {
 public:
  KeyLimits limits;
  RefPtr<Key> Find(int32_t serial) const;  // null: none
  std::vector<RefPtr<Key>> All() const;    // by number
  std::vector<std::pair<Uid, KeyUser>> Users() const;

 private:
  friend class Key;
  int32_t Add(Key& key);
  void Remove(Key& key);
  // EDQUOT, unless `overrun`.
  Result<void> Charge(Uid uid, int keys, int64_t bytes, bool overrun);
  void CountInstantiated(Uid uid);
  int64_t MaxKeys(Uid uid) const { return uid == 0 ? limits.root_keys : limits.keys; }
  int64_t MaxBytes(Uid uid) const { return uid == 0 ? limits.root_bytes : limits.bytes; }

  mutable Mutex mu_{LockRank::kLeaf};
  absl::btree_map<int32_t, Key*> keys_ ABSL_GUARDED_BY(mu_);
  absl::btree_map<Uid, KeyUser> users_ ABSL_GUARDED_BY(mu_);  // those that have keys
};

struct KeyOptions {
  KeyType type = KeyType::kKeyring;
  std::string description;
  Uid uid = 0;
  Gid gid = 0;
  uint32_t permissions = 0;
  enum class Quota : uint8_t { kChecked, kOverrun, kNone } quota = Quota::kChecked;
};

class Key final : public RefCounted {
 public:
  static constexpr Gid kNoGroup = UINT32_MAX;

  // EDQUOT; ENOMEM: keys may not take up more of the Sentry. Without content.
  static Result<RefPtr<Key>> Make(RefPtr<KeyStore> store, KeyOptions options);
  ~Key() override;

  // Whether `wanted` is granted; `possessed`: the caller found it in a keyring of its own.
  bool Allows(const Credentials& creds, bool possessed, uint32_t wanted) const;
  // ENOKEY: invalidated; EKEYREVOKED; EKEYEXPIRED.
  Result<void> Validate() const;
  bool IsExpired() const;
  // Whether nobody will get anything from it any more, for as long as Linux keeps the remains.
  bool IsGarbage() const;
  bool IsKeyring() const { return type == KeyType::kKeyring; }
  bool IsDead() const { return is_revoked || is_invalidated; }
  void SetTimeout(int64_t seconds);  // from now; 0: none
  void Revoke();
  // The content of a key that is no keyring; it is positive then. EDQUOT, ENOMEM.
  Result<void> SetPayload(std::string content);
  void Reject(int error);
  // chown: the quota goes along. EDQUOT.
  Result<void> SetUser(Uid new_uid);

  // --- of a keyring ---
  using Index = std::pair<KeyType, std::string_view>;  // the latter of the key itself
  using Links = absl::btree_map<Index, RefPtr<Key>>;
  const Links& links() const { return links_; }
  // Null: no such.
  Key* FindLink(KeyType link_type, std::string_view link_description) const;
  bool Holds(const Key& key) const { return FindLink(key.type, key.description) == &key; }
  // In place of one of the same type and description. EDQUOT, ENOMEM; after PrepareLink() never.
  Result<void> Link(RefPtr<Key> key);
  void Unlink(const Key& key);
  void Clear();
  void DropGarbage();

  const KeyType type;
  const std::string description;
  int32_t serial = 0;  // fixed once it is in the store
  Uid uid;
  Gid gid;  // kNoGroup: none
  uint32_t permissions;
  int64_t expiry = 0;      // CLOCK_REALTIME, seconds; 0: never
  int negative_error = 0;  // nonzero: a negative key, and what it answers
  std::string payload;
  bool in_quota = false;
  bool is_instantiated = false;
  bool is_revoked = false, is_invalidated = false;
  bool is_restricted = false;    // a keyring that takes no more links
  bool is_user_keyring = false;  // a user's own, or the session one that it has for want of another
  bool is_persistent = false;

  uint64_t data_length() const { return static_cast<uint64_t>(data_length_); }  // as quotas count it

 private:
  Key(RefPtr<KeyStore> store, KeyOptions options);
  Result<void> SetDataLength(int64_t length);
  void MarkInstantiated();

  const RefPtr<KeyStore> store_;
  int64_t data_length_ = 0;
  IpcCharge charge_, payload_charge_;
  size_t charged_links_ = 0;
  Links links_;
};

}  // namespace runsc

#endif  // SENTRY_KEYS_KEY_H_
