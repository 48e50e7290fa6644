// What the three kinds of System V IPC objects have in common: an owner and permissions, the
// memory in the Sentry that they may take up, and who calls.
//
// Linux counterpart: ipc/util.c; sysvipc(7).
#ifndef SENTRY_IPC_IPC_OBJECT_H_
#define SENTRY_IPC_IPC_OBJECT_H_

#include <sys/ipc.h>

#include <cstdint>
#include <utility>

#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "sentry/auth/credentials.h"

namespace runsc {

// The process that calls, by its number in the root PID namespace.
struct IpcCaller {
  const Credentials& creds;
  pid_t pid;
  const UserNamespace& owner;  // of the IPC namespace: where capabilities over its objects count

  bool HasCapability(int capability) const { return creds.HasCapabilityIn(owner, capability); }
};

// The caller's number where nobody says it: a mapping or an undo list goes away. 0: no process.
using CurrentPid = pid_t (*)();

struct IpcPermissions {  // struct kern_ipc_perm
  key_t key = IPC_PRIVATE;
  Uid uid = 0, cuid = 0;  // owner and creator
  Gid gid = 0, cgid = 0;
  uint32_t mode = 0;  // 0777 and flags of the kind (SHM_DEST)

  IpcPermissions() = default;
  IpcPermissions(key_t key, uint32_t mode, const Credentials& creds)
      : key(key), uid(creds.euid), cuid(creds.euid), gid(creds.egid), cgid(creds.egid), mode(mode) {}
};

// Of one namespace and kind; guarded by that table's lock but for `id`, which is set once.
struct IpcObject {
  explicit IpcObject(const IpcPermissions& permissions) : permissions(permissions) {}
  IpcPermissions permissions;
  int id = -1;
  bool removed = false;
};

// ipcperms(): EACCES unless what any of the three digits of `flags` (0444, 0222) asks for is granted.
Result<void> CheckIpcAccess(const IpcPermissions& permissions, const IpcCaller& caller, int flags);
// Who may IPC_SET and IPC_RMID. EPERM.
Result<void> CheckIpcControl(const IpcPermissions& permissions, const IpcCaller& caller);
// To ids of the caller's namespace. EINVAL: one without a mapping.
Result<void> ChangeIpcOwner(IpcPermissions& permissions, const struct ipc_perm& wanted,
                            const IpcCaller& caller);
// With the kernel's ids.
struct ipc_perm ToIpcPerm(const IpcObject& object);
// With those that a member of the namespace is shown.
struct ipc_perm VisibleIpcPerm(struct ipc_perm perm, const UserNamespace& viewer);
// Seconds since the epoch.
int64_t IpcNow();

// A part of the memory that IPC objects, and keys, of the whole sandbox may take up in the Sentry (what Linux
// charges to the caller's cgroup); given back at the end of its life.
class IpcCharge {
 public:
  static constexpr uint64_t kLimit = 128 << 20;
  IpcCharge() = default;
  // ENOMEM.
  static Result<IpcCharge> Take(uint64_t bytes);
  IpcCharge(IpcCharge&& other) noexcept : bytes_(std::exchange(other.bytes_, 0)) {}
  IpcCharge& operator=(IpcCharge&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~IpcCharge();
  void Add(IpcCharge more) { bytes_ += std::exchange(more.bytes_, 0); }

 private:
  explicit IpcCharge(uint64_t bytes) : bytes_(bytes) {}
  uint64_t bytes_ = 0;
};

// How *_STAT names an object.
enum class IpcLookup { kId, kIndex, kIndexUnchecked };

template <typename Description>
struct IpcStatus {
  int id;
  Description description;  // process numbers are the root namespace's
};

}  // namespace runsc

#endif  // SENTRY_IPC_IPC_OBJECT_H_
