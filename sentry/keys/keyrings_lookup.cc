// How a key is found: by number or special name, and whether the caller possesses it, which it does if a
// search of its own keyrings finds it.
#include <algorithm>

#include "sentry/keys/keyrings.h"

namespace runsc {
namespace {

constexpr int kMaxDepth = 6;  // KEYRING_SEARCH_MAX_DEPTH

constexpr uint32_t ForPossessor(uint32_t bits) { return bits << kKeyPossessorShift; }
constexpr uint32_t ForUser(uint32_t bits) { return bits << kKeyUserShift; }

}  // namespace

Result<RefPtr<Key>> Keyrings::MakeTaskKeyringLocked(const Credentials& creds, const char* name) {
  return Key::Make(store_, {.description = name,
                            .uid = creds.ruid,
                            .gid = creds.rgid,
                            .permissions = ForPossessor(kKeyAll) | ForUser(kKeyView),
                            .quota = KeyOptions::Quota::kOverrun});
}

Result<RefPtr<Key>> Keyrings::MakeSessionLocked(const KeyCaller& caller) {
  return Key::Make(
      store_, {.description = "_ses",
               .uid = caller.creds.ruid,
               .gid = caller.creds.rgid,
               .permissions = ForPossessor(kKeyAll) | ForUser(kKeyView | kKeyRead),
               .quota = caller.keyrings.session ? KeyOptions::Quota::kChecked : KeyOptions::Quota::kOverrun});
}

// Linux: look_up_user_keyrings().
Result<Keyrings::UserKeyrings> Keyrings::UserKeyringsLocked(const Credentials& creds) {
  const Uid uid = creds.ruid;
  if (auto found = user_keyrings_.find(uid); found != user_keyrings_.end()) return found->second;
  auto make = [&](std::string description) {
    return Key::Make(store_, {.description = std::move(description),
                              .uid = uid,
                              .gid = Key::kNoGroup,
                              .permissions = ForPossessor(kKeyAll & ~kKeySetAttributes) | ForUser(kKeyAll)});
  };
  UserKeyrings made;
  ASSIGN_OR_RETURN(made.user, make("_uid." + std::to_string(uid)));
  ASSIGN_OR_RETURN(made.session, make("_uid_ses." + std::to_string(uid)));
  made.user->is_user_keyring = made.session->is_user_keyring = true;
  RETURN_IF_ERROR(made.session->Link(made.user));
  user_keyrings_[uid] = made;
  return made;
}

// What has expired makes place for another one.
Result<RefPtr<Key>> Keyrings::PersistentLocked(Uid uid) {
  auto found = persistent_keyrings_.find(uid);
  if (found == persistent_keyrings_.end() || !found->second->Validate().ok()) {
    ASSIGN_OR_RETURN(RefPtr<Key> made,
                     Key::Make(store_, {.description = "_persistent." + std::to_string(uid),
                                        .uid = uid,
                                        .gid = Key::kNoGroup,
                                        .permissions = ForPossessor(kKeyAll & ~kKeySetAttributes) |
                                                       ForUser(kKeyView | kKeyRead),
                                        .quota = KeyOptions::Quota::kNone}));
    found = persistent_keyrings_.insert_or_assign(uid, std::move(made)).first;
  }
  found->second->SetTimeout(limits().persistent_expiry);
  return found->second;
}

Result<RefPtr<Key>> Keyrings::SessionLocked(const KeyCaller& caller, bool create) {
  RefPtr<Key>& session = caller.keyrings.session;
  if (create && (!session || session->is_user_keyring)) {
    ASSIGN_OR_RETURN(session, MakeSessionLocked(caller));
  } else if (!session) {
    ASSIGN_OR_RETURN(UserKeyrings of_user, UserKeyringsLocked(caller.creds));
    session = std::move(of_user.session);
  }
  return session;
}

Result<KeyRef> Keyrings::SpecialLocked(const KeyCaller& caller, int32_t id, bool create) {
  TaskKeyrings& own = caller.keyrings;
  switch (id) {
    case KEY_SPEC_THREAD_KEYRING:
      if (!own.thread) {
        if (!create) return Errno(ENOKEY);
        ASSIGN_OR_RETURN(own.thread, MakeTaskKeyringLocked(caller.creds, "_tid"));
      }
      return KeyRef{own.thread, true};
    case KEY_SPEC_PROCESS_KEYRING:
      if (!own.process) {
        if (!create) return Errno(ENOKEY);
        ASSIGN_OR_RETURN(own.process, MakeTaskKeyringLocked(caller.creds, "_pid"));
      }
      return KeyRef{own.process, true};
    case KEY_SPEC_SESSION_KEYRING: {
      ASSIGN_OR_RETURN(RefPtr<Key> session, SessionLocked(caller, create));
      return KeyRef{std::move(session), true};
    }
    case KEY_SPEC_USER_KEYRING:
    case KEY_SPEC_USER_SESSION_KEYRING: {
      ASSIGN_OR_RETURN(UserKeyrings of_user, UserKeyringsLocked(caller.creds));
      return KeyRef{id == KEY_SPEC_USER_KEYRING ? of_user.user : of_user.session, true};
    }
    case KEY_SPEC_REQKEY_AUTH_KEY:
    case KEY_SPEC_REQUESTOR_KEYRING:
      return Errno(ENOKEY);  // nobody is asked to make a key
    default:
      return Errno(EINVAL);
  }
}

// Linux: lookup_user_key().
Result<KeyRef> Keyrings::LookupLocked(const KeyCaller& caller, int32_t id, uint32_t needed,
                                      LookupOptions options) {
  KeyRef ref;
  if (id < 1) {
    ASSIGN_OR_RETURN(ref, SpecialLocked(caller, id, options.create));
  } else {
    ref.key = store_->Find(id);
    if (!ref.key) return Errno(ENOKEY);
    const Wanted wanted{ref.key.get(), ref.key->type, ref.key->description, false};
    ref.is_possessed = SearchTaskLocked(caller, wanted).ok();
  }
  if (options.unchecked || options.for_reading) return ref;
  Key& key = *ref.key;
  if (!options.unusable && key.negative_error != 0) return Errno(key.negative_error);
  RETURN_IF_ERROR(key.Validate());
  if (!key.Allows(caller.creds, ref.is_possessed, needed)) return Errno(EACCES);
  return ref;
}

RefPtr<Key> Keyrings::FindNamedLocked(const Credentials& creds, std::string_view name) {
  for (const RefPtr<Key>& key : store_->All()) {
    if (key->IsKeyring() && key->description == name && !key->IsDead() && !key->is_user_keyring &&
        key->Allows(creds, false, kKeySearch))
      return key;
  }
  return nullptr;
}

RefPtr<Key> Keyrings::SearchedSessionLocked(const KeyCaller& caller) const {
  if (caller.keyrings.session) return caller.keyrings.session;
  auto found = user_keyrings_.find(caller.creds.ruid);
  return found == user_keyrings_.end() ? nullptr : found->second.session;
}

// Linux: keyring_search_rcu(). A level of keyrings after the other, each keyring once: there may be more ways
// through them than anybody could go.
Result<KeyRef> Keyrings::SearchTreeLocked(const Credentials& creds, const KeyRef& keyring,
                                          const Wanted& wanted) {
  if (!keyring.key->IsKeyring()) return Errno(ENOTDIR);
  const bool possessed = keyring.is_possessed;
  if (!keyring.key->Allows(creds, possessed, kKeySearch)) return Errno(EACCES);
  Errno error(EAGAIN);
  auto is_found = [&](const Key& key) {
    if (wanted.key != nullptr ? &key != wanted.key
                              : key.type != wanted.type || key.description != wanted.description)
      return false;
    if (wanted.check_state && key.IsDead()) {
      error = Errno(EKEYREVOKED);
    } else if (wanted.check_state && key.IsExpired()) {
      error = Errno(EKEYEXPIRED);
    } else if (!key.Allows(creds, possessed, kKeySearch)) {
      error = Errno(EACCES);
    } else if (wanted.check_state && key.negative_error != 0) {
      error = Errno(key.negative_error);
    } else {
      return true;
    }
    return false;
  };
  if (is_found(*keyring.key)) return keyring;
  std::vector<Key*> level{keyring.key.get()}, next;
  absl::flat_hash_set<const Key*> seen;
  seen.insert(keyring.key.get());
  for (int depth = 0; depth <= kMaxDepth && !level.empty(); ++depth) {
    for (Key* at : level) {
      if (at->IsDead()) continue;
      if (Key* key = at->FindLink(wanted.type, wanted.description); key != nullptr && is_found(*key))
        return KeyRef{RefPtr<Key>(key), possessed};
      // Keyrings come first in the order of links.
      for (const auto& [index, key] : at->links()) {
        if (!key->IsKeyring()) break;
        if (key->Allows(creds, possessed, kKeySearch) && seen.insert(key.get()).second)
          next.push_back(key.get());
      }
    }
    level = std::exchange(next, {});
  }
  return error;
}

// Linux: search_cred_keyrings_rcu(), which of several errors prefers that of a negative key.
Result<KeyRef> Keyrings::SearchTaskLocked(const KeyCaller& caller, const Wanted& wanted) {
  std::optional<Errno> preferred;
  Errno error(EAGAIN);
  for (const RefPtr<Key>& keyring :
       {caller.keyrings.thread, caller.keyrings.process, SearchedSessionLocked(caller)}) {
    if (!keyring) continue;
    Result<KeyRef> found = SearchTreeLocked(caller.creds, KeyRef{keyring, true}, wanted);
    if (found.ok()) return found;
    if (found.is(ENOKEY) || (found.is(EAGAIN) && !preferred)) {
      preferred = found.error();
    } else if (!found.is(EAGAIN)) {
      error = found.error();
    }
  }
  return preferred ? *preferred : error;
}

absl::flat_hash_set<const Key*> Keyrings::PossessedLocked(const KeyCaller& caller) {
  absl::flat_hash_set<const Key*> possessed;
  std::vector<Key*> level, next;
  auto reach = [&](Key& key) {
    if (!key.Allows(caller.creds, true, kKeySearch) || !possessed.insert(&key).second) return;
    if (key.IsKeyring() && !key.IsDead()) next.push_back(&key);
  };
  for (const RefPtr<Key>& keyring :
       {caller.keyrings.thread, caller.keyrings.process, SearchedSessionLocked(caller)}) {
    if (keyring) reach(*keyring);
  }
  for (int depth = 0; depth <= kMaxDepth && !next.empty(); ++depth) {
    level = std::exchange(next, {});
    for (Key* at : level) {
      for (const auto& [index, key] : at->links()) reach(*key);
    }
  }
  return possessed;
}

}  // namespace runsc
