#include "sentry/syscalls/sys_keys.h"

#include <algorithm>

#include "sentry/kernel/kernel.h"

#ifndef KEYCTL_WATCH_KEY
#define KEYCTL_WATCH_KEY 32
#endif

namespace runsc {
namespace {

constexpr size_t kMaxTypeSize = 32, kMaxDescriptionSize = 4096;  // with their NULs
constexpr uint64_t kMaxPayload = (1 << 20) - 1;
constexpr int kMaxErrno = 4095;

KeyCaller CallerOf(Task& task) { return {task.creds(), task.keyrings()}; }

// Linux: key_get_type_from_user().
Result<std::string> ReadType(Task& task, UserAddr address) {
  Result<std::string> type = task.memory().ReadString(address, kMaxTypeSize, EINVAL);
  if (!type.ok()) return type;
  if (type->empty()) return Errno(EINVAL);
  if (type->starts_with('.')) return Errno(EPERM);
  return type;
}

Result<std::string> ReadDescription(Task& task, UserAddr address) {
  return task.memory().ReadString(address, kMaxDescriptionSize, EINVAL);
}

Result<std::string> ReadPayload(Task& task, UserAddr address, uint64_t length) {
  std::string payload(length, '\0');
  RETURN_IF_ERROR(
      task.memory().ReadArray(UserPtr<const char>(address), std::span(payload.data(), payload.size())));
  return payload;
}

// The whole content or nothing; how much there is in any case.
Result<int64_t> WriteContent(Task& task, std::string_view content, uint64_t buffer, uint64_t length) {
  if (buffer != 0 && content.size() <= length)
    RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<char>(buffer), std::span<const char>(content)));
  return static_cast<int64_t>(content.size());
}
Result<int64_t> WriteString(Task& task, const std::string& text, uint64_t buffer, uint64_t length) {
  return WriteContent(task, std::string_view(text.c_str(), text.size() + 1), buffer, length);
}

Result<int64_t> JoinSession(Task& task, UserAddr name) {
  std::optional<std::string> text;
  if (!name.is_null()) {
    ASSIGN_OR_RETURN(text, ReadDescription(task, name));
  }
  ASSIGN_OR_RETURN(int32_t id, task.kernel().keyrings().JoinSession(CallerOf(task), text));
  return id;
}

Result<int64_t> Update(Task& task, int32_t id, UserAddr payload, uint64_t length) {
  if (length > kPageSize) return Errno(EINVAL);
  ASSIGN_OR_RETURN(std::string content, ReadPayload(task, payload, length));
  RETURN_IF_ERROR(task.kernel().keyrings().Update(CallerOf(task), id, std::move(content)));
  return 0;
}

Result<int64_t> Search(Task& task, int32_t keyring, UserAddr type, UserAddr description,
                       int32_t destination) {
  ASSIGN_OR_RETURN(std::string type_name, ReadType(task, type));
  ASSIGN_OR_RETURN(std::string text, ReadDescription(task, description));
  ASSIGN_OR_RETURN(int32_t id,
                   task.kernel().keyrings().Search(CallerOf(task), keyring, type_name, text, destination));
  return id;
}

Result<int64_t> Restrict(Task& task, int32_t keyring, UserAddr type, UserAddr restriction) {
  if (type.is_null() != restriction.is_null()) return Errno(EINVAL);
  std::optional<std::string> type_name;
  if (!type.is_null()) {
    ASSIGN_OR_RETURN(type_name, ReadType(task, type));
    RETURN_IF_ERROR(task.memory().ReadString(restriction, kPageSize, EINVAL));
  }
  RETURN_IF_ERROR(task.kernel().keyrings().Restrict(CallerOf(task), keyring, type_name));
  return 0;
}

Result<int64_t> Capabilities(Task& task, UserAddr buffer, uint64_t length) {
  constexpr uint8_t kCapabilities[] = {KEYCTL_CAPS0_CAPABILITIES | KEYCTL_CAPS0_PERSISTENT_KEYRINGS |
                                           KEYCTL_CAPS0_INVALIDATE | KEYCTL_CAPS0_RESTRICT_KEYRING |
                                           KEYCTL_CAPS0_MOVE,
                                       KEYCTL_CAPS1_NS_KEYRING_NAME | KEYCTL_CAPS1_NS_KEY_TAG};
  if (length > 0) {
    const size_t size = std::min<uint64_t>(length, sizeof(kCapabilities));
    RETURN_IF_ERROR(task.memory().WriteArray(UserPtr<uint8_t>(buffer), std::span(kCapabilities).first(size)));
    if (task.memory().ZeroOut(buffer + size, length - size) != length - size) return Errno(EFAULT);
  }
  return sizeof(kCapabilities);
}

// What makes a key in answer to a request: nobody is ever asked to, so nobody may.
Result<int64_t> Reject(uint32_t error) {
  const bool is_valid = error > 0 && error < kMaxErrno &&
                        !(error >= ERESTARTSYS && error <= ERESTARTNOHAND) && error != ERESTART_RESTARTBLOCK;
  return Errno(is_valid ? EPERM : EINVAL);
}

Result<int64_t> SessionToParent(Task& task) {
  RefPtr<ThreadGroup> group = task.thread_group().parent();
  if (!group || group->pid() <= 1) return Errno(EPERM);
  std::vector<RefPtr<Task>> tasks = group->Tasks();
  if (tasks.size() != 1) return Errno(EPERM);
  RefPtr<const Credentials> creds = tasks[0]->GetCreds();
  if (!creds) return Errno(EPERM);
  RETURN_IF_ERROR(task.kernel().keyrings().SessionToParent(CallerOf(task), tasks[0]->keyrings(), *creds));
  return 0;
}

Result<int64_t> Done(Result<void> result) {
  RETURN_IF_ERROR(result);
  return 0;
}
template <typename Number>
Result<int64_t> Done(Result<Number> result) {
  RETURN_IF_ERROR(result);
  return *result;
}

}  // namespace

Result<int64_t> SysAddKey(Task& task, UserCString type, UserCString description, ConstUserBuffer payload,
                          uint64_t length, int32_t keyring) {
  if (length > kMaxPayload) return Errno(EINVAL);
  ASSIGN_OR_RETURN(std::string type_name, ReadType(task, type.addr));
  std::optional<std::string> text;
  if (!description.is_null()) {
    ASSIGN_OR_RETURN(text, ReadDescription(task, description.addr));
    if (text->starts_with('.') && type_name.starts_with(NameOf(KeyType::kKeyring))) return Errno(EPERM);
    if (text->empty()) text.reset();
  }
  ASSIGN_OR_RETURN(std::string content, ReadPayload(task, payload.addr, length));
  return Done(
      task.kernel().keyrings().Add(CallerOf(task), type_name, std::move(text), std::move(content), keyring));
}

Result<int64_t> SysRequestKey(Task& task, UserCString type, UserCString description, UserCString callout,
                              int32_t destination) {
  ASSIGN_OR_RETURN(std::string type_name, ReadType(task, type.addr));
  ASSIGN_OR_RETURN(std::string text, ReadDescription(task, description.addr));
  if (!callout.is_null()) RETURN_IF_ERROR(task.memory().ReadString(callout.addr, kPageSize, EINVAL));
  return Done(
      task.kernel().keyrings().Request(CallerOf(task), type_name, text, !callout.is_null(), destination));
}

Result<int64_t> SysKeyctl(Task& task, int operation, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  Keyrings& keyrings = task.kernel().keyrings();
  const KeyCaller caller = CallerOf(task);
  const auto id = static_cast<int32_t>(a);
  switch (operation) {
    case KEYCTL_GET_KEYRING_ID:
      return Done(keyrings.IdOf(caller, id, static_cast<int>(b) != 0));
    case KEYCTL_JOIN_SESSION_KEYRING:
      return JoinSession(task, UserAddr(a));
    case KEYCTL_UPDATE:
      return Update(task, id, UserAddr(b), c);
    case KEYCTL_REVOKE:
      return Done(keyrings.Revoke(caller, id));
    case KEYCTL_CHOWN:
      return Done(keyrings.ChangeOwner(caller, id, static_cast<Uid>(b), static_cast<Gid>(c)));
    case KEYCTL_SETPERM:
      return Done(keyrings.SetPermissions(caller, id, static_cast<uint32_t>(b)));
    case KEYCTL_DESCRIBE: {
      ASSIGN_OR_RETURN(std::string text, keyrings.Describe(caller, id));
      return WriteString(task, text, b, c);
    }
    case KEYCTL_CLEAR:
      return Done(keyrings.Clear(caller, id));
    case KEYCTL_LINK:
      return Done(keyrings.Link(caller, id, static_cast<int32_t>(b)));
    case KEYCTL_UNLINK:
      return Done(keyrings.Unlink(caller, id, static_cast<int32_t>(b)));
    case KEYCTL_SEARCH:
      return Search(task, id, UserAddr(b), UserAddr(c), static_cast<int32_t>(d));
    case KEYCTL_READ: {
      ASSIGN_OR_RETURN(std::string content, keyrings.Read(caller, id));
      return WriteContent(task, content, b, c);
    }
    case KEYCTL_INSTANTIATE:
    case KEYCTL_INSTANTIATE_IOV:
    case KEYCTL_NEGATE:
      return Errno(EPERM);
    case KEYCTL_REJECT:
      return Reject(static_cast<uint32_t>(c));
    case KEYCTL_SET_REQKEY_KEYRING:
      return Done(keyrings.SetRequestDestination(caller, id));
    case KEYCTL_SET_TIMEOUT:
      return Done(keyrings.SetTimeout(caller, id, static_cast<uint32_t>(b)));
    case KEYCTL_ASSUME_AUTHORITY:
      if (id == 0) return 0;
      return Errno(id < 0 ? EINVAL : ENOKEY);
    case KEYCTL_GET_SECURITY:
      RETURN_IF_ERROR(keyrings.CheckSecurity(caller, id));
      return WriteString(task, {}, b, c);
    case KEYCTL_SESSION_TO_PARENT:
      return SessionToParent(task);
    case KEYCTL_INVALIDATE:
      return Done(keyrings.Invalidate(caller, id));
    case KEYCTL_GET_PERSISTENT:
      return Done(keyrings.GetPersistent(caller, static_cast<Uid>(a), static_cast<int32_t>(b)));
    case KEYCTL_RESTRICT_KEYRING:
      return Restrict(task, id, UserAddr(b), UserAddr(c));
    case KEYCTL_MOVE:
      if ((static_cast<uint32_t>(d) & ~uint32_t{KEYCTL_MOVE_EXCL}) != 0) return Errno(EINVAL);
      return Done(keyrings.Move(caller, id, static_cast<int32_t>(b), static_cast<int32_t>(c),
                                (d & KEYCTL_MOVE_EXCL) != 0));
    case KEYCTL_CAPABILITIES:
      return Capabilities(task, UserAddr(a), b);
    default:  // also KEYCTL_DH_COMPUTE, KEYCTL_PKEY_*, KEYCTL_WATCH_KEY: not built
      return Errno(EOPNOTSUPP);
  }
}

}  // namespace runsc
