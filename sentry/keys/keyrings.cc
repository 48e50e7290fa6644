// Making, finding and linking keys.
#include "sentry/keys/keyrings.h"

#include <algorithm>

namespace runsc {
namespace {

constexpr size_t kMaxPayload = 32767;  // of a user or logon key
constexpr int kMaxDepth = 6;
constexpr uint32_t kNegativeSeconds = 60;  // key_negative_timeout

// Linux: key_alloc()'s caller. Who may be read or updated is the type's matter.
uint32_t DefaultPermissions(KeyType type) {
  uint32_t possessor = kKeyView | kKeySearch | kKeyLink | kKeySetAttributes | kKeyWrite;
  if (type != KeyType::kLogon) possessor |= kKeyRead;
  return possessor << kKeyPossessorShift | kKeyView << kKeyUserShift;
}

KeyOptions OptionsFor(const Credentials& creds, KeyType type, std::string description) {
  return {.type = type,
          .description = std::move(description),
          .uid = creds.fsuid,
          .gid = creds.fsgid,
          .permissions = DefaultPermissions(type)};
}

Result<void> CheckDescription(KeyType type, std::string_view description) {
  // The description of a logon key begins with a service's name.
  const size_t colon = description.find(':');
  if (type == KeyType::kLogon && (colon == std::string_view::npos || colon == 0)) return Errno(EINVAL);
  return Ok();
}

Result<void> CheckPayload(KeyType type, std::string_view payload) {
  const bool valid =
      type == KeyType::kKeyring ? payload.empty() : !payload.empty() && payload.size() <= kMaxPayload;
  return valid ? Ok() : Result<void>(Errno(EINVAL));
}

// Linux: keyring_detect_cycle(): EDEADLK, and ELOOP for a tree that is too deep to tell. Levels are sets, as
// there may be more ways through the tree than anybody could go.
Result<void> CheckNoCycle(const Key& into, const Key& tree) {
  if (&into == &tree) return Errno(EDEADLK);
  absl::flat_hash_set<const Key*> level;
  level.insert(&tree);
  for (int depth = 0; !level.empty(); ++depth) {
    if (depth > kMaxDepth) return Errno(ELOOP);
    absl::flat_hash_set<const Key*> next;
    for (const Key* at : level) {
      for (const auto& [index, key] : at->links()) {
        if (!key->IsKeyring()) break;
        if (key == &into) return Errno(EDEADLK);
        next.insert(key.get());
      }
    }
    level = std::move(next);
  }
  return Ok();
}

}  // namespace

Keyrings::Keyrings() : store_(MakeRef<KeyStore>()) {}

Keyrings::~Keyrings() = default;

// Linux: copy_creds().
Result<void> Keyrings::Inherit(const KeyCaller& parent, TaskKeyrings& child, bool is_thread) {
  MutexLock lock(mu_);
  child.session = parent.keyrings.session;
  child.request_destination = parent.keyrings.request_destination;
  if (!is_thread) return Ok();
  child.process = parent.keyrings.process;
  if (parent.keyrings.thread) {
    ASSIGN_OR_RETURN(child.thread, MakeTaskKeyringLocked(parent.creds, "_tid"));
  }
  return Ok();
}

void Keyrings::OnExec(TaskKeyrings& keyrings) {
  MutexLock lock(mu_);
  keyrings.thread.reset();
  keyrings.process.reset();
}

void Keyrings::Release(TaskKeyrings& keyrings) {
  MutexLock lock(mu_);
  keyrings = {};
}

// Linux: key_fsuid_changed().
void Keyrings::OnNewIds(TaskKeyrings& keyrings, const Credentials& creds) {
  MutexLock lock(mu_);
  if (!keyrings.thread) return;
  (void)keyrings.thread->SetUser(creds.fsuid);  // beyond a quota it stays the old user's
  keyrings.thread->gid = creds.fsgid;
}

Result<KeyRef> Keyrings::LookupKeyringLocked(const KeyCaller& caller, int32_t id, uint32_t needed,
                                             bool create) {
  ASSIGN_OR_RETURN(KeyRef ref, LookupLocked(caller, id, needed, {.create = create}));
  if (!ref.key->IsKeyring()) return Errno(ENOTDIR);
  return ref;
}

Result<void> Keyrings::LinkLocked(Key& keyring, RefPtr<Key> key) {
  if (!keyring.IsKeyring()) return Errno(ENOTDIR);
  keyring.DropGarbage();
  if (keyring.is_restricted) return Errno(EPERM);
  if (key->IsKeyring()) RETURN_IF_ERROR(CheckNoCycle(keyring, *key));
  return keyring.Link(std::move(key));
}

Result<int32_t> Keyrings::Add(const KeyCaller& caller, std::string_view type,
                              std::optional<std::string> description, std::string payload, int32_t keyring) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ring, LookupLocked(caller, keyring, kKeyWrite, {.create = true}));
  const std::optional<KeyType> known = KeyTypeByName(type);
  if (!known) return Errno(ENODEV);
  if (!ring.key->IsKeyring()) return Errno(ENOTDIR);
  RETURN_IF_ERROR(CheckPayload(*known, payload));
  if (!description) return Errno(EINVAL);
  ring.key->DropGarbage();
  if (ring.key->is_restricted) return Errno(EPERM);
  if (Key* old = *known == KeyType::kKeyring ? nullptr : ring.key->FindLink(*known, *description);
      old != nullptr && !old->IsDead()) {
    if (!old->Allows(caller.creds, ring.is_possessed, kKeyWrite)) return Errno(EACCES);
    RETURN_IF_ERROR(old->SetPayload(std::move(payload)));
    return old->serial;
  }
  RETURN_IF_ERROR(CheckDescription(*known, *description));
  ASSIGN_OR_RETURN(RefPtr<Key> made,
                   Key::Make(store_, OptionsFor(caller.creds, *known, std::move(*description))));
  if (!made->IsKeyring()) RETURN_IF_ERROR(made->SetPayload(std::move(payload)));
  RETURN_IF_ERROR(ring.key->Link(made));
  return made->serial;
}

// Linux: construct_get_dest_keyring().
Result<RefPtr<Key>> Keyrings::DefaultDestinationLocked(const KeyCaller& caller) {
  const TaskKeyrings& own = caller.keyrings;
  RefPtr<Key> keyring;
  switch (own.request_destination) {
    case KEY_REQKEY_DEFL_DEFAULT:
    case KEY_REQKEY_DEFL_REQUESTOR_KEYRING:
    case KEY_REQKEY_DEFL_THREAD_KEYRING:
      if ((keyring = own.thread)) break;
      [[fallthrough]];
    case KEY_REQKEY_DEFL_PROCESS_KEYRING:
      if ((keyring = own.process)) break;
      [[fallthrough]];
    case KEY_REQKEY_DEFL_SESSION_KEYRING:
      if ((keyring = own.session)) break;
      [[fallthrough]];
    default: {
      ASSIGN_OR_RETURN(UserKeyrings of_user, UserKeyringsLocked(caller.creds));
      keyring = own.request_destination == KEY_REQKEY_DEFL_USER_KEYRING ? of_user.user : of_user.session;
    }
  }
  // Who has joined a session keyring was not asked whether it may write there.
  if (!keyring->Allows(caller.creds, true, kKeyWrite)) return Errno(EACCES);
  return keyring;
}

Result<int32_t> Keyrings::Request(const KeyCaller& caller, std::string_view type,
                                  const std::string& description, bool may_make, int32_t destination) {
  MutexLock lock(mu_);
  RefPtr<Key> into;
  if (destination != 0) {
    ASSIGN_OR_RETURN(KeyRef ref, LookupLocked(caller, destination, kKeyWrite, {.create = true}));
    into = std::move(ref.key);
  }
  const std::optional<KeyType> known = KeyTypeByName(type);
  if (!known) return Errno(ENOKEY);
  Result<KeyRef> found = SearchTaskLocked(caller, {nullptr, *known, description, true});
  if (found.ok()) {
    if (into) {
      if (!found->key->Allows(caller.creds, found->is_possessed, kKeyLink)) return Errno(EACCES);
      RETURN_IF_ERROR(LinkLocked(*into, found->key));
    }
    return found->key->serial;
  }
  if (!found.is(EAGAIN)) return found.error();
  if (!may_make) return Errno(ENOKEY);
  if (*known == KeyType::kKeyring) return Errno(EPERM);
  if (!into) {
    ASSIGN_OR_RETURN(into, DefaultDestinationLocked(caller));
  }
  RETURN_IF_ERROR(CheckDescription(*known, description));
  ASSIGN_OR_RETURN(RefPtr<Key> made, Key::Make(store_, OptionsFor(caller.creds, *known, description)));
  RETURN_IF_ERROR(LinkLocked(*into, made));
  // As where there is no /sbin/request-key: the first to ask learns so, the next find the negative key.
  made->Reject(ENOKEY);
  made->SetTimeout(kNegativeSeconds);
  return Errno(ENOENT);
}

Result<int32_t> Keyrings::IdOf(const KeyCaller& caller, int32_t id, bool create) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ref, LookupLocked(caller, id, kKeySearch, {.create = create}));
  return ref.key->serial;
}

Result<int32_t> Keyrings::JoinSession(const KeyCaller& caller, const std::optional<std::string>& name) {
  RefPtr<Key> left;
  MutexLock lock(mu_);
  RefPtr<Key> joined;
  if (!name) {
    ASSIGN_OR_RETURN(joined, MakeSessionLocked(caller));
  } else {
    if (name->starts_with('.')) return Errno(EPERM);
    joined = FindNamedLocked(caller.creds, *name);
    if (!joined) {
      ASSIGN_OR_RETURN(joined,
                       Key::Make(store_, {.description = *name,
                                          .uid = caller.creds.ruid,
                                          .gid = caller.creds.rgid,
                                          .permissions = kKeyAll << kKeyPossessorShift |
                                                         (kKeyView | kKeyRead | kKeyLink) << kKeyUserShift}));
    }
  }
  left = std::exchange(caller.keyrings.session, joined);
  return joined->serial;
}

Result<void> Keyrings::Clear(const KeyCaller& caller, int32_t keyring) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ref, LookupKeyringLocked(caller, keyring, kKeyWrite, true));
  ref.key->Clear();
  return Ok();
}

Result<void> Keyrings::Link(const KeyCaller& caller, int32_t id, int32_t keyring) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ring, LookupLocked(caller, keyring, kKeyWrite, {.create = true}));
  ASSIGN_OR_RETURN(KeyRef ref, LookupLocked(caller, id, kKeyLink, {.create = true}));
  return LinkLocked(*ring.key, std::move(ref.key));
}

Result<void> Keyrings::Unlink(const KeyCaller& caller, int32_t id, int32_t keyring) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ring, LookupLocked(caller, keyring, kKeyWrite));
  ASSIGN_OR_RETURN(KeyRef ref, LookupLocked(caller, id, 0, {.unchecked = true}));
  if (!ring.key->IsKeyring()) return Errno(ENOTDIR);
  if (!ring.key->Holds(*ref.key)) return Errno(ENOENT);
  ring.key->Unlink(*ref.key);
  return Ok();
}

// Linux: key_move().
Result<void> Keyrings::Move(const KeyCaller& caller, int32_t id, int32_t from, int32_t to, bool exclusive) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ref, LookupLocked(caller, id, kKeyLink, {.create = true}));
  ASSIGN_OR_RETURN(KeyRef source, LookupLocked(caller, from, kKeyWrite));
  ASSIGN_OR_RETURN(KeyRef target, LookupLocked(caller, to, kKeyWrite, {.create = true}));
  if (source.key == target.key) return Ok();
  if (!source.key->IsKeyring() || !target.key->IsKeyring()) return Errno(ENOTDIR);
  if (!source.key->Holds(*ref.key)) return Errno(ENOENT);
  const Key* there = target.key->FindLink(ref.key->type, ref.key->description);
  if (exclusive && there != nullptr) return Errno(EEXIST);
  RETURN_IF_ERROR(LinkLocked(*target.key, ref.key));
  source.key->Unlink(*ref.key);
  return Ok();
}

Result<int32_t> Keyrings::Search(const KeyCaller& caller, int32_t keyring, std::string_view type,
                                 std::string_view description, int32_t destination) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ring, LookupLocked(caller, keyring, kKeySearch));
  RefPtr<Key> into;
  if (destination != 0) {
    ASSIGN_OR_RETURN(KeyRef ref, LookupLocked(caller, destination, kKeyWrite, {.create = true}));
    into = std::move(ref.key);
  }
  const std::optional<KeyType> known = KeyTypeByName(type);
  if (!known) return Errno(ENOKEY);
  Result<KeyRef> found = SearchTreeLocked(caller.creds, ring, {nullptr, *known, description, true});
  if (found.is(EAGAIN)) return Errno(ENOKEY);
  RETURN_IF_ERROR(found);
  if (into) {
    if (!found->key->Allows(caller.creds, found->is_possessed, kKeyLink)) return Errno(EACCES);
    RETURN_IF_ERROR(LinkLocked(*into, found->key));
  }
  return found->key->serial;
}

Result<void> Keyrings::Restrict(const KeyCaller& caller, int32_t keyring,
                                const std::optional<std::string>& type) {
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef ref, LookupKeyringLocked(caller, keyring, kKeySetAttributes, false));
  if (type) return Errno(KeyTypeByName(*type) ? ENOENT : ENOKEY);
  if (ref.key->is_restricted) return Errno(EEXIST);
  ref.key->is_restricted = true;
  return Ok();
}

Result<int32_t> Keyrings::GetPersistent(const KeyCaller& caller, Uid uid, int32_t destination) {
  const Credentials& creds = caller.creds;
  uid = uid == UINT32_MAX ? creds.ruid : creds.user_ns->ToKernelUid(uid);
  if (uid == kNoId) return Errno(EINVAL);
  if (uid != creds.ruid && uid != creds.euid && !creds.HasOwnCapability(CAP_SETUID)) return Errno(EPERM);
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef into, LookupLocked(caller, destination, kKeyWrite, {.create = true}));
  if (!into.key->IsKeyring()) return Errno(ENOTDIR);
  ASSIGN_OR_RETURN(RefPtr<Key> keyring, PersistentLocked(uid));
  RETURN_IF_ERROR(LinkLocked(*into.key, keyring));
  return keyring->serial;
}

Result<int> Keyrings::SetRequestDestination(const KeyCaller& caller, int destination) {
  MutexLock lock(mu_);
  const int old = caller.keyrings.request_destination;
  switch (destination) {
    case KEY_REQKEY_DEFL_NO_CHANGE:
      return old;
    case KEY_REQKEY_DEFL_THREAD_KEYRING:
      RETURN_IF_ERROR(SpecialLocked(caller, KEY_SPEC_THREAD_KEYRING, true));
      break;
    case KEY_REQKEY_DEFL_PROCESS_KEYRING:
      RETURN_IF_ERROR(SpecialLocked(caller, KEY_SPEC_PROCESS_KEYRING, true));
      break;
    case KEY_REQKEY_DEFL_DEFAULT:
    case KEY_REQKEY_DEFL_SESSION_KEYRING:
    case KEY_REQKEY_DEFL_USER_KEYRING:
    case KEY_REQKEY_DEFL_USER_SESSION_KEYRING:
    case KEY_REQKEY_DEFL_REQUESTOR_KEYRING:
      break;
    default:
      return Errno(EINVAL);
  }
  caller.keyrings.request_destination = destination;
  return old;
}

// Linux: keyctl_session_to_parent().
Result<void> Keyrings::SessionToParent(const KeyCaller& caller, TaskKeyrings& parent,
                                       const Credentials& parent_creds) {
  const Credentials& own = caller.creds;
  const Credentials& other = parent_creds;
  RefPtr<Key> left;
  MutexLock lock(mu_);
  ASSIGN_OR_RETURN(KeyRef session, LookupLocked(caller, KEY_SPEC_SESSION_KEYRING, kKeyLink));
  if (parent.session == session.key) return Ok();
  if (other.ruid != own.euid || other.euid != own.euid || other.suid != own.euid || other.rgid != own.egid ||
      other.egid != own.egid || other.sgid != own.egid)
    return Errno(EPERM);
  if ((parent.session && parent.session->uid != own.euid) || session.key->uid != own.euid)
    return Errno(EPERM);
  left = std::exchange(parent.session, session.key);
  return Ok();
}

}  // namespace runsc
