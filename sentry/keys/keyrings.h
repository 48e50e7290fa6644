// Keyrings: what add_key(2), request_key(2) and keyctl(2) do. One a sandbox, with keys of its own: the host's
// are never touched.
//
// Threading: any thread. One lock guards all keys and the keyrings of all tasks (TaskKeyrings).
// Linux counterpart: security/keys; keyrings(7).
#ifndef SENTRY_KEYS_KEYRINGS_H_
#define SENTRY_KEYS_KEYRINGS_H_

#include <linux/keyctl.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "sentry/keys/key.h"

namespace runsc {

// What a task possesses keys through. Guarded by the lock of its Keyrings.
struct TaskKeyrings {
  RefPtr<Key> thread, process, session;  // null: not made yet
  int request_destination = KEY_REQKEY_DEFL_DEFAULT;
};

// On whose behalf something is done.
struct KeyCaller {
  const Credentials& creds;
  TaskKeyrings& keyrings;
};

// A key, and whether the caller has found it in its own keyrings.
struct KeyRef {
  RefPtr<Key> key;
  bool is_possessed = false;
};

// As /proc/keys shows it.
struct KeyStatus {
  int32_t serial;
  std::string flags;
  int64_t references;
  std::optional<int64_t> seconds_left;  // nothing: permanent
  uint32_t permissions;
  Uid uid;
  Gid gid;
  KeyType type;
  std::string description;  // and what the type tells of the content
};

class Keyrings {
 public:
  Keyrings();
  ~Keyrings();

  KeyLimits& limits() { return store_->limits; }
  std::vector<std::pair<Uid, KeyUser>> Users() const { return store_->Users(); }
  // Those that the caller may view.
  std::vector<KeyStatus> List(const KeyCaller& caller);

  // --- of tasks ---
  // clone(2). ENOMEM.
  Result<void> Inherit(const KeyCaller& parent, TaskKeyrings& child, bool is_thread);
  void OnExec(TaskKeyrings& keyrings);
  void Release(TaskKeyrings& keyrings);
  // The file system ids of a task's credentials have changed.
  void OnNewIds(TaskKeyrings& keyrings, const Credentials& creds);

  // --- keys; a keyring is named by number or KEY_SPEC_* ---
  // add_key(2): a new key, or a new content of one.
  Result<int32_t> Add(const KeyCaller& caller, std::string_view type, std::optional<std::string> description,
                      std::string payload, int32_t keyring);
  // request_key(2); `destination` 0: none. Nobody makes keys here, so one that has to be made becomes
  // negative.
  Result<int32_t> Request(const KeyCaller& caller, std::string_view type, const std::string& description,
                          bool may_make, int32_t destination);
  Result<int32_t> IdOf(const KeyCaller& caller, int32_t id, bool create);
  // The session keyring becomes a new one, or the one of that name.
  Result<int32_t> JoinSession(const KeyCaller& caller, const std::optional<std::string>& name);
  Result<void> Update(const KeyCaller& caller, int32_t id, std::string payload);
  Result<void> Revoke(const KeyCaller& caller, int32_t id);
  Result<void> Invalidate(const KeyCaller& caller, int32_t id);
  // UINT32_MAX leaves one as it is.
  Result<void> ChangeOwner(const KeyCaller& caller, int32_t id, Uid uid, Gid gid);
  Result<void> SetPermissions(const KeyCaller& caller, int32_t id, uint32_t permissions);
  Result<void> SetTimeout(const KeyCaller& caller, int32_t id, uint32_t seconds);
  Result<std::string> Describe(const KeyCaller& caller, int32_t id);
  Result<void> CheckSecurity(const KeyCaller& caller,
                             int32_t id);  // KEYCTL_GET_SECURITY: there are no labels
  // A keyring's content are the numbers of its keys.
  Result<std::string> Read(const KeyCaller& caller, int32_t id);
  Result<void> Clear(const KeyCaller& caller, int32_t keyring);
  Result<void> Link(const KeyCaller& caller, int32_t id, int32_t keyring);
  Result<void> Unlink(const KeyCaller& caller, int32_t id, int32_t keyring);
  Result<void> Move(const KeyCaller& caller, int32_t id, int32_t from, int32_t to, bool exclusive);
  Result<int32_t> Search(const KeyCaller& caller, int32_t keyring, std::string_view type,
                         std::string_view description, int32_t destination);
  // No more links. With a type: ENOENT, as no type here has a way to restrict; ENOKEY.
  Result<void> Restrict(const KeyCaller& caller, int32_t keyring, const std::optional<std::string>& type);
  Result<int32_t> GetPersistent(const KeyCaller& caller, Uid uid, int32_t destination);
  // The old one.
  Result<int> SetRequestDestination(const KeyCaller& caller, int destination);
  // `parent` gets the caller's session keyring. EPERM. The caller has seen to it that the parent has one
  // thread; `parent_creds` are that one's.
  Result<void> SessionToParent(const KeyCaller& caller, TaskKeyrings& parent,
                               const Credentials& parent_creds);

 private:
  struct LookupOptions {
    bool create = false;       // a keyring that is named specially and not there yet
    bool unusable = false;     // also a negative key
    bool unchecked = false;    // whatever its state and permissions
    bool for_reading = false;  // only the state is left to the caller
  };
  // What is searched for: a key itself, or type and description.
  struct Wanted {
    const Key* key = nullptr;
    KeyType type;
    std::string_view description;
    bool check_state = true;
  };
  struct UserKeyrings {
    RefPtr<Key> user, session;
  };

  // keyrings_lookup.cc
  Result<KeyRef> LookupLocked(const KeyCaller& caller, int32_t id, uint32_t needed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return LookupLocked(caller, id, needed, {});
  }
  Result<KeyRef> LookupLocked(const KeyCaller& caller, int32_t id, uint32_t needed, LookupOptions options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<KeyRef> SpecialLocked(const KeyCaller& caller, int32_t id, bool create)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<RefPtr<Key>> SessionLocked(const KeyCaller& caller, bool create) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<UserKeyrings> UserKeyringsLocked(const Credentials& creds) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<RefPtr<Key>> PersistentLocked(Uid uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<RefPtr<Key>> MakeTaskKeyringLocked(const Credentials& creds, const char* name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<RefPtr<Key>> MakeSessionLocked(const KeyCaller& caller) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  RefPtr<Key> FindNamedLocked(const Credentials& creds, std::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The session keyring that counts in searches; null: none.
  RefPtr<Key> SearchedSessionLocked(const KeyCaller& caller) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // EAGAIN: nothing there; else why what is there is of no use.
  Result<KeyRef> SearchTreeLocked(const Credentials& creds, const KeyRef& keyring, const Wanted& wanted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<KeyRef> SearchTaskLocked(const KeyCaller& caller, const Wanted& wanted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::flat_hash_set<const Key*> PossessedLocked(const KeyCaller& caller) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // keyrings.cc
  Result<KeyRef> LookupKeyringLocked(const KeyCaller& caller, int32_t id, uint32_t needed, bool create)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<void> LinkLocked(Key& keyring, RefPtr<Key> key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<RefPtr<Key>> DefaultDestinationLocked(const KeyCaller& caller) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const RefPtr<KeyStore> store_;
  mutable Mutex mu_{LockRank::kIpc};
  absl::btree_map<Uid, UserKeyrings> user_keyrings_ ABSL_GUARDED_BY(mu_);
  absl::btree_map<Uid, RefPtr<Key>> persistent_keyrings_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KEYS_KEYRINGS_H_
