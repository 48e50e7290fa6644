#include "sentry/syscalls/sys_credentials.h"

#include <linux/securebits.h>

#include <algorithm>

#include "sentry/kernel/kernel.h"

namespace runsc {
namespace {

constexpr uint32_t kUnchanged = UINT32_MAX;

// What a call gives for each id, in the kernel's terms. EINVAL: an id that has no mapping.
Result<Uid> ToKernelUid(const Credentials& creds, Uid uid) {
  const Uid kernel = creds.user_ns->ToKernelUid(uid);
  if (kernel == kNoId && uid != kUnchanged) return Errno(EINVAL);
  return kernel;
}
Result<Gid> ToKernelGid(const Credentials& creds, Gid gid) {
  const Gid kernel = creds.user_ns->ToKernelGid(gid);
  if (kernel == kNoId && gid != kUnchanged) return Errno(EINVAL);
  return kernel;
}

// What CAP_FS_SET is: the capabilities that the file-system user id brings.
constexpr CapabilitySet kFileCapabilities = [] {
  CapabilitySet set;
  for (int capability : {CAP_CHOWN, CAP_MKNOD, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID,
                         CAP_LINUX_IMMUTABLE, CAP_MAC_OVERRIDE})
    set.Add(capability);
  return set;
}();

// How capabilities follow a change of user ids (capabilities(7), "Effect of user ID changes").
void FollowUserIds(const Credentials& old, Credentials& creds) {
  if ((old.securebits & SECBIT_NO_SETUID_FIXUP) != 0) return;
  const Uid root = old.user_ns->RootUid();
  bool was_root = old.ruid == root || old.euid == root || old.suid == root;
  bool is_root = creds.ruid == root || creds.euid == root || creds.suid == root;
  if (was_root && !is_root) {
    if ((old.securebits & SECBIT_KEEP_CAPS) == 0) creds.permitted = creds.effective = CapabilitySet();
    creds.ambient = CapabilitySet();
  }
  if (old.euid == root && creds.euid != root) creds.effective = CapabilitySet();
  if (old.euid != root && creds.euid == root) creds.effective = creds.permitted;
}

Result<int64_t> CommitUserIds(Task& task, RefPtr<Credentials> creds) {
  creds->fsuid = creds->euid;
  FollowUserIds(task.creds(), *creds);
  task.CommitCreds(std::move(creds));
  return 0;
}

template <typename Id>
Result<int64_t> WriteThree(Task& task, UserPtr<Id> a, Id x, UserPtr<Id> b, Id y, UserPtr<Id> c, Id z) {
  RETURN_IF_ERROR(task.memory().Write(a, x));
  RETURN_IF_ERROR(task.memory().Write(b, y));
  RETURN_IF_ERROR(task.memory().Write(c, z));
  return 0;
}

}  // namespace

Result<int64_t> SysGetuid(Task& task) { return task.creds().user_ns->VisibleUid(task.creds().ruid); }
Result<int64_t> SysGeteuid(Task& task) { return task.creds().user_ns->VisibleUid(task.creds().euid); }
Result<int64_t> SysGetgid(Task& task) { return task.creds().user_ns->VisibleGid(task.creds().rgid); }
Result<int64_t> SysGetegid(Task& task) { return task.creds().user_ns->VisibleGid(task.creds().egid); }

Result<int64_t> SysGetresuid(Task& task, UserPtr<Uid> real, UserPtr<Uid> effective, UserPtr<Uid> saved) {
  const Credentials& creds = task.creds();
  const UserNamespace& space = *creds.user_ns;
  return WriteThree(task, real, space.VisibleUid(creds.ruid), effective, space.VisibleUid(creds.euid), saved,
                    space.VisibleUid(creds.suid));
}

Result<int64_t> SysGetresgid(Task& task, UserPtr<Gid> real, UserPtr<Gid> effective, UserPtr<Gid> saved) {
  const Credentials& creds = task.creds();
  const UserNamespace& space = *creds.user_ns;
  return WriteThree(task, real, space.VisibleGid(creds.rgid), effective, space.VisibleGid(creds.egid), saved,
                    space.VisibleGid(creds.sgid));
}

Result<int64_t> SysGetgroups(Task& task, int size, UserPtr<Gid> groups) {
  if (size < 0) return Errno(EINVAL);
  const std::vector<Gid>& own = task.creds().groups;
  if (size != 0) {
    if (static_cast<size_t>(size) < own.size()) return Errno(EINVAL);
    std::vector<Gid> shown = own;
    for (Gid& gid : shown) gid = task.creds().user_ns->VisibleGid(gid);
    RETURN_IF_ERROR(task.memory().WriteArray(groups, std::span<const Gid>(shown)));
  }
  return static_cast<int64_t>(own.size());
}

Result<int64_t> SysSetuid(Task& task, Uid uid) {
  if (uid == kUnchanged) return Errno(EINVAL);
  const Credentials& old = task.creds();
  ASSIGN_OR_RETURN(uid, ToKernelUid(old, uid));
  RefPtr<Credentials> creds = old.Clone();
  if (old.HasOwnCapability(CAP_SETUID)) {
    creds->ruid = creds->suid = uid;
  } else if (uid != old.ruid && uid != old.suid) {
    return Errno(EPERM);
  }
  creds->euid = uid;
  return CommitUserIds(task, std::move(creds));
}

Result<int64_t> SysSetgid(Task& task, Gid gid) {
  if (gid == kUnchanged) return Errno(EINVAL);
  const Credentials& old = task.creds();
  ASSIGN_OR_RETURN(gid, ToKernelGid(old, gid));
  RefPtr<Credentials> creds = old.Clone();
  if (old.HasOwnCapability(CAP_SETGID)) {
    creds->rgid = creds->sgid = gid;
  } else if (gid != old.rgid && gid != old.sgid) {
    return Errno(EPERM);
  }
  creds->egid = creds->fsgid = gid;
  task.CommitCreds(std::move(creds));
  return 0;
}

Result<int64_t> SysSetreuid(Task& task, Uid real, Uid effective) {
  const Credentials& old = task.creds();
  ASSIGN_OR_RETURN(real, ToKernelUid(old, real));
  ASSIGN_OR_RETURN(effective, ToKernelUid(old, effective));
  bool privileged = old.HasOwnCapability(CAP_SETUID);
  RefPtr<Credentials> creds = old.Clone();
  if (real != kUnchanged) {
    if (!privileged && real != old.ruid && real != old.euid) return Errno(EPERM);
    creds->ruid = real;
  }
  if (effective != kUnchanged) {
    if (!privileged && effective != old.ruid && effective != old.euid && effective != old.suid)
      return Errno(EPERM);
    creds->euid = effective;
  }
  if (real != kUnchanged || (effective != kUnchanged && effective != old.ruid)) creds->suid = creds->euid;
  return CommitUserIds(task, std::move(creds));
}

Result<int64_t> SysSetregid(Task& task, Gid real, Gid effective) {
  const Credentials& old = task.creds();
  ASSIGN_OR_RETURN(real, ToKernelGid(old, real));
  ASSIGN_OR_RETURN(effective, ToKernelGid(old, effective));
  bool privileged = old.HasOwnCapability(CAP_SETGID);
  RefPtr<Credentials> creds = old.Clone();
  if (real != kUnchanged) {
    if (!privileged && real != old.rgid && real != old.egid) return Errno(EPERM);
    creds->rgid = real;
  }
  if (effective != kUnchanged) {
    if (!privileged && effective != old.rgid && effective != old.egid && effective != old.sgid)
      return Errno(EPERM);
    creds->egid = effective;
  }
  if (real != kUnchanged || (effective != kUnchanged && effective != old.rgid)) creds->sgid = creds->egid;
  creds->fsgid = creds->egid;
  task.CommitCreds(std::move(creds));
  return 0;
}

Result<int64_t> SysSetresuid(Task& task, Uid real, Uid effective, Uid saved) {
  const Credentials& old = task.creds();
  for (Uid* uid : {&real, &effective, &saved}) {
    ASSIGN_OR_RETURN(*uid, ToKernelUid(old, *uid));
  }
  if (!old.HasOwnCapability(CAP_SETUID)) {
    for (Uid uid : {real, effective, saved}) {
      if (uid != kUnchanged && uid != old.ruid && uid != old.euid && uid != old.suid) return Errno(EPERM);
    }
  }
  RefPtr<Credentials> creds = old.Clone();
  if (real != kUnchanged) creds->ruid = real;
  if (effective != kUnchanged) creds->euid = effective;
  if (saved != kUnchanged) creds->suid = saved;
  return CommitUserIds(task, std::move(creds));
}

Result<int64_t> SysSetresgid(Task& task, Gid real, Gid effective, Gid saved) {
  const Credentials& old = task.creds();
  for (Gid* gid : {&real, &effective, &saved}) {
    ASSIGN_OR_RETURN(*gid, ToKernelGid(old, *gid));
  }
  if (!old.HasOwnCapability(CAP_SETGID)) {
    for (Gid gid : {real, effective, saved}) {
      if (gid != kUnchanged && gid != old.rgid && gid != old.egid && gid != old.sgid) return Errno(EPERM);
    }
  }
  RefPtr<Credentials> creds = old.Clone();
  if (real != kUnchanged) creds->rgid = real;
  if (effective != kUnchanged) creds->egid = effective;
  if (saved != kUnchanged) creds->sgid = saved;
  creds->fsgid = creds->egid;
  task.CommitCreds(std::move(creds));
  return 0;
}

// setfsuid(2) and setfsgid(2) return the old id, also when they may not change it.
Result<int64_t> SysSetfsuid(Task& task, Uid uid) {
  const Credentials& old = task.creds();
  const Uid previous = old.fsuid;
  const Uid shown = old.user_ns->VisibleUid(previous);
  uid = old.user_ns->ToKernelUid(uid);
  if (uid == kNoId || uid == previous) return shown;
  if (uid != old.ruid && uid != old.euid && uid != old.suid && !old.HasOwnCapability(CAP_SETUID))
    return shown;
  RefPtr<Credentials> creds = old.Clone();
  creds->fsuid = uid;
  if ((old.securebits & SECBIT_NO_SETUID_FIXUP) == 0) {
    const Uid root = old.user_ns->RootUid();
    if (previous == root && uid != root)
      creds->effective = CapabilitySet(creds->effective.bits() & ~kFileCapabilities.bits());
    if (previous != root && uid == root)
      creds->effective = creds->effective | (creds->permitted & kFileCapabilities);
  }
  task.CommitCreds(std::move(creds));
  return shown;
}

Result<int64_t> SysSetfsgid(Task& task, Gid gid) {
  const Credentials& old = task.creds();
  const Gid previous = old.fsgid;
  const Gid shown = old.user_ns->VisibleGid(previous);
  gid = old.user_ns->ToKernelGid(gid);
  if (gid == kNoId || gid == previous) return shown;
  if (gid != old.rgid && gid != old.egid && gid != old.sgid && !old.HasOwnCapability(CAP_SETGID))
    return shown;
  RefPtr<Credentials> creds = old.Clone();
  creds->fsgid = gid;
  task.CommitCreds(std::move(creds));
  return shown;
}

Result<int64_t> SysSetgroups(Task& task, uint32_t size, UserPtr<const Gid> groups) {
  constexpr uint32_t kMaxGroups = 65536;
  const UserNamespace& space = *task.creds().user_ns;
  if (!task.creds().HasOwnCapability(CAP_SETGID) || !space.MaySetGroups()) return Errno(EPERM);
  if (size > kMaxGroups) return Errno(EINVAL);
  RefPtr<Credentials> creds = task.creds().Clone();
  creds->groups.resize(size);
  RETURN_IF_ERROR(task.memory().ReadArray(groups, std::span<Gid>(creds->groups)));
  for (Gid& gid : creds->groups) {
    gid = space.ToKernelGid(gid);
    if (gid == kNoId) return Errno(EINVAL);
  }
  std::sort(creds->groups.begin(), creds->groups.end());
  task.SetCreds(std::move(creds));
  return 0;
}

namespace {

// How many 32-bit words a version has; EINVAL after writing the version that we prefer.
Result<int> WordsOf(Task& task, UserPtr<CapabilityHeader> user_header, const CapabilityHeader& header) {
  switch (header.version) {
    case _LINUX_CAPABILITY_VERSION_1:
      return 1;
    case _LINUX_CAPABILITY_VERSION_2:
    case _LINUX_CAPABILITY_VERSION_3:
      return 2;
    default: {
      uint32_t preferred = _LINUX_CAPABILITY_VERSION_3;
      RETURN_IF_ERROR(task.memory().Write(UserPtr<uint32_t>(user_header.addr()), preferred));
      return Errno(EINVAL);
    }
  }
}

}  // namespace

Result<int64_t> SysCapget(Task& task, UserPtr<CapabilityHeader> user_header, UserPtr<CapabilityData> data) {
  ASSIGN_OR_RETURN(CapabilityHeader header, task.memory().Read(user_header));
  Result<int> words = WordsOf(task, user_header, header);
  if (!words.ok()) {
    if (words.is(EINVAL) && !data) return 0;
    return words.error();
  }
  if (header.pid < 0) return Errno(EINVAL);
  RefPtr<const Credentials> creds = task.GetCreds();
  if (header.pid != 0 && header.pid != task.tid()) {
    RefPtr<Task> other = task.pid_namespace().FindTask(header.pid);
    creds = other ? other->GetCreds() : nullptr;
    if (!creds) return Errno(ESRCH);
  }
  if (!data) return 0;
  for (int i = 0; i < *words; ++i) {
    CapabilityData word{static_cast<uint32_t>(creds->effective.bits() >> (32 * i)),
                        static_cast<uint32_t>(creds->permitted.bits() >> (32 * i)),
                        static_cast<uint32_t>(creds->inheritable.bits() >> (32 * i))};
    RETURN_IF_ERROR(task.memory().Write(data.At(i), word));
  }
  return 0;
}

Result<int64_t> SysCapset(Task& task, UserPtr<CapabilityHeader> user_header,
                          UserPtr<const CapabilityData> data) {
  ASSIGN_OR_RETURN(CapabilityHeader header, task.memory().Read(user_header));
  ASSIGN_OR_RETURN(int words, WordsOf(task, user_header, header));
  if (header.pid != 0 && header.pid != task.tid()) return Errno(EPERM);
  uint64_t effective = 0, permitted = 0, inheritable = 0;
  for (int i = 0; i < words; ++i) {
    ASSIGN_OR_RETURN(CapabilityData word, task.memory().Read(data.At(i)));
    effective |= uint64_t{word.effective} << (32 * i);
    permitted |= uint64_t{word.permitted} << (32 * i);
    inheritable |= uint64_t{word.inheritable} << (32 * i);
  }
  const Credentials& old = task.creds();
  RefPtr<Credentials> creds = old.Clone();
  // Bits of capabilities that do not exist are dropped.
  creds->effective = CapabilitySet(effective) & CapabilitySet::All();
  creds->permitted = CapabilitySet(permitted) & CapabilitySet::All();
  creds->inheritable = CapabilitySet(inheritable) & CapabilitySet::All();
  if (!old.HasOwnCapability(CAP_SETPCAP) && !creds->inheritable.IsSubsetOf(old.inheritable | old.permitted))
    return Errno(EPERM);
  if (!creds->inheritable.IsSubsetOf(old.inheritable | old.bounding)) return Errno(EPERM);
  if (!creds->permitted.IsSubsetOf(old.permitted)) return Errno(EPERM);
  if (!creds->effective.IsSubsetOf(creds->permitted)) return Errno(EPERM);
  creds->ambient = creds->ambient & creds->permitted & creds->inheritable;
  task.CommitCreds(std::move(creds));
  return 0;
}

}  // namespace runsc
