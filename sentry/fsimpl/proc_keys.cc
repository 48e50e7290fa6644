// /proc/keys, /proc/key-users and /proc/sys/kernel/keys. Linux: security/keys/proc.c.
#include <climits>

#include "sentry/fsimpl/proc_internal.h"
#include "sentry/keys/keyrings.h"

namespace runsc {
namespace {

std::string TimeText(const std::optional<int64_t>& seconds) {
  struct Unit {
    int64_t seconds, limit;
    char name;
  };
  constexpr int64_t kMinute = 60, kHour = 60 * kMinute, kDay = 24 * kHour, kWeek = 7 * kDay;
  constexpr Unit kUnits[] = {{1, kMinute, 's'},
                             {kMinute, kHour, 'm'},
                             {kHour, kDay, 'h'},
                             {kDay, kWeek, 'd'},
                             {kWeek, INT64_MAX, 'w'}};
  if (!seconds) return "perm";
  if (*seconds == 0) return "expd";
  for (const Unit& unit : kUnits) {
    if (*seconds < unit.limit) return fmt::format("{}{}", *seconds / unit.seconds, unit.name);
  }
  return "perm";
}

// Of the reader.
std::string KeysText(Kernel& kernel) {
  TextBuilder text;
  Task* reader = Task::CurrentOrNull();
  if (reader == nullptr) return {};
  const UserNamespace& viewer = *reader->creds().user_ns;
  for (const KeyStatus& key : kernel.keyrings().List({reader->creds(), reader->keyrings()})) {
    text.Add("{:08x} {} {:5} {:>4} {:08x} {:5} {:5} {:<9} {}\n", key.serial, key.flags, key.references,
             TimeText(key.seconds_left), key.permissions, viewer.VisibleUid(key.uid),
             key.gid == Key::kNoGroup ? kOverflowId : viewer.VisibleGid(key.gid), NameOf(key.type),
             key.description);
  }
  return text.Take();
}

std::string UsersText(Kernel& kernel) {
  TextBuilder text;
  const KeyLimits& limits = kernel.keyrings().limits();
  const UserNamespace& viewer = ReaderNamespace();
  for (const auto& [uid, user] : kernel.keyrings().Users()) {
    if (!viewer.MapsUid(uid)) continue;
    text.Add("{:5}: {:5} {}/{} {}/{} {}/{}\n", viewer.VisibleUid(uid), user.keys, user.keys,
             user.instantiated, user.quota_keys, (uid == 0 ? limits.root_keys : limits.keys).load(),
             user.quota_bytes, (uid == 0 ? limits.root_bytes : limits.bytes).load());
  }
  return text.Take();
}

}  // namespace

void AddKeyFiles(ProcFilesystem& filesystem, StaticDirectory& root) {
  Kernel& kernel = filesystem.kernel();
  root.Add("keys", MakeRef<FunctionInode>(filesystem, 0444,
                                          [&kernel]() -> Result<std::string> { return KeysText(kernel); }));
  root.Add("key-users", MakeRef<FunctionInode>(filesystem, 0444, [&kernel]() -> Result<std::string> {
             return UsersText(kernel);
           }));
  StaticDirectory& settings = root.Subdirectory("sys").Subdirectory("kernel").Subdirectory("keys");
  KeyLimits& limits = kernel.keyrings().limits();
  auto add = [&](const char* name, std::atomic<int64_t>& value) {
    auto reader = [&value]() -> Result<std::string> { return fmt::format("{}\n", value.load()); };
    auto writer = [&value](std::string_view text) -> Result<void> {
      ASSIGN_OR_RETURN(int64_t number, ParseNumber(text));
      if (number < 0 || number > INT_MAX) return Errno(EINVAL);
      value.store(number);
      return Ok();
    };
    settings.Add(name, MakeRef<FunctionInode>(filesystem, 0644, reader, writer));
  };
  add("maxkeys", limits.keys);
  add("maxbytes", limits.bytes);
  add("root_maxkeys", limits.root_keys);
  add("root_maxbytes", limits.root_bytes);
  add("gc_delay", limits.gc_delay);
  add("persistent_keyring_expiry", limits.persistent_expiry);
}

}  // namespace runsc
